"""Moved traffic: the side that has it, a person who promotes a canary, and putting back what a deployment changed."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("waves", sa.Column("asks", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("deployments", sa.Column("side", sa.Text(), nullable=True))
    op.add_column("deployments", sa.Column("promotion_asked_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("deployments", sa.Column("promoted_wave", sa.BigInteger(), nullable=True))
    op.add_column("deployments", sa.Column("undoes", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("deployments", sa.Column("undo_from", sa.BigInteger(), nullable=True))
    op.add_column("deployments", sa.Column("ending", sa.Text(), nullable=True))
    op.create_check_constraint(
        op.f("ck_deployments_ending"), "deployments", "ending IN ('failed', 'cancelled', 'rollback')"
    )
    op.create_check_constraint(
        op.f("ck_deployments_undoing"), "deployments", "(undo_from IS NULL) = (ending IS NULL)"
    )


def downgrade() -> None:
    op.drop_constraint(op.f("ck_deployments_undoing"), "deployments")
    op.drop_constraint(op.f("ck_deployments_ending"), "deployments")
    for column in ("ending", "undo_from", "undoes", "promoted_wave", "promotion_asked_at", "side"):
        op.drop_column("deployments", column)
    op.drop_column("waves", "asks")
