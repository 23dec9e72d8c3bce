"""What happened (append-only, hash-chained) and what the engine keeps for itself."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.models.base import Base, Id, Json, Xid8


class Event(Base):
    """Something that happened to one subject; each entry's hash covers the one before it."""

    __tablename__ = "events"
    __table_args__ = (
        UniqueConstraint("subject", "seq"),
        Index("ix_events_deployment", "deployment_id", "seq"),
        Index("ix_events_telling", "xid", "id", postgresql_where=text("xid IS NOT NULL")),
    )

    id: Mapped[Id]
    subject: Mapped[str]
    seq: Mapped[int]
    deployment_id: Mapped[int | None] = mapped_column(ForeignKey("deployments.id"))
    kind: Mapped[str]
    actor_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    at: Mapped[datetime]
    data: Mapped[Json]
    hash: Mapped[bytes] = mapped_column(LargeBinary)
    xid: Mapped[str | None] = mapped_column(Xid8(), server_default=text("pg_current_xact_id()"))
    """Of the transaction that wrote it; null: from before there were webhooks."""


class IdempotencyKey(Base):
    """The first answer to a request that carried an Idempotency-Key."""

    __tablename__ = "idempotency_keys"

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request_hash: Mapped[bytes] = mapped_column(LargeBinary)
    made_id: Mapped[int | None]
    """What it made: a deployment, a release, a lock, whatever its path says."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp(), index=True)


class Heartbeat(Base):
    """When a worker node polled last (`node:<id>`), and when the clock ticked last (`tick`)."""

    __tablename__ = "heartbeats"

    source: Mapped[str] = mapped_column(primary_key=True)
    heard_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    free_bytes: Mapped[int | None]
    """How much room a node has where its runs are; None: it did not say."""


class Origin(Base):
    """The one row that says who this installation is, for targets that serve several."""

    __tablename__ = "origins"
    __table_args__ = (CheckConstraint("single", name="single"),)

    single: Mapped[bool] = mapped_column(primary_key=True, server_default=text("true"))
    id: Mapped[UUID] = mapped_column(server_default=func.gen_random_uuid())
