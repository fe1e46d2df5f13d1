"""Claims of workers on jobs. Versions before this one left them to workflows of DBOS, whose tables nobody reads now."""

import sqlalchemy as sa
from alembic import op

revision = "claims"
down_revision = "owners"


def upgrade() -> None:
    """Give jobs workers and claims, and make the tables that a database with owners may still lack."""
    for column in (
        sa.Column("worker", sa.String(64)),
        sa.Column("claim", sa.Integer, nullable=False, server_default="0"),
        sa.Column("claimed_at", sa.Double),
        sa.Column("priority", sa.Integer, nullable=False, server_default="0"),
    ):
        op.add_column("jobs", column)
    op.create_table(
        "workers",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("beat_at", sa.Double, nullable=False),
    )
    op.create_table(
        "tokens",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(16), unique=True, nullable=False),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("digest", sa.String(64), unique=True, nullable=False),
        sa.Column("created_at", sa.String(40), nullable=False),
        sa.Column("max_jobs", sa.Integer),
        sa.Column("revoked_at", sa.String(40)),
        if_not_exists=True,
    )
