"""Asking targets whether what was installed is what runs there."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "drift_checks",
        sa.Column("target_id", sa.BigInteger(), nullable=False),
        sa.Column("deployment_id", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), server_default="", nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("told", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("target_id", name=op.f("pk_drift_checks")),
        sa.ForeignKeyConstraint(
            ["target_id"], ["targets.id"], name=op.f("fk_drift_checks_target_id_targets")
        ),
        sa.ForeignKeyConstraint(
            ["deployment_id"], ["deployments.id"], name=op.f("fk_drift_checks_deployment_id_deployments")
        ),
        sa.CheckConstraint("state IN ('same', 'differs', 'unknown')", name=op.f("ck_drift_checks_state")),
        sa.CheckConstraint(
            "(state IS NULL) = (checked_at IS NULL) AND (state IS NULL) = (deployment_id IS NULL)",
            name=op.f("ck_drift_checks_checked"),
        ),
    )
    op.create_index(op.f("ix_drift_checks_due_at"), "drift_checks", ["due_at"])


def downgrade() -> None:
    op.drop_table("drift_checks")
