"""Waves whose targets go through every action by themselves, and who has taken on to answer a deployment."""

import sqlalchemy as sa
from alembic import op

revision = "0040"
down_revision = "0037"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("waves", sa.Column("sliding", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("deployments", sa.Column("claimed_by", sa.BigInteger(), nullable=True))
    op.create_foreign_key(op.f("fk_deployments_claimed_by"), "deployments", "users", ["claimed_by"], ["id"])


def downgrade() -> None:
    op.drop_column("deployments", "claimed_by")
    op.drop_column("waves", "sliding")
