"""Which deployment has the place of one that got another plan."""

import sqlalchemy as sa
from alembic import op

revision = "0042"
down_revision = "0040"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("deployments", sa.Column("replaced_by_id", sa.BigInteger(), nullable=True))
    op.create_foreign_key(
        op.f("fk_deployments_replaced_by_id"), "deployments", "deployments", ["replaced_by_id"], ["id"]
    )


def downgrade() -> None:
    op.drop_column("deployments", "replaced_by_id")
