"""Applications, their pipelines, environments and targets."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from orchestrator.domain.errors import NotFoundError

_ENSURE = text("""
    INSERT INTO applications (name, description, owner_id) VALUES (:name, :description, :owner_id)
    ON CONFLICT (name) DO NOTHING
""")

_READ = """
    SELECT a.*, u.username AS owner, p.document, p.source, p.created_at AS pipeline_created_at,
        pu.username AS pipeline_created_by
    FROM applications a JOIN users u ON u.id = a.owner_id
    LEFT JOIN pipelines p ON p.application_id = a.id AND p.revision = a.pipeline_revision
    LEFT JOIN users pu ON pu.id = p.created_by
"""

_LOCK = text("SELECT id FROM applications WHERE name = :name FOR NO KEY UPDATE")

_ADD_PIPELINE = text("""
    WITH app AS (
        UPDATE applications SET pipeline_revision = pipeline_revision + 1, description = :description,
            updated_at = clock_timestamp()
        WHERE id = :id RETURNING id, pipeline_revision
    )
    INSERT INTO pipelines (application_id, revision, source, document, created_by)
    SELECT id, pipeline_revision, :source, CAST(:document AS json), :created_by FROM app
    RETURNING revision
""")

_ENSURE_ENVIRONMENTS = text("""
    INSERT INTO environments (name, position)
    SELECT name, position FROM json_to_recordset(CAST(:environments AS json)) AS e(name text, position bigint)
    ON CONFLICT (name) DO NOTHING
""")

_PUT_TARGETS = text("""
    WITH wanted AS (
        SELECT * FROM json_to_recordset(CAST(:targets AS json))
            AS t(environment text, name text, kind text, settings jsonb, position bigint)
    ), gone AS (
        UPDATE targets SET active = false, updated_at = clock_timestamp()
        WHERE application_id = :id AND active AND (environment, name) NOT IN (SELECT environment, name FROM wanted)
    )
    INSERT INTO targets (application_id, environment, name, kind, settings, position)
    SELECT :id, environment, name, kind, settings, position FROM wanted
    ON CONFLICT (application_id, environment, name) DO UPDATE SET kind = EXCLUDED.kind, settings = EXCLUDED.settings,
        position = EXCLUDED.position, active = true, updated_at = clock_timestamp()
""")


def ensure(session: Session, name: str, *, description: str, owner_id: int) -> None:
    """Add the application unless it is there."""
    session.execute(_ENSURE, {"name": name, "description": description, "owner_id": owner_id})


def find(session: Session, name: str, *, lock: bool = False) -> Row[Any] | None:
    """The application with its current pipeline, by name."""
    if lock:  # first, and by itself: who waited for it would else join what it was with what it has become
        session.execute(_LOCK, {"name": name})
    return session.execute(text(_READ + " WHERE a.name = :name"), {"name": name}).one_or_none()


def get(session: Session, name: str) -> Row[Any]:
    """As `find`. Raises NotFoundError."""
    row = find(session, name)
    if row is None:
        raise NotFoundError(f"there is no application {name!r}; `releasectl apply -f` records one")
    return row


def page(session: Session, *, after: str, skip: int, limit: int) -> list[Row[Any]]:
    """Applications by name, after a cursor."""
    statement = text(_READ + " WHERE a.name > :after ORDER BY a.name OFFSET :skip LIMIT :limit")
    return list(session.execute(statement, {"after": after, "skip": skip, "limit": limit}))


def add_pipeline(
    session: Session,
    application_id: int,
    *,
    source: str,
    document: Mapping[str, Any],
    description: str,
    created_by: int,
) -> int:
    """Add the next revision; its number."""
    params = {
        "id": application_id,
        "source": source,
        "document": orjson.dumps(document).decode(),
        "description": description,
        "created_by": created_by,
    }
    return int(session.execute(_ADD_PIPELINE, params).scalar_one())


def pipeline(session: Session, application_id: int, revision: int) -> Mapping[str, Any]:
    """A revision that there is, as it was understood."""
    statement = text("SELECT document FROM pipelines WHERE application_id = :id AND revision = :revision")
    found: Mapping[str, Any] = session.execute(
        statement, {"id": application_id, "revision": revision}
    ).scalar_one()
    return found


def ensure_environments(session: Session, names: Sequence[str]) -> None:
    """Add the environments that are not there yet, in the order in which the pipeline names them."""
    rows = [{"name": name, "position": position} for position, name in enumerate(names)]
    session.execute(_ENSURE_ENVIRONMENTS, {"environments": orjson.dumps(rows).decode()})


def put_targets(session: Session, application_id: int, targets: Sequence[Mapping[str, Any]]) -> None:
    """Make the application's active targets exactly these; one that is no longer named becomes inactive."""
    session.execute(_PUT_TARGETS, {"id": application_id, "targets": orjson.dumps(targets).decode()})


def environments(session: Session) -> list[Row[Any]]:
    """Every environment in order of promotion."""
    return list(session.execute(text("SELECT * FROM environments ORDER BY position, name")))


def get_environment(session: Session, name: str, *, lock: bool = False) -> Row[Any]:
    """One environment. Raises NotFoundError."""
    statement = text("SELECT * FROM environments WHERE name = :name" + (" FOR NO KEY UPDATE" if lock else ""))
    row = session.execute(statement, {"name": name}).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no environment {name!r}")
    return row


def set_owner(session: Session, application_id: int, *, owner_id: int) -> None:
    """Make it somebody else's."""
    statement = text(
        "UPDATE applications SET owner_id = :owner_id, updated_at = clock_timestamp() WHERE id = :id"
    )
    session.execute(statement, {"id": application_id, "owner_id": owner_id})


def set_restricted(session: Session, environment_id: int, *, restricted: bool) -> None:
    """Say whether a deployer needs a grant that names it."""
    statement = text(
        "UPDATE environments SET restricted = :restricted, updated_at = clock_timestamp() WHERE id = :id"
    )
    session.execute(statement, {"id": environment_id, "restricted": restricted})
