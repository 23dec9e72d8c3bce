"""A person's no: locks on an application, an environment, a slot or everything."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Row
from sqlalchemy.orm import Session

from orchestrator import clock
from orchestrator.domain.access import Permission
from orchestrator.domain.errors import ForbiddenError, NotFoundError, RuleViolationError
from orchestrator.domain.gates import LOCK
from orchestrator.repositories import applications, gates, waking
from orchestrator.services import execution, records
from orchestrator.services.actors import Actor
from orchestrator.services.preconditions import Precondition, always


def create(
    session: Session,
    *,
    application: str | None,
    environment: str | None,
    reason: str,
    warning_only: bool,
    expires_at: datetime | None,
    actor: Actor,
) -> int:
    """Lock; the lock's id. What runs goes on; nothing more starts but for who locked, and automatic rollbacks.

    A start that is being decided at this moment is waited for: none comes after the commit.
    Without an application it needs an operator. Raises NotFoundError, ForbiddenError, RuleViolationError.
    """
    needed = Permission.DEPLOY if application is not None else Permission.OPERATE
    actor.require_place(needed, application=application, environment=environment)
    if expires_at is not None and expires_at <= clock.now():
        raise RuleViolationError("`expires_at` must lie in the future")
    application_id = _application_id(session, application)
    place = None if environment is None else applications.get_environment(session, environment).name
    lock_id = gates.add_lock(
        session,
        application_id=application_id,
        environment=place,
        reason=reason,
        warning_only=warning_only,
        created_by=actor.id,
        expires_at=expires_at,
    )
    data = {
        "application": application,
        "environment": environment,
        "reason": reason,
        "warning_only": warning_only,
    }
    _record(session, lock_id, "lock.created", actor, data)
    if not warning_only:
        waking.let_looks_end(session, application_id=application_id, environment=place)
    return lock_id


def release(session: Session, lock_id: int, *, actor: Actor, precondition: Precondition = always) -> None:
    """Release a lock and wake whoever waited for it; a second call does nothing.

    Its owner and operators may; one of the orchestrator's, whoever may deploy there.
    """
    lock = gates.get_lock(session, lock_id, hold=True)
    _require_release(lock, actor)
    precondition(lock)
    if not gates.release_lock(session, lock_id, released_by=actor.id):
        return
    _record(session, lock_id, "lock.released", actor, {})
    woken = waking.wake_held(
        session, [LOCK], application_id=lock.application_id, environment=lock.environment
    )
    for deployment_id in woken:
        execution.nudge_advance(
            session, deployment_id, f"deployment {deployment_id}, lock {lock_id} released"
        )


def may_release(lock: Row[Any], actor: Actor) -> bool:
    """Whether it is held and they may release it."""
    if lock.released_at is not None or (lock.expires_at is not None and lock.expires_at <= clock.now()):
        return False
    try:
        _require_release(lock, actor)
    except ForbiddenError:
        return False
    return True


def _require_release(lock: Row[Any], actor: Actor) -> None:
    place = {"application": lock.application, "environment": lock.environment}
    actor.require_place(Permission.DEPLOY, **place)
    if lock.created_by is not None:
        actor.require_ownership(lock.created_by, f"lock {lock.id} of {lock.created_by_name}", **place)


def _application_id(session: Session, name: str | None) -> int | None:
    if name is None:
        return None
    found = applications.find(session, name)
    if found is None:
        raise NotFoundError(f"there is no application {name!r}")
    return int(found.id)


def _record(session: Session, lock_id: int, kind: str, actor: Actor, data: Mapping[str, object]) -> None:
    records.record(session, f"lock:{lock_id}", kind, actor_id=actor.id, at=clock.now(), data=data)
