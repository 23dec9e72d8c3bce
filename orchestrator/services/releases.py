"""Recording releases."""

from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from orchestrator import clock
from orchestrator.domain.access import Permission
from orchestrator.domain.artifacts import why_not_a_file
from orchestrator.domain.errors import ConflictError, FieldProblem, InvalidInputError, RuleViolationError
from orchestrator.repositories import applications, releases
from orchestrator.services import records
from orchestrator.services.actors import Actor

FIRST_COMMIT = datetime(1970, 1, 1, tzinfo=UTC)
CLOCKS_DIFFER = timedelta(minutes=5)
"""How far ahead of ours the clock of whoever committed may be."""


def is_believable(committed_at: datetime, now: datetime) -> bool:
    """Whether something can have been committed then."""
    return FIRST_COMMIT <= committed_at <= now + CLOCKS_DIFFER


def create(
    session: Session,
    *,
    name: str,
    version: str,
    artifact: str,
    changes: str,
    actor: Actor,
    artifact_sha256: str = "",
    committed_at: datetime | None = None,
) -> int:
    """Record an immutable release; its id. `committed_at`: when its change was committed, where that is known.

    Raises NotFoundError for an unknown application, ConflictError for a version that is there already, RuleViolationError
    for a checksum of what is no file, ForbiddenError, and InvalidInputError for a commit that is still to come, or before 1970.
    """
    if artifact_sha256 and (why := why_not_a_file(artifact)):
        raise RuleViolationError(f"the artifact has a checksum and {why}")
    actor.require_application(Permission.CREATE_RELEASE, name)
    now = clock.now()
    if committed_at is not None and not is_believable(committed_at, now):
        raise InvalidInputError(
            problems=[FieldProblem("/committed_at", "must be after 1970, and not to come")]
        )
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
        committed_at=committed_at,
    )
    if release_id is None:
        raise ConflictError(
            f"{name} {version} is there already; a release never changes, so record a new version"
        )
    data = {"name": name, "version": version, "artifact": artifact}
    if artifact_sha256:
        data["artifact_sha256"] = artifact_sha256
    if committed_at is not None:
        data["committed_at"] = committed_at.isoformat()
    records.record(session, f"release:{release_id}", "release.created", actor_id=actor.id, at=now, data=data)
    return release_id
