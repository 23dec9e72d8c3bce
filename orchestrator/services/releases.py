"""Recording releases."""

from sqlalchemy.orm import Session

from orchestrator import clock
from orchestrator.domain.access import Permission
from orchestrator.domain.errors import ConflictError
from orchestrator.repositories import applications, releases
from orchestrator.services import records
from orchestrator.services.actors import Actor


def create(session: Session, *, name: str, version: str, artifact: str, changes: str, actor: Actor) -> int:
    """Record an immutable release; its id.

    Raises NotFoundError for an unknown application, ConflictError for a version that is there already, ForbiddenError.
    """
    actor.require_application(Permission.CREATE_RELEASE, name)
    application = applications.get(session, name)
    release_id = releases.insert(
        session,
        application_id=application.id,
        name=name,
        version=version,
        artifact=artifact,
        changes=changes,
        created_by=actor.id,
    )
    if release_id is None:
        raise ConflictError(
            f"{name} {version} is there already; a release never changes, so record a new version"
        )
    data = {"name": name, "version": version, "artifact": artifact}
    records.record(
        session, f"release:{release_id}", "release.created", actor_id=actor.id, at=clock.now(), data=data
    )
    return release_id
