"""Uploads of models and data sets, and the bytes that those of a token's owner may take."""

import sqlalchemy as sa
from alembic import op

revision = "uploads"
down_revision = "webhooks"


def upgrade() -> None:
    """Make the table of uploads; tokens that are there bound nothing."""
    op.add_column("tokens", sa.Column("max_bytes", sa.BigInteger))
    op.create_table(
        "uploads",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(16), unique=True, nullable=False),
        sa.Column("key", sa.String(160), unique=True, nullable=False),
        sa.Column("owner", sa.String(64)),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("created_at", sa.String(40), nullable=False),
        sa.Column("max_bytes", sa.BigInteger),
        sa.Column("taken", sa.BigInteger, nullable=False),
        sa.Column("problem", sa.Text),
        sa.Column("contents", sa.JSON),
    )
    op.create_index("ix_uploads_sha256", "uploads", ["sha256"])
