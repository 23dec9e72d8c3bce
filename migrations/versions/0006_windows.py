"""When deploying is allowed, and when it is not."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

NOW = sa.text("clock_timestamp()")


def upgrade() -> None:
    op.add_column(
        "deployments",
        sa.Column("override_windows", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    )
    op.create_table(
        "window_rules",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("document", postgresql.JSONB(), nullable=False),
        sa.Column("created_by", sa.BigInteger(), nullable=False),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("removed_by", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.CheckConstraint(
            "(removed_at IS NULL) = (removed_by IS NULL)", name=op.f("ck_window_rules_removed")
        ),
        sa.ForeignKeyConstraint(
            ["environment"], ["environments.name"], name=op.f("fk_window_rules_environment")
        ),
        sa.ForeignKeyConstraint(["created_by"], ["users.id"], name=op.f("fk_window_rules_created_by")),
        sa.ForeignKeyConstraint(["removed_by"], ["users.id"], name=op.f("fk_window_rules_removed_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_window_rules")),
    )
    op.create_index(
        "ix_window_rules_held",
        "window_rules",
        ["environment"],
        postgresql_where=sa.text("removed_at IS NULL"),
    )


def downgrade() -> None:
    op.drop_index(
        "ix_window_rules_held", table_name="window_rules", postgresql_where=sa.text("removed_at IS NULL")
    )
    op.drop_table("window_rules")
    op.drop_column("deployments", "override_windows")
