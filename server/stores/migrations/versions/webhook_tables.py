"""Webhooks: the endpoints of users, and the messages to them."""

import sqlalchemy as sa
from alembic import op

revision = "webhooks"
down_revision = "claims"

NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables of webhooks."""
    op.create_table(
        "webhook_endpoints",
        sa.Column("number", NUMBER, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(16), unique=True, nullable=False),
        sa.Column("owner", sa.String(64)),
        sa.Column("url", sa.String(2048), nullable=False),
        sa.Column("secret", sa.String(100), nullable=False),
        sa.Column("created_at", sa.String(40), nullable=False),
    )
    op.create_table(
        "webhook_deliveries",
        sa.Column("number", NUMBER, primary_key=True, autoincrement=True),
        sa.Column("endpoint_id", sa.String(16), sa.ForeignKey("webhook_endpoints.id"), nullable=False),
        sa.Column("job_id", sa.String(80), nullable=False),
        sa.Column("type", sa.String(32), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("created_at", sa.String(40), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("due", sa.Double, nullable=False),
        sa.Column("settled_at", sa.String(40)),
        sa.Column("problem", sa.String(500)),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_webhook_deliveries_endpoint_id", "webhook_deliveries", ["endpoint_id"])
    op.create_index("ix_webhook_deliveries_due", "webhook_deliveries", ["state", "due"])
