"""What was built and may be shipped."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.models.base import Base, Id, Timestamps


class Release(Timestamps, Base):
    """An immutable version of an application; `name` is the application's."""

    __tablename__ = "releases"
    __table_args__ = (
        UniqueConstraint("name", "version"),
        Index("ix_releases_version", "version"),
        CheckConstraint("status IN ('available', 'withdrawn')", name="status"),
        CheckConstraint("artifact_sha256 ~ '^([0-9a-f]{64})?$'", name="artifact_sha256"),
    )

    id: Mapped[Id]
    application_id: Mapped[int] = mapped_column(ForeignKey("applications.id"), index=True)
    name: Mapped[str]
    version: Mapped[str]
    status: Mapped[str] = mapped_column(server_default="available", index=True)
    artifact: Mapped[str] = mapped_column(server_default="")
    artifact_sha256: Mapped[str] = mapped_column(server_default="")
    changes: Mapped[str] = mapped_column(server_default="")
    created_by: Mapped[int] = mapped_column(ForeignKey("users.id"))
    committed_at: Mapped[datetime | None]
    """When its change was committed to version control; null: nobody said."""
