"""Who may more in one application than everywhere."""

from datetime import datetime

from sqlalchemy import ARRAY, CheckConstraint, ForeignKey, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.models.base import Base, Id, Timestamps

_HELD = text("removed_at IS NULL")


class Grant(Timestamps, Base):
    """A role for one application, of a user or of a team. It never changes, it is removed."""

    __tablename__ = "grants"
    __table_args__ = (
        CheckConstraint("role IN ('deployer', 'operator', 'admin')", name="role"),
        CheckConstraint("(user_id IS NULL) <> (team IS NULL)", name="grantee"),
        CheckConstraint("(removed_at IS NULL) = (removed_by IS NULL)", name="removed"),
        Index("ix_grants_user", "user_id", "application_id", "role", unique=True, postgresql_where=_HELD),
        Index("ix_grants_team", "team", "application_id", "role", unique=True, postgresql_where=_HELD),
    )

    id: Mapped[Id]
    application_id: Mapped[int] = mapped_column(ForeignKey("applications.id"))
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    team: Mapped[str | None]
    role: Mapped[str]
    environments: Mapped[list[str]] = mapped_column(ARRAY(Text))
    """Only these; empty: all that are not restricted."""
    created_by: Mapped[int] = mapped_column(ForeignKey("users.id"))
    removed_at: Mapped[datetime | None]
    removed_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
