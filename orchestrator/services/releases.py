"""Recording releases."""

from sqlalchemy.orm import Session

from orchestrator import clock
from orchestrator.domain.access import Permission
from orchestrator.domain.artifacts import why_not_a_file
from orchestrator.domain.errors import ConflictError, RuleViolationError
from orchestrator.repositories import applications, releases
from orchestrator.services import records
from orchestrator.services.actors import Actor


def create(
    session: Session,
    *,
    name: str,
    version: str,
    artifact: str,
    changes: str,
    actor: Actor,
    artifact_sha256: str = "",
) -> int:
    """Record an immutable release; its id.

    Raises NotFoundError for an unknown application, ConflictError for a version that is there already, RuleViolationError
    for a checksum of what is no file, ForbiddenError.
    """
    if artifact_sha256 and (why := why_not_a_file(artifact)):
        raise RuleViolationError(f"the artifact has a checksum and {why}")
    actor.require_application(Permission.CREATE_RELEASE, name)
    application = applications.get(session, name)
    release_id = releases.insert(
        session,
        application_id=application.id,
        name=name,
        version=version,
        artifact=artifact,
        artifact_sha256=artifact_sha256,
        changes=changes,
        created_by=actor.id,
    )
    if release_id is None:
        raise ConflictError(
            f"{name} {version} is there already; a release never changes, so record a new version"
        )
    data = {"name": name, "version": version, "artifact": artifact}
    if artifact_sha256:
        data["artifact_sha256"] = artifact_sha256
    records.record(
        session, f"release:{release_id}", "release.created", actor_id=actor.id, at=clock.now(), data=data
    )
    return release_id
