"""Who may tell us of releases, and what they told."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, LargeBinary, func
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.models.base import Base, Id, Json, Timestamps


class Hook(Timestamps, Base):
    """A way for another system to announce releases of one application; it acts as who made it."""

    __tablename__ = "hooks"
    __table_args__ = (
        CheckConstraint("sender IN ('github', 'gitlab', 'generic')", name="sender"),
        CheckConstraint("(removed_at IS NULL) = (removed_by IS NULL)", name="removed"),
        CheckConstraint("(removed_at IS NULL) = (secret IS NOT NULL)", name="secret"),
    )

    id: Mapped[Id]
    sender: Mapped[str]
    application_id: Mapped[int] = mapped_column(ForeignKey("applications.id"))
    tag_prefix: Mapped[str]
    """What stands before the version in a tag."""
    secret: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Sealed with a key that is not in the database."""
    created_by: Mapped[int] = mapped_column(ForeignKey("users.id"))
    removed_at: Mapped[datetime | None]
    removed_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))


class HookReceipt(Base):
    """A message that was believed, and what it was answered: the same message gets the same answer, and nothing is done twice."""

    __tablename__ = "hook_receipts"

    hook_id: Mapped[int] = mapped_column(ForeignKey("hooks.id"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    answer: Mapped[Json | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp(), index=True)
