"""What happens by itself: promotions, recurring deployments, closing windows; and approvals by teams."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

NOW = sa.text("clock_timestamp()")
NOBODY = sa.text("'{}'")
REMOVED = "(removed_at IS NULL) = (removed_by IS NULL)"


def _text(name: str, *, nullable: bool = False, default: str | None = None) -> "sa.Column[str]":
    return sa.Column(name, sa.Text(), server_default=default, nullable=nullable)


def _number(name: str, *, nullable: bool = False, default: str | None = None) -> "sa.Column[int]":
    return sa.Column(name, sa.BigInteger(), server_default=default, nullable=nullable)


def _time(name: str, *, default: "sa.TextClause | None" = None) -> "sa.Column[object]":
    return sa.Column(name, sa.DateTime(timezone=True), server_default=default, nullable=default is None)


def upgrade() -> None:
    op.add_column(
        "deployments", sa.Column("promotes", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    op.add_column("deployments", _time("held_until"))
    op.add_column("deployments", _text("when_closed", default="finish"))
    op.add_column("deployments", _number("jitter_seconds", default="0"))
    op.create_check_constraint(
        op.f("ck_deployments_when_closed"),
        "deployments",
        "when_closed IN ('finish', 'pause_between_waves', 'rollback')",
    )
    for table in ("users", "approvals"):
        teams = sa.Column("teams", postgresql.ARRAY(sa.Text()), server_default=NOBODY, nullable=False)
        op.add_column(table, teams)
    op.create_table(
        "schedules",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        _number("application_id"),
        _text("environment"),
        _text("from_environment", nullable=True),
        _text("cron"),
        _text("zone"),
        _text("reason", default=""),
        _number("created_by"),
        _time("next_at"),
        _time("due_at"),
        _number("last_deployment_id", nullable=True),
        _text("last_outcome", default=""),
        _time("removed_at"),
        _number("removed_by", nullable=True),
        _time("created_at", default=NOW),
        _time("updated_at", default=NOW),
        sa.CheckConstraint(REMOVED, name=op.f("ck_schedules_removed")),
        sa.CheckConstraint("removed_at IS NULL OR due_at IS NULL", name=op.f("ck_schedules_due")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schedules")),
        *(
            sa.ForeignKeyConstraint([column], [target], name=op.f(f"fk_schedules_{column}"))
            for column, target in (
                ("application_id", "applications.id"),
                ("environment", "environments.name"),
                ("from_environment", "environments.name"),
                ("created_by", "users.id"),
                ("last_deployment_id", "deployments.id"),
                ("removed_by", "users.id"),
            )
        ),
    )
    op.create_table(
        "promotions",
        _number("deployment_id"),
        _time("due_at"),
        sa.ForeignKeyConstraint(
            ["deployment_id"], ["deployments.id"], name=op.f("fk_promotions_deployment_id")
        ),
        sa.PrimaryKeyConstraint("deployment_id", name=op.f("pk_promotions")),
    )
    for table in ("schedules", "promotions"):
        op.create_index(
            f"ix_{table}_due_at", table, ["due_at"], postgresql_where=sa.text("due_at IS NOT NULL")
        )


def downgrade() -> None:
    op.drop_table("promotions")
    op.drop_table("schedules")
    for table in ("approvals", "users"):
        op.drop_column(table, "teams")
    op.drop_constraint(op.f("ck_deployments_when_closed"), "deployments")
    for column in ("jitter_seconds", "when_closed", "held_until", "promotes"):
        op.drop_column("deployments", column)
