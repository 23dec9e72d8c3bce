"""Who there is: registering, changing, reading."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row
from sqlalchemy.orm import Session

from orchestrator import clock
from orchestrator.domain.access import Permission, Role
from orchestrator.domain.errors import (
    ConflictError,
    ForbiddenError,
    RuleViolationError,
    UnauthenticatedError,
)
from orchestrator.repositories import users
from orchestrator.services import actors, records
from orchestrator.services.actors import Actor
from orchestrator.services.preconditions import Precondition, always


@dataclass(frozen=True, slots=True, kw_only=True)
class NewUser:
    """Somebody to register; `role` None: the least one."""

    email: str
    username: str
    password_hash: str
    role: Role | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What to change of a user; None leaves it."""

    role: Role | None = None
    active: bool | None = None
    email: str | None = None
    teams: list[str] | None = None


def check_registration(session: Session, *, actor: Actor | None, role: Role | None, is_open: bool) -> None:
    """Raise unless this registration may happen now; `register` asks again under the lock."""
    _role_of(actor, role=role, is_open=is_open, is_first=not users.is_anybody(session))


def register(session: Session, new: NewUser, *, actor: Actor | None, is_open: bool) -> int:
    """Add a user; the id. The first one ever becomes admin; afterwards only admins add users, unless `is_open`.

    Raises UnauthenticatedError, ForbiddenError, ConflictError where the name or the e-mail is taken.
    """
    is_first = not users.lock_registration(session)
    role = _role_of(actor, role=new.role, is_open=is_open, is_first=is_first)
    if users.find_by_login(session, new.username) or users.find_by_login(session, new.email):
        raise ConflictError("the user name or the e-mail address is taken")
    user_id = users.insert(
        session,
        email=new.email,
        username=new.username,
        password_hash=new.password_hash,
        role=str(role),
        email_confirmed=is_first or _is_admin(actor),
    )
    if user_id is None:
        raise ConflictError("the user name or the e-mail address is taken")
    data = {"username": new.username, "role": str(role)}
    _record(session, user_id, "user.registered", actor_id=actor.id if actor else user_id, data=data)
    return user_id


def _role_of(actor: Actor | None, *, role: Role | None, is_open: bool, is_first: bool) -> Role:
    if is_first:
        return Role.ADMIN
    if _is_admin(actor):
        return role or Role.VIEWER
    if not is_open:
        if actor is None:
            raise UnauthenticatedError("only admins add users here; log in as one")
        actor.require(Permission.ADMINISTER)
    if role not in {None, Role.VIEWER}:
        raise ForbiddenError("only an admin gives a role; register without one and ask for it")
    return Role.VIEWER


def _is_admin(actor: Actor | None) -> bool:
    return actor is not None and actor.role is Role.ADMIN and actor.limits is None


def change(
    session: Session,
    user_id: int,
    changes: Changes,
    *,
    actor: Actor,
    precondition: Precondition = always,
) -> None:
    """Change a user. Somebody who is deactivated is logged out everywhere at once.

    People change their own e-mail address, which is confirmed only where an admin gives it; role, teams and activity are
    for admins, and one active admin must stay.
    Raises ForbiddenError, NotFoundError, RuleViolationError, ConflictError.
    """
    for_admins = (changes.role, changes.active, changes.teams)
    if actor.id != user_id or any(each is not None for each in for_admins):
        actor.require(Permission.ADMINISTER)
    users.lock_registration(session)
    row = users.get(session, user_id, lock=True)
    precondition(row)
    role = changes.role if changes.role is not None else Role(row.role)
    active = changes.active if changes.active is not None else bool(row.active)
    was_admin = row.role == Role.ADMIN and row.active
    if was_admin and not (role is Role.ADMIN and active) and users.count_active_admins(session) <= 1:
        raise RuleViolationError(f"{row.username} is the last active admin; make somebody else one first")
    email = changes.email if changes.email is not None else row.email
    is_confirmed = bool(row.email_confirmed) and email == row.email
    teams = sorted(set(changes.teams)) if changes.teams is not None else row.teams
    done = users.update(
        session,
        user_id,
        role=str(role),
        active=active,
        email=email,
        email_confirmed=is_confirmed or (changes.email is not None and _is_admin(actor)),
        teams=teams,
    )
    if not done:
        raise ConflictError("the e-mail address is taken")
    if not active:
        users.end_sign_ins_of(session, user_id, because="deactivated")
    data = {"role": str(role), "active": active, "teams": teams, "email_changed": email != row.email}
    _record(session, user_id, "user.changed", actor_id=actor.id, data=data)


def change_password(session: Session, old_hash: str, new_hash: str, *, actor: Actor) -> None:
    """Give who acts another password; their other logins end. Raises ConflictError where it was changed meanwhile."""
    actor.require_person("a password")
    if not users.change_password(session, actor.id, old_hash=old_hash, new_hash=new_hash):
        raise ConflictError("your password was changed at this very moment; log in anew")
    users.end_sign_ins_of(session, actor.id, because="password changed", but=actor.sign_in_id)
    _record(session, actor.id, "user.password_changed", actor_id=actor.id, data={})


def _record(session: Session, user_id: int, kind: str, *, actor_id: int, data: dict[str, Any]) -> None:
    records.record(session, f"user:{user_id}", kind, actor_id=actor_id, at=clock.now(), data=data)


def find_actor(session: Session | Connection, sign_in_id: str) -> Actor | None:
    """Who acts with this sign-in; None where it or its user has ended: one indexed SELECT."""
    row: Row[Any] | None = users.find_actor(session, sign_in_id)
    return None if row is None else actors.of_row(row, sign_in_id)
