"""Versions of rows, which make a change that was decided on an older one impossible."""

import sqlalchemy as sa
from alembic import op

revision = "row_versions"
down_revision = "first_tables"


def upgrade() -> None:
    """Give jobs versions, and the queue one of its own."""
    op.add_column("jobs", sa.Column("version", sa.Integer, nullable=False, server_default="0"))
    queue = op.create_table(
        "job_queue",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("version", sa.Integer, nullable=False),
    )
    op.bulk_insert(queue, [{"id": 1, "version": 0}])
