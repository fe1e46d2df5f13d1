"""Jobs and their logs.

The lengths are those of later versions: SQLite, which alone held the tables then, minds none.
"""

import sqlalchemy as sa
from alembic import op

revision = "first_tables"
down_revision = None

NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "jobs",
        sa.Column("number", NUMBER, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(80), unique=True, nullable=False),
        sa.Column("spec", sa.JSON, nullable=False),
        sa.Column("state", sa.String(16), nullable=False, index=True),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("starts", sa.Integer, nullable=False),
        sa.Column("history", sa.JSON, nullable=False),
        sa.Column("stage", sa.JSON),
        sa.Column("progress", sa.JSON),
        sa.Column("failure", sa.JSON),
        sa.Column("idempotency_key", sa.String(320), unique=True),
        sa.Column("request_digest", sa.String(64), nullable=False),
    )
    op.create_table(
        "job_events",
        sa.Column("job_id", sa.String(80), sa.ForeignKey("jobs.id"), primary_key=True),
        sa.Column("sequence", NUMBER, primary_key=True),
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("at", sa.String(40), nullable=False),
        sa.Column("event", sa.JSON, nullable=False),
        sa.UniqueConstraint("job_id", "key"),
    )
