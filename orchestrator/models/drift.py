"""What targets said when they were asked what runs there."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.models.base import Base


class DriftCheck(Base):
    """One target that is asked; what it said counts while `deployment_id` is what its installation says."""

    __tablename__ = "drift_checks"
    __table_args__ = (
        CheckConstraint("state IN ('same', 'differs', 'unknown')", name="state"),
        CheckConstraint(
            "(state IS NULL) = (checked_at IS NULL) AND (state IS NULL) = (deployment_id IS NULL)",
            name="checked",
        ),
    )

    target_id: Mapped[int] = mapped_column(ForeignKey("targets.id"), primary_key=True)
    deployment_id: Mapped[int | None] = mapped_column(ForeignKey("deployments.id"))
    state: Mapped[str | None]
    """Null: it was not asked yet."""
    detail: Mapped[str] = mapped_column(server_default="")
    since: Mapped[datetime | None]
    """Since when it is in this state, as far as was asked."""
    checked_at: Mapped[datetime | None]
    told: Mapped[bool] = mapped_column(server_default="false")
    """Whether an event says that it differs, and none since that it no longer does."""
    asked_at: Mapped[datetime | None]
    """When somebody took it to ask it."""
    due_at: Mapped[datetime] = mapped_column(index=True)
