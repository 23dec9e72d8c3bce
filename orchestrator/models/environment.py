"""Where releases go."""

from sqlalchemy import ForeignKey, UniqueConstraint, false, true
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.models.base import Base, Id, Json, Timestamps


class Environment(Timestamps, Base):
    """A place releases go to."""

    __tablename__ = "environments"

    id: Mapped[Id]
    name: Mapped[str] = mapped_column(unique=True)
    position: Mapped[int] = mapped_column(server_default="0")
    restricted: Mapped[bool] = mapped_column(server_default=false())
    """Whether a deployer needs a grant that names it."""


class Target(Timestamps, Base):
    """One thing in an environment that gets an application's release. Inactive: the pipeline no longer names it."""

    __tablename__ = "targets"
    __table_args__ = (UniqueConstraint("application_id", "environment", "name"),)

    id: Mapped[Id]
    application_id: Mapped[int] = mapped_column(ForeignKey("applications.id"))
    environment: Mapped[str] = mapped_column(ForeignKey("environments.name"))
    name: Mapped[str]
    kind: Mapped[str]
    settings: Mapped[Json]
    position: Mapped[int]
    active: Mapped[bool] = mapped_column(server_default=true())
