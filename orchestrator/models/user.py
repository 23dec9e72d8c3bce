"""People and machines that act, and their sign-ins."""

from datetime import datetime

from sqlalchemy import ARRAY, CheckConstraint, ForeignKey, Index, Text, UniqueConstraint, false, text, true
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.models.base import Base, Id, Timestamps


class User(Timestamps, Base):
    """Somebody who may act, with the role that says what."""

    __tablename__ = "users"
    __table_args__ = (
        CheckConstraint("role IN ('viewer', 'deployer', 'operator', 'admin')", name="role"),
        Index("ix_users_email", text("lower(email)"), unique=True),
        Index("ix_users_username", text("lower(username)"), unique=True),
    )

    id: Mapped[Id]
    email: Mapped[str]
    username: Mapped[str]
    password_hash: Mapped[str]
    role: Mapped[str]
    teams: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    active: Mapped[bool] = mapped_column(server_default=true())
    email_confirmed: Mapped[bool] = mapped_column(server_default=false())
    """Whether an admin or the provider gave the address, and not only whose account it is."""


class Identity(Timestamps, Base):
    """Who a user is at an OpenID Connect provider."""

    __tablename__ = "identities"
    __table_args__ = (UniqueConstraint("user_id", "issuer"),)

    issuer: Mapped[str] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))


class SignIn(Timestamps, Base):
    """One sign-in and every refresh token that descends from it; only the newest of them is good."""

    __tablename__ = "sign_ins"

    id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    current_token_id: Mapped[str]
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    ended_because: Mapped[str | None]
