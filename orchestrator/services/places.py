"""Whose an application is, and which environments are restricted."""

from sqlalchemy.orm import Session

from orchestrator import clock
from orchestrator.domain.access import Permission, Role, allows
from orchestrator.domain.errors import ForbiddenError, NotFoundError, RuleViolationError
from orchestrator.repositories import applications, users
from orchestrator.services import actors, records
from orchestrator.services.actors import Actor
from orchestrator.services.preconditions import Precondition, always


def hand_over(
    session: Session, name: str, *, owner: str, actor: Actor, precondition: Precondition = always
) -> None:
    """Make an application somebody else's; its owner and admins may. Handing it to its owner does nothing.

    Raises NotFoundError, ForbiddenError, RuleViolationError for somebody who may not store its pipeline.
    """
    actor.require_person("handing an application over")
    found = applications.find(session, name, lock=True)
    if found is None:
        raise NotFoundError(f"there is no application {name!r}")
    if actor.id != found.owner_id and actor.role_in(name, None) is not Role.ADMIN:
        raise ForbiddenError(f"{name} is handed over by its owner {found.owner} and by admins")
    precondition(found)
    user = users.find_by_login(session, owner)
    if user is None:
        raise NotFoundError(f"there is no user {owner!r}")
    heir, is_active = actors.of_user(session, user.id)
    if not (is_active and allows(heir.role_in(name, None), Permission.CONFIGURE)):
        raise RuleViolationError(
            f"{user.username} may not store a pipeline of {name}: give the role deployer first"
        )
    if user.id == found.owner_id:
        return
    applications.set_owner(session, found.id, owner_id=user.id)
    data = {"application": name, "owner": user.username, "before": found.owner}
    records.record(
        session,
        f"application:{found.id}",
        "application.handed_over",
        actor_id=actor.id,
        at=clock.now(),
        data=data,
    )


def restrict(
    session: Session, name: str, *, restricted: bool, actor: Actor, precondition: Precondition = always
) -> None:
    """Say whether a deployer needs a grant that names this environment. What waits to be deployed there stays.

    Raises NotFoundError, ForbiddenError.
    """
    actor.require_place(Permission.OPERATE, application=None, environment=name)
    found = applications.get_environment(session, name, lock=True)
    precondition(found)
    if found.restricted == restricted:
        return
    applications.set_restricted(session, found.id, restricted=restricted)
    records.record(
        session,
        f"environment:{found.id}",
        "environment.changed",
        actor_id=actor.id,
        at=clock.now(),
        data={"environment": name, "restricted": restricted},
    )
