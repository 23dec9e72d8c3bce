"""An Idempotency-Key is good for whatever a request makes."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_constraint(op.f("fk_idempotency_keys_deployment_id"), "idempotency_keys")
    op.alter_column("idempotency_keys", "deployment_id", new_column_name="made_id")
    op.execute("DELETE FROM idempotency_keys WHERE made_id IS NULL")


def downgrade() -> None:
    op.execute("DELETE FROM idempotency_keys")
    op.alter_column("idempotency_keys", "made_id", new_column_name="deployment_id")
    op.create_foreign_key(
        op.f("fk_idempotency_keys_deployment_id"),
        "idempotency_keys",
        "deployments",
        ["deployment_id"],
        ["id"],
    )
