"""Whom to tell what happened, what has to be told them, and how far the events have been looked through."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import UserDefinedType

revision = "0015"
down_revision = "0013"
branch_labels = None
depends_on = None

NOW = sa.text("clock_timestamp()")
READING = "ix_events_telling"


class Xid8(UserDefinedType):
    """Postgres' 64-bit transaction id."""

    cache_ok = True

    def get_col_spec(self, **_kw: object) -> str:
        return "xid8"


def _text(name: str, *, nullable: bool = False, default: str | None = None) -> "sa.Column[str]":
    return sa.Column(name, sa.Text(), server_default=default, nullable=nullable)


def _number(name: str, *, nullable: bool = False, default: str | None = None) -> "sa.Column[int]":
    return sa.Column(name, sa.BigInteger(), server_default=default, nullable=nullable)


def _time(name: str, *, default: "sa.TextClause | None" = None) -> "sa.Column[object]":
    return sa.Column(name, sa.DateTime(timezone=True), server_default=default, nullable=default is None)


def _id() -> "sa.Column[int]":
    return sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False)


def _refers(table: str, column: str, target: str, **options: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [target], name=op.f(f"fk_{table}_{column}"), **options)


def upgrade() -> None:
    # The events of before stay without one, so that the table is not written anew.
    op.execute("ALTER TABLE events ADD COLUMN IF NOT EXISTS xid xid8")
    op.execute("ALTER TABLE events ALTER COLUMN xid SET DEFAULT pg_current_xact_id()")
    with op.get_context().autocommit_block():
        op.create_index(
            READING,
            "events",
            ["xid", "id"],
            postgresql_where=sa.text("xid IS NOT NULL"),
            postgresql_concurrently=True,
            if_not_exists=True,
        )
    _make_webhooks()
    _make_deliveries()
    op.create_table(
        "outbox",
        sa.Column("one", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("xid", Xid8(), nullable=False),
        _number("id"),
        _number("floor_id"),
        sa.CheckConstraint("one", name=op.f("ck_outbox_one")),
        sa.PrimaryKeyConstraint("one", name=op.f("pk_outbox")),
    )
    op.execute("INSERT INTO outbox (xid, id, floor_id) VALUES ('0', 0, 0)")


def _make_webhooks() -> None:
    op.create_table(
        "webhooks",
        _id(),
        _text("name"),
        _text("kind"),
        sa.Column("settings", postgresql.JSONB(), nullable=False),
        sa.Column("secrets", sa.LargeBinary(), nullable=True),
        *(
            sa.Column(name, postgresql.ARRAY(sa.Text()), nullable=False)
            for name in ("events", "applications", "environments")
        ),
        _number("at_once"),
        _number("after_event_id"),
        _number("created_by"),
        _time("disabled_at"),
        _text("disabled_because", nullable=True),
        _time("removed_at"),
        _number("removed_by", nullable=True),
        _time("created_at", default=NOW),
        _time("updated_at", default=NOW),
        sa.CheckConstraint("(removed_at IS NULL) = (removed_by IS NULL)", name=op.f("ck_webhooks_removed")),
        sa.CheckConstraint(
            "(disabled_at IS NULL) = (disabled_because IS NULL)", name=op.f("ck_webhooks_disabled")
        ),
        sa.CheckConstraint("removed_at IS NULL OR secrets IS NULL", name=op.f("ck_webhooks_secrets")),
        _refers("webhooks", "created_by", "users.id"),
        _refers("webhooks", "removed_by", "users.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhooks")),
    )


def _make_deliveries() -> None:
    op.create_table(
        "deliveries",
        _id(),
        _number("webhook_id"),
        _number("event_id", nullable=True),
        _text("status", default="pending"),
        _number("tries", default="0"),
        _time("next_at"),
        _time("handed_at"),
        _time("started_at"),
        _time("delivered_at"),
        _time("created_at", default=NOW),
        sa.CheckConstraint("status IN ('pending', 'delivered', 'dead')", name=op.f("ck_deliveries_status")),
        sa.CheckConstraint(
            "(status = 'pending') = (next_at IS NOT NULL)", name=op.f("ck_deliveries_next_at")
        ),
        sa.CheckConstraint(
            "status = 'pending' OR (handed_at IS NULL AND started_at IS NULL)",
            name=op.f("ck_deliveries_under_way"),
        ),
        _refers("deliveries", "webhook_id", "webhooks.id"),
        _refers("deliveries", "event_id", "events.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
        sa.UniqueConstraint("webhook_id", "event_id", name=op.f("uq_deliveries_webhook_id_event_id")),
    )
    due, under_way = sa.text("next_at IS NOT NULL"), sa.text("handed_at IS NOT NULL")
    op.create_index("ix_deliveries_due", "deliveries", ["webhook_id", "next_at"], postgresql_where=due)
    op.create_index("ix_deliveries_under_way", "deliveries", ["webhook_id"], postgresql_where=under_way)
    op.create_index("ix_deliveries_list", "deliveries", ["webhook_id", "status", "id"])
    op.create_table(
        "delivery_tries",
        _id(),
        _number("delivery_id"),
        _time("at", default=NOW),
        _number("milliseconds"),
        _number("code", nullable=True),
        _text("detail"),
        _refers("delivery_tries", "delivery_id", "deliveries.id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery_tries")),
    )
    op.create_index(op.f("ix_delivery_tries_delivery_id"), "delivery_tries", ["delivery_id"])


def downgrade() -> None:
    for table in ("outbox", "delivery_tries", "deliveries", "webhooks"):
        op.drop_table(table)
    with op.get_context().autocommit_block():
        op.drop_index(READING, table_name="events", postgresql_concurrently=True, if_exists=True)
    op.drop_column("events", "xid")
