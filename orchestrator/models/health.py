"""How releases that soak are: what the checks between deployments said."""

from datetime import datetime

from sqlalchemy import ARRAY, BigInteger, CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.models.base import Base


class HealthWatch(Base):
    """A success after which the environment is asked for its health, until its release has soaked or another comes."""

    __tablename__ = "health_watches"
    __table_args__ = (
        CheckConstraint("left_by IS NULL OR due_at IS NULL", name="left"),
        Index(
            "ix_health_watches_slot",
            "application_id",
            "environment",
            postgresql_where=text("left_by IS NULL"),
        ),
        Index("ix_health_watches_due_at", "due_at", postgresql_where=text("due_at IS NOT NULL")),
    )

    deployment_id: Mapped[int] = mapped_column(ForeignKey("deployments.id"), primary_key=True)
    application_id: Mapped[int] = mapped_column(ForeignKey("applications.id"))
    environment: Mapped[str] = mapped_column(ForeignKey("environments.name"))
    release_id: Mapped[int] = mapped_column(ForeignKey("releases.id"))
    soaks: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    """How many seconds its release has to soak, for each length that is asked for."""
    targets: Mapped[int | None]
    """How many targets are asked; null: nobody has begun."""
    counts_from: Mapped[datetime]
    """Since when no check of any target failed and none is missing."""
    checked_at: Mapped[datetime]
    """Up to when that is known of all targets."""
    because: Mapped[str] = mapped_column(server_default="")
    """Why it counts from there; empty: that is when it succeeded."""
    failing: Mapped[int] = mapped_column(server_default="0")
    """Of how many targets the last check failed."""
    left_by: Mapped[int | None] = mapped_column(ForeignKey("deployments.id"))
    """The deployment that began in the slot after it."""
    due_at: Mapped[datetime | None]
    """When to look at it; null: nothing is to be asked any more."""


class TargetHealth(Base):
    """What the last check of a target said, in the watch that asked it last."""

    __tablename__ = "target_health"
    __table_args__ = (Index("ix_target_health_due_at", "deployment_id", "due_at"),)

    target_id: Mapped[int] = mapped_column(ForeignKey("targets.id"), primary_key=True)
    deployment_id: Mapped[int] = mapped_column(ForeignKey("health_watches.deployment_id"))
    healthy: Mapped[bool | None]
    """Null: it was not asked yet."""
    detail: Mapped[str] = mapped_column(server_default="")
    counts_from: Mapped[datetime]
    checked_at: Mapped[datetime]
    asked_at: Mapped[datetime | None]
    """When somebody took it to ask it."""
    due_at: Mapped[datetime]
