"""What people say to deployments: no (a lock), yes (an approval), and when (windows and freezes)."""

from datetime import datetime

from sqlalchemy import ARRAY, CheckConstraint, ForeignKey, Index, Text, false, func, text
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.models.base import Base, Id, Json, Timestamps


class Lock(Timestamps, Base):
    """A person's no, until it is released or expires. Without an application it is for all, and so without an environment.

    Without who made it, it is the orchestrator's own, after a rollback that failed.
    """

    __tablename__ = "locks"
    __table_args__ = (
        CheckConstraint("(released_at IS NULL) = (released_by IS NULL)", name="released"),
        Index("ix_locks_held", "application_id", "environment", postgresql_where=text("released_at IS NULL")),
    )

    id: Mapped[Id]
    application_id: Mapped[int | None] = mapped_column(ForeignKey("applications.id"))
    environment: Mapped[str | None] = mapped_column(ForeignKey("environments.name"))
    reason: Mapped[str]
    warning_only: Mapped[bool] = mapped_column(server_default=false())
    created_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    expires_at: Mapped[datetime | None]
    released_at: Mapped[datetime | None]
    released_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))


class Approval(Base):
    """One person's yes to one deployment, with the role and the teams they had then."""

    __tablename__ = "approvals"

    deployment_id: Mapped[int] = mapped_column(ForeignKey("deployments.id"), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True)
    role: Mapped[str]
    teams: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    reason: Mapped[str] = mapped_column(server_default="")
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class WindowRule(Timestamps, Base):
    """A window or a freeze of an environment, as `window_reading.to_document` writes it. It never changes, it is removed."""

    __tablename__ = "window_rules"
    __table_args__ = (
        CheckConstraint("(removed_at IS NULL) = (removed_by IS NULL)", name="removed"),
        Index("ix_window_rules_held", "environment", postgresql_where=text("removed_at IS NULL")),
    )

    id: Mapped[Id]
    environment: Mapped[str] = mapped_column(ForeignKey("environments.name"))
    document: Mapped[Json]
    created_by: Mapped[int] = mapped_column(ForeignKey("users.id"))
    removed_at: Mapped[datetime | None]
    removed_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
