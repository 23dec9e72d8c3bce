"""Logging in, staying logged in, logging out."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from orchestrator import clock, security
from orchestrator.domain.errors import UnauthenticatedError
from orchestrator.repositories import users
from orchestrator.services import records

REFRESH_LIFETIME = timedelta(days=7)
REUSED = "reuse"
PASSWORD = "password"  # noqa: S105  # how somebody came in


@dataclass(frozen=True, slots=True)
class Candidate:
    """Somebody whose password is about to be checked."""

    user_id: int
    password_hash: str


@dataclass(frozen=True, slots=True)
class SignedIn:
    """What tokens are made of: whose, which sign-in, and the one refresh token of it that is good now."""

    user_id: int
    sign_in_id: str
    token_id: str
    expires_at: datetime


def find_candidate(session: Session, login: str) -> Candidate | None:
    """The active user with this name or e-mail; the password is checked after the transaction, it takes long."""
    row = users.find_by_login(session, login)
    return Candidate(row.id, row.password_hash) if row is not None and row.active else None


def begin(session: Session, user_id: int, *, by: str = PASSWORD) -> SignedIn:
    """Begin a family of refresh tokens of who proved who they are by that: a password, or what a provider said.

    Raises UnauthenticatedError where the user was deactivated meanwhile.
    """
    if not users.get(session, user_id, lock=True).active:
        raise UnauthenticatedError("this user is not active")
    made = SignedIn(user_id, security.new_id(), security.new_id(), clock.now() + REFRESH_LIFETIME)
    users.add_sign_in(
        session,
        sign_in_id=made.sign_in_id,
        user_id=user_id,
        token_id=made.token_id,
        expires_at=made.expires_at,
    )
    records.record(
        session, f"user:{user_id}", "user.logged_in", actor_id=user_id, at=clock.now(), data={"by": by}
    )
    return made


def refresh(session: Session, *, sign_in_id: str, token_id: str, user_id: int) -> SignedIn | None:
    """Exchange the family's one good token for the next; None where it is not that one, and then the family has ended.

    A token that comes a second time was stolen from one of the two who sent it. Commit also after None: the end is written.
    """
    actor = users.find_actor(session, sign_in_id)
    if actor is None or actor.id != user_id:
        return None
    made = SignedIn(user_id, sign_in_id, security.new_id(), clock.now() + REFRESH_LIFETIME)
    rotated = users.rotate(
        session, sign_in_id, token_id=token_id, new_token_id=made.token_id, expires_at=made.expires_at
    )
    if rotated:
        return made
    users.end_sign_in(session, sign_in_id, because=REUSED)
    return None


def end(session: Session, sign_in_id: str) -> None:
    """Log out: access tokens of the family stop too. A second call does nothing."""
    users.end_sign_in(session, sign_in_id, because="logout")


def end_all(session: Session, user_id: int) -> None:
    """Log out everywhere."""
    users.end_sign_ins_of(session, user_id, because="logout everywhere")
