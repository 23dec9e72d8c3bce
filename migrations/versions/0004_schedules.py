"""Deployments that begin at a time, and that are given up after one."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("deployments", sa.Column("scheduled_for", sa.DateTime(timezone=True), nullable=True))
    op.add_column("deployments", sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("deployments", "expires_at")
    op.drop_column("deployments", "scheduled_for")
