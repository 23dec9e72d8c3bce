"""An index to find the rollback of a deployment by."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

NAME = "ix_deployments_rolls_back"


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.create_index(
            NAME,
            "deployments",
            ["rolls_back_id"],
            postgresql_where=sa.text("rolls_back_id IS NOT NULL"),
            postgresql_concurrently=True,
            if_not_exists=True,
        )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.drop_index(NAME, table_name="deployments", postgresql_concurrently=True, if_exists=True)
