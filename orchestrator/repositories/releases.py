"""Releases."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from orchestrator.domain.errors import NotFoundError

_INSERT = text("""
    INSERT INTO releases (application_id, name, version, artifact, artifact_sha256, changes, created_by, committed_at)
    VALUES (:application_id, :name, :version, :artifact, :artifact_sha256, :changes, :created_by, :committed_at)
    ON CONFLICT (name, version) DO NOTHING RETURNING id
""")

_READ = "SELECT r.*, u.username AS created_by_name FROM releases r JOIN users u ON u.id = r.created_by"


def insert(
    session: Session,
    *,
    application_id: int,
    name: str,
    version: str,
    artifact: str,
    artifact_sha256: str,
    changes: str,
    created_by: int,
    committed_at: datetime | None,
) -> int | None:
    """Add a release; its id, or None where this version is there already."""
    params = {
        "application_id": application_id,
        "name": name,
        "version": version,
        "artifact": artifact,
        "artifact_sha256": artifact_sha256,
        "changes": changes,
        "created_by": created_by,
        "committed_at": committed_at,
    }
    found: int | None = session.execute(_INSERT, params).scalar()
    return found


def get(session: Session, release_id: int) -> Row[Any]:
    """One release by id. Raises NotFoundError."""
    row = session.execute(text(_READ + " WHERE r.id = :id"), {"id": release_id}).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no release {release_id}")
    return row


def newest(session: Session, application_id: int) -> Row[Any] | None:
    """The newest release of an application that may be deployed."""
    statement = text(
        _READ + " WHERE r.application_id = :id AND r.status = 'available' ORDER BY r.id DESC LIMIT 1"
    )
    return session.execute(statement, {"id": application_id}).one_or_none()


def find(session: Session, name: str, version: str) -> Row[Any] | None:
    """One release by application and version."""
    statement = text(_READ + " WHERE r.name = :name AND r.version = :version")
    return session.execute(statement, {"name": name, "version": version}).one_or_none()


def page(
    session: Session, filters: Mapping[str, str], *, before_id: int | None, skip: int, limit: int
) -> list[Row[Any]]:
    """Newest first; `filters` by name, version or status."""
    conditions = [f"r.{name} = :{name}" for name in filters]
    if before_id is not None:
        conditions.append("r.id < :before_id")
    where = " WHERE " + " AND ".join(conditions) if conditions else ""
    params = {**filters, "before_id": before_id, "skip": skip, "limit": limit}
    statement = text(f"{_READ}{where} ORDER BY r.id DESC OFFSET :skip LIMIT :limit")
    return list(session.execute(statement, params))


_SINCE_THE_LAST = text("""
    SELECT r.id, r.version, r.changes, r.created_at FROM deployments d JOIN releases r ON r.application_id = d.application_id
    WHERE d.id = :id AND r.id <= d.release_id AND r.id > (
        SELECT p.release_id FROM deployments p
        WHERE p.application_id = d.application_id AND p.environment = d.environment AND p.status = 'succeeded' AND p.id < d.id
        ORDER BY p.id DESC LIMIT 1)
    ORDER BY r.id DESC LIMIT :limit
""")


def since_the_last(session: Session, deployment_id: int, *, limit: int) -> list[Row[Any]]:
    """The releases that come with a deployment: from after what had succeeded there before up to its own, the newest first.

    None where nothing had succeeded there, and where it brings an older one.
    """
    return list(session.execute(_SINCE_THE_LAST, {"id": deployment_id, "limit": limit}))
