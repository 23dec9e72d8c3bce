"""Who somebody is here whom an OpenID Connect provider knows."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from orchestrator import clock, log
from orchestrator.domain.access import Role, highest_role
from orchestrator.domain.errors import ConflictError, ForbiddenError, UnauthenticatedError
from orchestrator.repositories import identities, users
from orchestrator.security import NO_PASSWORD
from orchestrator.services import records, sign_ins
from orchestrator.services.sign_ins import SignedIn

_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")
_MOST_CHARACTERS = 63

_logger = log.get(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a provider said of somebody, once it is verified that it did."""

    issuer: str
    subject: str
    """What it will always call them, and nobody else."""
    email: str | None
    """Only if it vouches for it."""
    name: str | None
    """The user name they would like."""
    groups: frozenset[str]


def log_in(session: Session, identity: Identity, *, roles: Mapping[str, Role]) -> SignedIn:
    """Begin a sign-in of the user this is, who gets the role that `roles` gives their groups.

    Where the provider's subject is new, it is the user with the e-mail address that it and an admin vouch for; else
    a new one, if `roles` gives them a role. Raises UnauthenticatedError for who is deactivated, and ForbiddenError or
    ConflictError for who is nobody here.
    """
    users.lock_registration(session)
    role = highest_role(identity.groups, roles)
    linked = identities.find_user(session, issuer=identity.issuer, subject=identity.subject)
    user_id = linked if linked is not None else _find_by_email(session, identity)
    if user_id is not None and not users.get(session, user_id, lock=True).active:
        raise UnauthenticatedError("this user is not active")
    if roles and role is None:
        raise ForbiddenError("none of your groups has a role here; ask an admin")
    if user_id is None:
        user_id = _register(session, identity, role)
    if linked is None:
        _link(session, identity, user_id)
    if role is not None:
        _give_role(session, user_id, role)
    return sign_ins.begin(session, user_id, by=identity.issuer)


def _find_by_email(session: Session, identity: Identity) -> int | None:
    row = users.find_by_login(session, identity.email) if identity.email is not None else None
    if row is None:
        return None
    if not row.email_confirmed:
        # Whoever has that account may have typed the address of somebody who may do more.
        raise ForbiddenError(
            "a user has your e-mail address, which no admin has confirmed; ask one to set it again"
        )
    return int(row.id)


def _register(session: Session, identity: Identity, role: Role | None) -> int:
    if role is None:
        raise ForbiddenError("you have no account here; ask an admin to add you with your e-mail address")
    if identity.email is None:
        raise ForbiddenError(
            "the provider does not vouch for an e-mail address of yours; ask an admin to add you"
        )
    for username in _usernames(identity.name, identity.email):
        user_id = users.insert(
            session,
            email=identity.email,
            username=username,
            password_hash=NO_PASSWORD,
            role=str(role),
            email_confirmed=True,
        )
        if user_id is not None:
            _record(session, user_id, "user.registered", {"username": username, "role": str(role)})
            return user_id
    raise ConflictError("your user name is taken here; ask an admin to add you")


def _usernames(wished: str | None, email: str) -> Iterator[str]:
    """Names to try, in this order: the one they would like, then the one of their mailbox."""
    for name in (wished or "", email.partition("@")[0]):
        fit = _UNFIT.sub("-", name).strip("._-")[:_MOST_CHARACTERS]
        if fit:
            yield fit


def _link(session: Session, identity: Identity, user_id: int) -> None:
    """From now on the subject counts, and no e-mail address."""
    if not identities.insert(session, issuer=identity.issuer, subject=identity.subject, user_id=user_id):
        raise ConflictError(
            "the user with your e-mail address is somebody else at the provider; ask an admin"
        )
    _record(session, user_id, "user.linked", {"issuer": identity.issuer, "subject": identity.subject})


def _give_role(session: Session, user_id: int, role: Role) -> None:
    """As their groups say, but one active admin must stay."""
    row = users.get(session, user_id, lock=True)
    if row.role == role:
        return
    if row.role == Role.ADMIN and users.count_active_admins(session) <= 1:
        _logger.warning(
            "role_kept", user=row.username, role=row.role, given=str(role), why="the last active admin"
        )
        return
    users.set_role(session, user_id, str(role))
    data = {"role": str(role), "active": True, "teams": row.teams, "email_changed": False}
    _record(session, user_id, "user.changed", data)


def _record(session: Session, user_id: int, kind: str, data: dict[str, Any]) -> None:
    records.record(session, f"user:{user_id}", kind, actor_id=user_id, at=clock.now(), data=data)
