"""How releases that soak are."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def _number(name: str, *, nullable: bool = False, default: str | None = None) -> "sa.Column[int]":
    return sa.Column(name, sa.BigInteger(), server_default=default, nullable=nullable)


def _text(name: str) -> "sa.Column[str]":
    return sa.Column(name, sa.Text(), server_default="", nullable=False)


def _time(name: str, *, nullable: bool = False) -> "sa.Column[object]":
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _references(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [target], name=op.f(f"fk_{table}_{column}"))


def upgrade() -> None:
    op.add_column("deployments", sa.Column("health", postgresql.JSONB(), nullable=True))
    op.create_table(
        "health_watches",
        _number("deployment_id"),
        _number("application_id"),
        sa.Column("environment", sa.Text(), nullable=False),
        _number("release_id"),
        sa.Column("soaks", postgresql.ARRAY(sa.BigInteger()), nullable=False),
        _number("targets", nullable=True),
        _time("counts_from"),
        _time("checked_at"),
        _text("because"),
        _number("failing", default="0"),
        _number("left_by", nullable=True),
        _time("due_at", nullable=True),
        sa.CheckConstraint("left_by IS NULL OR due_at IS NULL", name=op.f("ck_health_watches_left")),
        _references("health_watches", "deployment_id", "deployments.id"),
        _references("health_watches", "application_id", "applications.id"),
        _references("health_watches", "environment", "environments.name"),
        _references("health_watches", "release_id", "releases.id"),
        _references("health_watches", "left_by", "deployments.id"),
        sa.PrimaryKeyConstraint("deployment_id", name=op.f("pk_health_watches")),
    )
    op.create_index(
        "ix_health_watches_slot",
        "health_watches",
        ["application_id", "environment"],
        postgresql_where=sa.text("left_by IS NULL"),
    )
    op.create_index(
        "ix_health_watches_due_at",
        "health_watches",
        ["due_at"],
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_table(
        "target_health",
        _number("target_id"),
        _number("deployment_id"),
        sa.Column("healthy", sa.Boolean(), nullable=True),
        _text("detail"),
        _time("counts_from"),
        _time("checked_at"),
        _time("asked_at", nullable=True),
        _time("due_at"),
        _references("target_health", "target_id", "targets.id"),
        _references("target_health", "deployment_id", "health_watches.deployment_id"),
        sa.PrimaryKeyConstraint("target_id", name=op.f("pk_target_health")),
    )
    op.create_index("ix_target_health_due_at", "target_health", ["deployment_id", "due_at"])


def downgrade() -> None:
    op.drop_table("target_health")
    op.drop_table("health_watches")
    op.drop_column("deployments", "health")
