"""Successes whose release goes on by itself."""

from sqlalchemy import text
from sqlalchemy.orm import Session

_TAKE = text("""
    UPDATE promotions SET due_at = clock_timestamp() + make_interval(secs => :push_seconds)
    WHERE deployment_id IN (
        SELECT deployment_id FROM promotions WHERE due_at <= clock_timestamp()
        ORDER BY due_at LIMIT :limit FOR UPDATE SKIP LOCKED)
    RETURNING deployment_id
""")


def add(session: Session, deployment_id: int) -> None:
    """Have a deployment's release promoted."""
    session.execute(
        text("INSERT INTO promotions (deployment_id, due_at) VALUES (:id, clock_timestamp())"),
        {"id": deployment_id},
    )


def take_due(session: Session, *, limit: int, push_seconds: float) -> list[int]:
    """Deployments whose release is to be promoted, each given to one caller only, and again if that comes to no end."""
    params = {"limit": limit, "push_seconds": push_seconds}
    return list(session.execute(_TAKE, params).scalars())


def lock(session: Session, deployment_id: int) -> bool:
    """Keep others from promoting it until the transaction ends; False where it is done."""
    statement = text("""
        SELECT deployment_id FROM promotions WHERE deployment_id = :id AND due_at IS NOT NULL FOR UPDATE
    """)
    return session.execute(statement, {"id": deployment_id}).first() is not None


def finish(session: Session, deployment_id: int) -> None:
    """It is done."""
    session.execute(
        text("UPDATE promotions SET due_at = NULL WHERE deployment_id = :id"), {"id": deployment_id}
    )
