"""What insights count: when a change was committed, what ended when in a slot, and which gate held a deployment how long."""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0028"
branch_labels = None
depends_on = None

ENDED = {
    "ix_deployments_ended": ["environment", "ended_at"],
    "ix_deployments_slot_ended": ["application_id", "environment", "ended_at"],
}


def upgrade() -> None:
    # Each can be run again: what follows them is outside of the transaction, and may be cut off.
    op.execute("ALTER TABLE releases ADD COLUMN IF NOT EXISTS committed_at timestamptz")
    op.execute("ALTER TABLE deployments ADD COLUMN IF NOT EXISTS held_since timestamptz")
    # Of those that are there already nobody knows what they waited for.
    op.execute("ALTER TABLE deployments ADD COLUMN IF NOT EXISTS holds_kept boolean NOT NULL DEFAULT false")
    op.execute("ALTER TABLE deployments ALTER COLUMN holds_kept SET DEFAULT true")
    op.create_table(
        "holds",
        sa.Column("deployment_id", sa.BigInteger(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.CheckConstraint("since <= until", name=op.f("ck_holds_order")),
        sa.ForeignKeyConstraint(["deployment_id"], ["deployments.id"], name=op.f("fk_holds_deployment_id")),
        sa.PrimaryKeyConstraint("deployment_id", "since", name=op.f("pk_holds")),
        if_not_exists=True,
    )
    with op.get_context().autocommit_block():
        for name, columns in ENDED.items():
            op.create_index(
                name,
                "deployments",
                columns,
                postgresql_concurrently=True,
                if_not_exists=True,
                postgresql_where=sa.text("started_at IS NOT NULL AND ended_at IS NOT NULL"),
            )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        for name in ENDED:
            op.drop_index(name, table_name="deployments", postgresql_concurrently=True, if_exists=True)
    op.drop_table("holds")
    op.drop_column("deployments", "holds_kept")
    op.drop_column("deployments", "held_since")
    op.drop_column("releases", "committed_at")
