"""Roles for one application: who gives them, and who takes them away."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row
from sqlalchemy.orm import Session

from orchestrator import clock
from orchestrator.domain.access import Role, at_least
from orchestrator.domain.errors import ConflictError, ForbiddenError, NotFoundError
from orchestrator.repositories import applications, grants, users
from orchestrator.services import records
from orchestrator.services.actors import Actor
from orchestrator.services.preconditions import Precondition, always


def create(
    session: Session,
    *,
    application: str,
    user: str | None,
    team: str | None,
    role: Role,
    environments: Sequence[str],
    actor: Actor,
) -> int:
    """Give a user or a team a role for an application, in some environments of it or in all; the grant's id.

    It counts from their next request on. The application's owner and admins give roles, and none that they have not there.
    Raises NotFoundError, ForbiddenError, ConflictError where they have that role there already.
    """
    found = applications.get(session, application)
    names = sorted(set(environments))
    for name in names:
        applications.get_environment(session, name)
    _require_giving(actor, found, role=role, environments=names)
    values = {
        "application_id": found.id,
        "user_id": None if user is None else _user_id(session, user),
        "team": team,
        "role": str(role),
        "environments": names,
    }
    grant_id = grants.add(session, {**values, "created_by": actor.id})
    if grant_id is None:
        raise ConflictError(f"{user or team} has the role {role} for {application}; remove that grant first")
    data = {
        "application": application,
        "user": user,
        "team": team,
        "role": str(role),
        "environments": names,
    }
    _record(session, grant_id, "grant.created", actor, data)
    return grant_id


def remove(session: Session, grant_id: int, *, actor: Actor, precondition: Precondition = always) -> None:
    """Take a role away; a second call does nothing. Who may give it may take it. Raises NotFoundError, ForbiddenError."""
    row = grants.get(session, grant_id, lock=True)
    found = applications.get(session, row.application)
    _require_giving(actor, found, role=Role(row.role), environments=row.environments)
    precondition(row)
    if grants.remove(session, grant_id, removed_by=actor.id):
        _record(session, grant_id, "grant.removed", actor, {"application": row.application})


def _require_giving(actor: Actor, application: Row[Any], *, role: Role, environments: Sequence[str]) -> None:
    """An owner who could give more than they have could give it to themselves."""
    actor.require_person("a grant")
    is_admin = actor.role_in(application.name, None) is Role.ADMIN
    if actor.id != application.owner_id and not is_admin:
        raise ForbiddenError(
            f"roles for {application.name} are given by its owner {application.owner} and by admins"
        )
    for environment in environments or (None,):
        own = actor.role_in(application.name, environment)
        if not at_least(own, role):
            where = f" in {environment}" if environment else ""
            raise ForbiddenError(
                f"nobody gives more than they have: yours for {application.name}{where} is {own}"
            )


def _user_id(session: Session, username: str) -> int:
    found = users.find_by_login(session, username)
    if found is None:
        raise NotFoundError(f"there is no user {username!r}")
    return int(found.id)


def _record(session: Session, grant_id: int, kind: str, actor: Actor, data: dict[str, Any]) -> None:
    records.record(session, f"grant:{grant_id}", kind, actor_id=actor.id, at=clock.now(), data=data)
