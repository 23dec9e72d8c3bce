"""What is released, and the pipeline that says how."""

from datetime import datetime

from sqlalchemy import JSON, ForeignKey, UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.models.base import Base, Id, Json, Timestamps


class Application(Timestamps, Base):
    """Something that is released."""

    __tablename__ = "applications"

    id: Mapped[Id]
    name: Mapped[str] = mapped_column(unique=True)
    description: Mapped[str] = mapped_column(server_default="")
    owner_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    pipeline_revision: Mapped[int] = mapped_column(server_default="0")


class Pipeline(Base):
    """One revision of an application's pipeline, as it was written and as it was understood; never changed."""

    __tablename__ = "pipelines"
    __table_args__ = (UniqueConstraint("application_id", "revision"),)

    id: Mapped[Id]
    application_id: Mapped[int] = mapped_column(ForeignKey("applications.id"))
    revision: Mapped[int]
    source: Mapped[str]
    document: Mapped[Json] = mapped_column(JSON)
    """Not JSONB: the order of the environments is part of it."""
    created_by: Mapped[int] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
