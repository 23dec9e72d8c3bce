"""Waves, steps, their attempts, and what the attempts wrote."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, UniqueConstraint, false, func, text
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.models.base import Base, Id, Json, Xid8


class Wave(Base):
    """Steps that run side by side, and how many of them are where: the engine never counts rows."""

    __tablename__ = "waves"
    __table_args__ = (
        CheckConstraint(
            "waiting >= 0 AND ready >= 0 AND running >= 0 AND unknown >= 0"
            " AND waiting + ready + running + succeeded + failed + skipped + cancelled + unknown = total",
            name="counts",
        ),
    )

    deployment_id: Mapped[int] = mapped_column(ForeignKey("deployments.id"), primary_key=True)
    index: Mapped[int] = mapped_column(primary_key=True)
    batch: Mapped[int]
    action_index: Mapped[int]
    total: Mapped[int]
    wait_seconds: Mapped[int] = mapped_column(server_default="0")
    """How long after its end the next wave begins."""
    asks: Mapped[bool] = mapped_column(server_default=false())
    """A person says after that whether the next one begins."""
    sliding: Mapped[bool] = mapped_column(server_default=false())
    """Its targets go through several actions, each by itself; `action_index` is the first of these."""
    waiting: Mapped[int]
    ready: Mapped[int] = mapped_column(server_default="0")
    running: Mapped[int] = mapped_column(server_default="0")
    succeeded: Mapped[int] = mapped_column(server_default="0")
    failed: Mapped[int] = mapped_column(server_default="0")
    skipped: Mapped[int] = mapped_column(server_default="0")
    cancelled: Mapped[int] = mapped_column(server_default="0")
    unknown: Mapped[int] = mapped_column(server_default="0")


class Step(Base):
    """One action on one target; `target` is the target as it was when the plan was made."""

    __tablename__ = "steps"
    __table_args__ = (
        UniqueConstraint("deployment_id", "wave_index", "position"),
        CheckConstraint(
            "status IN ('waiting', 'ready', 'running', 'succeeded', 'failed', 'skipped', 'cancelled', 'unknown')",
            name="status",
        ),
        CheckConstraint(
            "(ended_at IS NOT NULL) = (status IN ('succeeded', 'failed', 'skipped', 'cancelled'))",
            name="ended",
        ),
        CheckConstraint(
            "status NOT IN ('running', 'succeeded', 'failed', 'unknown') OR started_at IS NOT NULL",
            name="started",
        ),
        Index(
            "ix_steps_waiting",
            "deployment_id",
            "wave_index",
            "position",
            postgresql_where=text("status = 'waiting'"),
        ),
        Index("ix_steps_target", "deployment_id", "target_id"),
        Index(
            "ix_steps_history", "target_id", "ended_at", "id", postgresql_where=text("status = 'succeeded'")
        ),
    )

    id: Mapped[Id]
    deployment_id: Mapped[int] = mapped_column(ForeignKey("deployments.id"))
    wave_index: Mapped[int]
    position: Mapped[int]
    action_index: Mapped[int]
    target_id: Mapped[int] = mapped_column(ForeignKey("targets.id"))
    target_name: Mapped[str]
    target: Mapped[Json]
    status: Mapped[str] = mapped_column(server_default="waiting")
    attempt: Mapped[int] = mapped_column(server_default="0")
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    exit_code: Mapped[int | None]
    failure: Mapped[str | None]


class Attempt(Base):
    """The nth try of a step. Whoever holds the lease (until `lease_until`, under `token`) acts on it."""

    __tablename__ = "attempts"
    __table_args__ = (
        UniqueConstraint("step_id", "number"),
        CheckConstraint("(ended_at IS NOT NULL) = (outcome IS NOT NULL)", name="ended"),
        CheckConstraint(
            "outcome IN ('succeeded', 'failed', 'timed_out', 'aborted', 'lost', 'unreachable', 'unstarted')",
            name="outcome",
        ),
        CheckConstraint("started_at IS NULL OR token > 0", name="started_under_a_token"),
        Index("uq_attempts_open_step", "step_id", unique=True, postgresql_where=text("ended_at IS NULL")),
        Index(
            "ix_attempts_open",
            "deployment_id",
            "lease_until",
            postgresql_where=text("ended_at IS NULL"),
        ),
    )

    id: Mapped[Id]
    deployment_id: Mapped[int] = mapped_column(ForeignKey("deployments.id"))
    step_id: Mapped[int] = mapped_column(ForeignKey("steps.id"))
    number: Mapped[int]
    not_before: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    token: Mapped[int] = mapped_column(server_default="0")
    worker: Mapped[str | None]
    node: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    outcome: Mapped[str | None]
    exit_code: Mapped[int | None]
    failure: Mapped[str | None]
    output_bytes: Mapped[int] = mapped_column(server_default="0")
    called_back: Mapped[int] = mapped_column(server_default="0")
    """The number of the last callback that was believed; 0: there was none."""
    trouble: Mapped[str] = mapped_column(server_default="")
    """Why it does not go on at its target, as long as it is open; empty where it does."""
    lapses: Mapped[int] = mapped_column(server_default="0")
    """How many leases in a row ran out under workers that ended or failed while they followed it."""
    left_out_bytes: Mapped[int] = mapped_column(server_default="0")
    """How much of the output is not kept: its middle, where it is longer than LOG_LIMIT_BYTES."""


class LogChunk(Base):
    """A piece of what an attempt wrote; `(xid, id)` is the order in which readers come to see the pieces."""

    __tablename__ = "log_chunks"
    __table_args__ = (
        UniqueConstraint("attempt_id", "start_byte"),
        Index("ix_log_chunks_reading", "deployment_id", "xid", "id"),
        Index("ix_log_chunks_step", "step_id", "xid", "id"),
    )

    id: Mapped[Id]
    deployment_id: Mapped[int] = mapped_column(ForeignKey("deployments.id"))
    step_id: Mapped[int] = mapped_column(ForeignKey("steps.id"))
    attempt_id: Mapped[int] = mapped_column(ForeignKey("attempts.id"))
    start_byte: Mapped[int]
    data: Mapped[bytes] = mapped_column(LargeBinary)
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    xid: Mapped[str] = mapped_column(Xid8(), server_default=text("pg_current_xact_id()"))
