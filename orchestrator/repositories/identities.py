"""Who users are at OpenID Connect providers."""

from sqlalchemy import text
from sqlalchemy.orm import Session


def find_user(session: Session, *, issuer: str, subject: str) -> int | None:
    """The user whom the provider calls that."""
    statement = text("SELECT user_id FROM identities WHERE issuer = :issuer AND subject = :subject")
    found: int | None = session.execute(statement, {"issuer": issuer, "subject": subject}).scalar()
    return found


def insert(session: Session, *, issuer: str, subject: str, user_id: int) -> bool:
    """Say who a user is there; False where they are somebody else there already."""
    statement = text("""
        INSERT INTO identities (issuer, subject, user_id) VALUES (:issuer, :subject, :user_id)
        ON CONFLICT DO NOTHING
    """)
    params = {"issuer": issuer, "subject": subject, "user_id": user_id}
    return bool(session.execute(statement, params).rowcount)  # type: ignore[attr-defined]
