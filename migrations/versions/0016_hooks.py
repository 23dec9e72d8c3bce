"""Who may tell us of releases, and what they told."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

NOW = sa.text("clock_timestamp()")


def upgrade() -> None:
    op.create_table(
        "hooks",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("application_id", sa.BigInteger(), nullable=False),
        sa.Column("tag_prefix", sa.Text(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=True),
        sa.Column("created_by", sa.BigInteger(), nullable=False),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("removed_by", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.CheckConstraint("sender IN ('github', 'gitlab', 'generic')", name=op.f("ck_hooks_sender")),
        sa.CheckConstraint("(removed_at IS NULL) = (removed_by IS NULL)", name=op.f("ck_hooks_removed")),
        sa.CheckConstraint("(removed_at IS NULL) = (secret IS NOT NULL)", name=op.f("ck_hooks_secret")),
        *(
            sa.ForeignKeyConstraint([column], [target], name=op.f(f"fk_hooks_{column}"))
            for column, target in (
                ("application_id", "applications.id"),
                ("created_by", "users.id"),
                ("removed_by", "users.id"),
            )
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hooks")),
    )
    op.create_table(
        "hook_receipts",
        sa.Column("hook_id", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("answer", postgresql.JSONB(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.ForeignKeyConstraint(["hook_id"], ["hooks.id"], name=op.f("fk_hook_receipts_hook_id")),
        sa.PrimaryKeyConstraint("hook_id", "key", name=op.f("pk_hook_receipts")),
    )
    op.create_index(op.f("ix_hook_receipts_created_at"), "hook_receipts", ["created_at"])


def downgrade() -> None:
    op.drop_table("hook_receipts")
    op.drop_table("hooks")
