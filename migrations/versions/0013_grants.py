"""Roles for one application, and environments in which a deployer needs one."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

NOW = sa.text("clock_timestamp()")
HELD = sa.text("removed_at IS NULL")


def upgrade() -> None:
    op.create_table(
        "grants",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("application_id", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=True),
        sa.Column("team", sa.Text(), nullable=True),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("environments", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("created_by", sa.BigInteger(), nullable=False),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("removed_by", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.CheckConstraint("role IN ('deployer', 'operator', 'admin')", name=op.f("ck_grants_role")),
        sa.CheckConstraint("(user_id IS NULL) <> (team IS NULL)", name=op.f("ck_grants_grantee")),
        sa.CheckConstraint("(removed_at IS NULL) = (removed_by IS NULL)", name=op.f("ck_grants_removed")),
        sa.ForeignKeyConstraint(
            ["application_id"], ["applications.id"], name=op.f("fk_grants_application_id")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_grants_user_id")),
        sa.ForeignKeyConstraint(["created_by"], ["users.id"], name=op.f("fk_grants_created_by")),
        sa.ForeignKeyConstraint(["removed_by"], ["users.id"], name=op.f("fk_grants_removed_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_grants")),
    )
    for grantee, column in (("user", "user_id"), ("team", "team")):
        op.create_index(
            f"ix_grants_{grantee}",
            "grants",
            [column, "application_id", "role"],
            unique=True,
            postgresql_where=HELD,
        )
    op.add_column(
        "environments", sa.Column("restricted", sa.Boolean(), server_default=sa.false(), nullable=False)
    )


def downgrade() -> None:
    op.drop_column("environments", "restricted")
    op.drop_table("grants")
