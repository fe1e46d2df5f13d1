"""Owners of jobs."""

import sqlalchemy as sa
from alembic import op

revision = "owners"
down_revision = "row_versions"


def upgrade() -> None:
    """Give jobs owners: those that are there have none."""
    op.add_column("jobs", sa.Column("owner", sa.String(64)))
