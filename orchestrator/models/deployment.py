"""One release going to one environment, its plan, and what runs where because of it."""

from datetime import datetime

from sqlalchemy import ARRAY, CheckConstraint, ForeignKey, Index, LargeBinary, Text, false, text, true
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.models.base import Base, Id, Json, Timestamps

_TERMINAL = "('succeeded', 'failed', 'cancelled', 'superseded', 'expired')"
_STARTED_AND_ENDED = text("started_at IS NOT NULL AND ended_at IS NOT NULL")


class Deployment(Timestamps, Base):
    """One release going to one environment. `wake_at` is the engine's one durable timer."""

    __tablename__ = "deployments"
    __table_args__ = (
        CheckConstraint(
            f"status IN ('pending', 'running', 'paused') OR status IN {_TERMINAL}", name="status"
        ),
        CheckConstraint(f"(ended_at IS NOT NULL) = (status IN {_TERMINAL})", name="ended"),
        CheckConstraint(f"(wake_at IS NULL) = (status IN {_TERMINAL})", name="wakes"),
        CheckConstraint("status <> 'pending' OR started_at IS NULL", name="pending_not_started"),
        CheckConstraint(
            "status NOT IN ('running', 'paused', 'succeeded') OR started_at IS NOT NULL", name="started"
        ),
        CheckConstraint("(deployed_at IS NOT NULL) = (status = 'succeeded')", name="deployed"),
        CheckConstraint("on_failure IN ('fail', 'pause', 'rollback')", name="on_failure"),
        CheckConstraint("unanswered IN ('fail', 'rollback')", name="unanswered"),
        CheckConstraint("ending IN ('failed', 'cancelled', 'rollback')", name="ending"),
        CheckConstraint("(undo_from IS NULL) = (ending IS NULL)", name="undoing"),
        CheckConstraint("when_closed IN ('finish', 'pause_between_waves', 'rollback')", name="when_closed"),
        Index(
            "uq_deployments_active_slot",
            "application_id",
            "environment",
            unique=True,
            postgresql_where=text("status IN ('running', 'paused')"),
        ),
        Index(
            "ix_deployments_slot_queue",
            "application_id",
            "environment",
            text("priority DESC"),
            "id",
            postgresql_where=text("status = 'pending'"),
        ),
        Index("ix_deployments_wake_at", "wake_at", postgresql_where=text("wake_at IS NOT NULL")),
        Index("ix_deployments_environment", "environment", text("id DESC")),
        Index("ix_deployments_application", "application_id", "environment", text("id DESC")),
        Index("ix_deployments_status", "status", text("id DESC")),
        Index("ix_deployments_release", "release_id", "environment", "status"),
        Index("ix_deployments_newest", "application_id", text("id DESC")),
        Index("ix_deployments_deployed_at", "deployed_at"),
        Index(
            "ix_deployments_rolls_back",
            "rolls_back_id",
            postgresql_where=text("rolls_back_id IS NOT NULL"),
        ),
        Index(
            "uq_deployments_rolls_back",
            "rolls_back_id",
            unique=True,
            postgresql_where=text("rolls_back_id IS NOT NULL AND requested_by IS NULL"),
        ),
        Index("ix_deployments_ended", "environment", "ended_at", postgresql_where=_STARTED_AND_ENDED),
        Index(
            "ix_deployments_slot_ended",
            "application_id",
            "environment",
            "ended_at",
            postgresql_where=_STARTED_AND_ENDED,
        ),
    )

    id: Mapped[Id]
    application_id: Mapped[int] = mapped_column(ForeignKey("applications.id"))
    release_id: Mapped[int] = mapped_column(ForeignKey("releases.id"))
    environment: Mapped[str] = mapped_column(ForeignKey("environments.name"))
    status: Mapped[str] = mapped_column(server_default="pending")
    reason: Mapped[str] = mapped_column(server_default="")
    requested_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    deployed_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    started_at: Mapped[datetime | None]
    deployed_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    failure: Mapped[str | None]
    cancel_requested_at: Mapped[datetime | None]
    rolls_back_id: Mapped[int | None] = mapped_column(ForeignKey("deployments.id"))
    retry_of_id: Mapped[int | None] = mapped_column(ForeignKey("deployments.id"))
    replaced_by_id: Mapped[int | None] = mapped_column(ForeignKey("deployments.id"))
    """The same release with another plan, which has its place; null where another release has it, or nobody."""

    priority: Mapped[int] = mapped_column(server_default="0")
    held_by: Mapped[str | None]
    """The kind of gate for which those behind it in the slot need not wait."""
    held_until: Mapped[datetime | None]
    """Up to when they need not; then it comes first again, until it was looked at."""
    held_since: Mapped[datetime | None]
    """Since when this kind of gate holds it."""
    holds_kept: Mapped[bool] = mapped_column(server_default=true())
    """Whether `holds` has all that held it: not of those from before there was that table."""
    approval_rules: Mapped[Json | None]
    """Who has to agree before it starts, as the pipeline said when it was requested; null: nobody."""
    override_windows: Mapped[bool] = mapped_column(server_default=false())
    """It may start outside its windows; never inside a freeze."""
    scheduled_for: Mapped[datetime | None]
    """It does not start before."""
    expires_at: Mapped[datetime | None]
    """It does not start from then on."""
    wake_at: Mapped[datetime | None]
    commit_by: Mapped[datetime | None]
    """Its start, or its last wave's, had to be committed before; a later COMMIT is refused: a gate had closed by then."""
    traceparent: Mapped[str | None]
    """The W3C traceparent of the request, for the spans of those who carry it out."""

    strategy: Mapped[str]
    plan_hash: Mapped[str]
    max_failures: Mapped[int]
    max_batch_failures: Mapped[int | None]
    """How many targets of one batch may fail; null: as many as `max_failures` says."""
    max_parallel: Mapped[int]
    on_failure: Mapped[str]
    """What becomes of it when too many targets failed; a person's answer takes the place of `pause`."""
    answer_seconds: Mapped[int] = mapped_column(server_default="0")
    """How long a person is asked; then `unanswered` is done."""
    unanswered: Mapped[str] = mapped_column(server_default="fail")
    answer_by: Mapped[datetime | None]
    """Until when one is asked now."""
    claimed_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    """Who has taken it on to answer what it asks now; null: whoever is first."""
    wave_index: Mapped[int] = mapped_column(server_default="0")
    next_wave_at: Mapped[datetime | None]
    """Its wave is over, and the next one begins then."""
    promotion_asked_at: Mapped[datetime | None]
    """Since when a person is asked whether its canary goes to the other targets."""
    promoted_wave: Mapped[int | None]
    """The wave behind which a person said that it goes on."""
    side: Mapped[str | None]
    """The side that has the traffic after its success; null where there are no sides."""
    undoes: Mapped[bool] = mapped_column(server_default=false())
    """Something of it is put back when it ends without success."""
    undo_from: Mapped[int | None]
    """The first of the waves that put it back; null until then."""
    ending: Mapped[str | None]
    """How it ends when it has done so."""
    promote_after: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    soak_seconds: Mapped[int] = mapped_column(server_default="0")
    """How long its release has to have been in the environments of `promote_after`."""
    health: Mapped[Json | None]
    """How its environment is asked for its health after its success: by which revision of the pipeline, how often, for which
    soaks; null: not at all."""
    promotes: Mapped[bool] = mapped_column(server_default=false())
    """Its success sends its release on to other environments."""
    when_closed: Mapped[str] = mapped_column(server_default="finish")
    """What becomes of it if deploying is not allowed any more between two of its waves."""
    jitter_seconds: Mapped[int] = mapped_column(server_default="0")
    wave_count: Mapped[int]
    step_count: Mapped[int]
    failed_targets: Mapped[int] = mapped_column(server_default="0")
    skipped_targets: Mapped[int] = mapped_column(server_default="0")
    """Those that could not be reached, and that its strategy leaves out."""

    event_seq: Mapped[int] = mapped_column(server_default="0")
    event_hash: Mapped[bytes] = mapped_column(LargeBinary, server_default=text("''::bytea"))


class Hold(Base):
    """A stretch of time in which a kind of gate held a deployment that was pending."""

    __tablename__ = "holds"
    __table_args__ = (CheckConstraint("since <= until", name="order"),)

    deployment_id: Mapped[int] = mapped_column(ForeignKey("deployments.id"), primary_key=True)
    since: Mapped[datetime] = mapped_column(primary_key=True)
    until: Mapped[datetime]
    kind: Mapped[str]


class Plan(Base):
    """What a deployment will do, fixed when it was requested."""

    __tablename__ = "plans"

    deployment_id: Mapped[int] = mapped_column(ForeignKey("deployments.id"), primary_key=True)
    document: Mapped[Json]


class Installation(Base):
    """Which release a target has now, since when, and because of which deployment."""

    __tablename__ = "installations"

    target_id: Mapped[int] = mapped_column(ForeignKey("targets.id"), primary_key=True)
    release_id: Mapped[int] = mapped_column(ForeignKey("releases.id"), index=True)
    deployment_id: Mapped[int] = mapped_column(ForeignKey("deployments.id"), index=True)
    since: Mapped[datetime]
