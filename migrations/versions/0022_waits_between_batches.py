"""Waits between batches, and how many targets of one batch may fail."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("waves", sa.Column("wait_seconds", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("deployments", sa.Column("max_batch_failures", sa.BigInteger(), nullable=True))
    op.add_column("deployments", sa.Column("next_wave_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("deployments", "next_wave_at")
    op.drop_column("deployments", "max_batch_failures")
    op.drop_column("waves", "wait_seconds")
