"""What a machine authenticates itself with."""

from datetime import datetime

from sqlalchemy import ARRAY, CheckConstraint, ForeignKey, LargeBinary, Text
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.models.base import Base, Id, Timestamps


class ApiToken(Timestamps, Base):
    """A user's rights, or less of them, for a machine. Of the token itself only a hash is kept."""

    __tablename__ = "api_tokens"
    __table_args__ = (CheckConstraint("(revoked_at IS NULL) = (revoked_by IS NULL)", name="revoked"),)

    id: Mapped[Id]
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    name: Mapped[str]
    hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    hint: Mapped[str]
    """Its beginning, to tell it from others."""
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    applications: Mapped[list[str]] = mapped_column(ARRAY(Text))
    """Only these; empty: all."""
    environments: Mapped[list[str]] = mapped_column(ARRAY(Text))
    """Only these; empty: all."""
    expires_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    revoked_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
