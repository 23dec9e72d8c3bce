"""Whom to tell what happened, what has to be told them, and how that went."""

from datetime import datetime

from sqlalchemy import (
    ARRAY,
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.models.base import Base, Id, Json, Timestamps, Xid8


class Webhook(Timestamps, Base):
    """Somebody who is told what happens: a URL, a Slack channel, mail addresses, a GitHub repository."""

    __tablename__ = "webhooks"
    __table_args__ = (
        CheckConstraint("(removed_at IS NULL) = (removed_by IS NULL)", name="removed"),
        CheckConstraint("(disabled_at IS NULL) = (disabled_because IS NULL)", name="disabled"),
        CheckConstraint("removed_at IS NULL OR secrets IS NULL", name="secrets"),
    )

    id: Mapped[Id]
    name: Mapped[str]
    kind: Mapped[str]
    """Of channel."""
    settings: Mapped[Json]
    secrets: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Sealed with a key that is not in the database."""
    events: Mapped[list[str]] = mapped_column(ARRAY(Text))
    applications: Mapped[list[str]] = mapped_column(ARRAY(Text))
    """Only these; empty: all."""
    environments: Mapped[list[str]] = mapped_column(ARRAY(Text))
    """Only these; empty: all."""
    at_once: Mapped[int]
    """How many deliveries may be under way at the same time."""
    after_event_id: Mapped[int]
    """The newest event there was when it was made."""
    created_by: Mapped[int] = mapped_column(ForeignKey("users.id"))
    disabled_at: Mapped[datetime | None]
    disabled_because: Mapped[str | None]
    removed_at: Mapped[datetime | None]
    removed_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))


class Delivery(Base):
    """One event to be told to one webhook; without an event it is a test. `next_at` is its one timer."""

    __tablename__ = "deliveries"
    __table_args__ = (
        CheckConstraint("status IN ('pending', 'delivered', 'dead')", name="status"),
        CheckConstraint("(status = 'pending') = (next_at IS NOT NULL)", name="next_at"),
        CheckConstraint("status = 'pending' OR (handed_at IS NULL AND started_at IS NULL)", name="under_way"),
        UniqueConstraint("webhook_id", "event_id"),
        Index("ix_deliveries_due", "webhook_id", "next_at", postgresql_where=text("next_at IS NOT NULL")),
        Index("ix_deliveries_under_way", "webhook_id", postgresql_where=text("handed_at IS NOT NULL")),
        Index("ix_deliveries_list", "webhook_id", "status", "id"),
    )

    id: Mapped[Id]
    webhook_id: Mapped[int] = mapped_column(ForeignKey("webhooks.id"))
    event_id: Mapped[int | None] = mapped_column(ForeignKey("events.id"))
    status: Mapped[str] = mapped_column(server_default="pending")
    tries: Mapped[int] = mapped_column(server_default=text("0"))
    """Since it was made, or replayed last."""
    next_at: Mapped[datetime | None]
    """When to try again, or to see whether the worker that tries it has died."""
    handed_at: Mapped[datetime | None]
    """When a worker was last asked to try it; null: nobody is."""
    started_at: Mapped[datetime | None]
    """When a worker began to; null: none has."""
    delivered_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class DeliveryTry(Base):
    """One try of a delivery, and what came of it."""

    __tablename__ = "delivery_tries"

    id: Mapped[Id]
    delivery_id: Mapped[int] = mapped_column(ForeignKey("deliveries.id", ondelete="CASCADE"), index=True)
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    milliseconds: Mapped[int]
    code: Mapped[int | None]
    """The status of the answer; null: there was none."""
    detail: Mapped[str]


class Outbox(Base):
    """How far the events have become deliveries: the one row of a cursor that no event can come behind.

    Before `(xid, id)` nothing is left and nothing can appear: only events of transactions that all ended are taken.
    """

    __tablename__ = "outbox"
    __table_args__ = (CheckConstraint("one", name="one"),)

    one: Mapped[bool] = mapped_column(primary_key=True, server_default=text("true"))
    xid: Mapped[str] = mapped_column(Xid8())
    id: Mapped[int]
    floor_id: Mapped[int]
    """Events up to this one came from another server, whose transaction ids mean nothing here."""
