"""Asking a person what to do when too many targets failed."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "deployments", sa.Column("answer_seconds", sa.BigInteger(), server_default="0", nullable=False)
    )
    op.add_column("deployments", sa.Column("unanswered", sa.Text(), server_default="fail", nullable=False))
    op.add_column("deployments", sa.Column("answer_by", sa.DateTime(timezone=True), nullable=True))
    op.create_check_constraint(
        op.f("ck_deployments_unanswered"), "deployments", "unanswered IN ('fail', 'rollback')"
    )
    op.drop_constraint(op.f("ck_deployments_on_failure"), "deployments")
    op.create_check_constraint(
        op.f("ck_deployments_on_failure"), "deployments", "on_failure IN ('fail', 'pause', 'rollback')"
    )


def downgrade() -> None:
    op.execute("UPDATE deployments SET on_failure = unanswered WHERE on_failure = 'pause'")
    op.drop_constraint(op.f("ck_deployments_on_failure"), "deployments")
    op.create_check_constraint(
        op.f("ck_deployments_on_failure"), "deployments", "on_failure IN ('fail', 'rollback')"
    )
    op.drop_constraint(op.f("ck_deployments_unanswered"), "deployments")
    for column in ("answer_by", "unanswered", "answer_seconds"):
        op.drop_column("deployments", column)
