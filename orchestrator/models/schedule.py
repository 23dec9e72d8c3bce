"""What the clock requests by itself: recurring deployments, and promotions."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.models.base import Base, Id, Timestamps


class Schedule(Timestamps, Base):
    """A deployment that is requested again and again. It never changes, it is removed."""

    __tablename__ = "schedules"
    __table_args__ = (
        CheckConstraint("(removed_at IS NULL) = (removed_by IS NULL)", name="removed"),
        CheckConstraint("removed_at IS NULL OR due_at IS NULL", name="due"),
        Index("ix_schedules_due_at", "due_at", postgresql_where=text("due_at IS NOT NULL")),
    )

    id: Mapped[Id]
    application_id: Mapped[int] = mapped_column(ForeignKey("applications.id"))
    environment: Mapped[str] = mapped_column(ForeignKey("environments.name"))
    from_environment: Mapped[str | None] = mapped_column(ForeignKey("environments.name"))
    """Of which environment it takes what succeeded there last; null: the newest release there is."""
    cron: Mapped[str]
    zone: Mapped[str]
    reason: Mapped[str] = mapped_column(server_default="")
    created_by: Mapped[int] = mapped_column(ForeignKey("users.id"))
    next_at: Mapped[datetime | None]
    """The occurrence that comes next."""
    due_at: Mapped[datetime | None]
    """When to look at it: `next_at`, or soon after a look that came to no end."""
    last_deployment_id: Mapped[int | None] = mapped_column(ForeignKey("deployments.id"))
    last_outcome: Mapped[str] = mapped_column(server_default="")
    removed_at: Mapped[datetime | None]
    removed_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))


class Promotion(Base):
    """A success whose release goes on by itself; written with it, and done by the next tick."""

    __tablename__ = "promotions"
    __table_args__ = (Index("ix_promotions_due_at", "due_at", postgresql_where=text("due_at IS NOT NULL")),)

    deployment_id: Mapped[int] = mapped_column(ForeignKey("deployments.id"), primary_key=True)
    due_at: Mapped[datetime | None]
    """When to look at it; null: it is done."""
