"""Users and their sign-ins."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, text
from sqlalchemy.orm import Session

from orchestrator.domain.errors import NotFoundError
from orchestrator.prepared import execute

_INSERT = text("""
    INSERT INTO users (email, username, password_hash, role, email_confirmed)
    VALUES (:email, :username, :password_hash, :role, :email_confirmed)
    ON CONFLICT DO NOTHING RETURNING id
""")

_ROTATE = text("""
    UPDATE sign_ins SET current_token_id = :new_token_id, expires_at = :expires_at, updated_at = clock_timestamp()
    WHERE id = :id AND current_token_id = :token_id AND ended_at IS NULL AND expires_at > clock_timestamp()
""")

_END = text("""
    UPDATE sign_ins SET ended_at = clock_timestamp(), ended_because = :because, updated_at = clock_timestamp()
    WHERE id = :id AND ended_at IS NULL
""")

RIGHTS = """u.id, u.username, u.role, u.teams, u.active,
    CASE WHEN u.role <> 'admin' THEN (
        SELECT json_agg(json_build_array(a.name, g.role, g.environments))
        FROM grants g JOIN applications a ON a.id = g.application_id
        WHERE g.removed_at IS NULL AND (g.user_id = u.id OR g.team = ANY(u.teams))) END AS grants,
    CASE WHEN u.role <> 'admin' THEN (
        SELECT array_agg(e.name) FROM environments e WHERE e.restricted) END AS restricted"""
"""All that says what the user `u` may do, in the statement that finds them. Admins may do everything anyway."""

_ACTOR = text(f"""
    SELECT {RIGHTS} FROM sign_ins s JOIN users u ON u.id = s.user_id
    WHERE s.id = :id AND s.ended_at IS NULL AND u.active
""")  # nothing of it comes from outside


def insert(
    session: Session,
    *,
    email: str,
    username: str,
    password_hash: str,
    role: str,
    email_confirmed: bool = False,
) -> int | None:
    """Add a user; the id, or None where the e-mail or the name is taken."""
    params = {
        "email": email,
        "username": username,
        "password_hash": password_hash,
        "role": role,
        "email_confirmed": email_confirmed,
    }
    found: int | None = session.execute(_INSERT, params).scalar()
    return found


def lock_registration(session: Session) -> bool:
    """Let one registration at a time through until the transaction ends; whether there is any user yet."""
    session.execute(text("SELECT pg_advisory_xact_lock(72616)"))
    return bool(session.execute(text("SELECT EXISTS (SELECT 1 FROM users)")).scalar())


def is_anybody(session: Session) -> bool:
    """Whether there is any user yet."""
    return bool(session.execute(text("SELECT EXISTS (SELECT 1 FROM users)")).scalar())


def get(session: Session, user_id: int, *, lock: bool = False) -> Row[Any]:
    """One user. Raises NotFoundError."""
    statement = text("SELECT * FROM users WHERE id = :id" + (" FOR NO KEY UPDATE" if lock else ""))
    row = session.execute(statement, {"id": user_id}).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no user {user_id}")
    return row


def find_by_login(session: Session, login: str) -> Row[Any] | None:
    """A user by name or e-mail, whatever the case of the letters."""
    statement = text("""
        SELECT * FROM users WHERE lower(username) = lower(:login) OR lower(email) = lower(:login) ORDER BY id LIMIT 1
    """)
    return session.execute(statement, {"login": login}).one_or_none()


def page(session: Session, *, after_id: int, skip: int, limit: int) -> list[Row[Any]]:
    """Users by id, after a cursor."""
    statement = text("SELECT * FROM users WHERE id > :after ORDER BY id OFFSET :skip LIMIT :limit")
    return list(session.execute(statement, {"after": after_id, "skip": skip, "limit": limit}))


def update(
    session: Session,
    user_id: int,
    *,
    role: str,
    active: bool,
    email: str,
    email_confirmed: bool,
    teams: Sequence[str],
) -> bool:
    """Change a user; False where the e-mail is another's."""
    statement = text("""
        UPDATE users SET role = :role, active = :active, email = :email, email_confirmed = :email_confirmed, teams = :teams,
               updated_at = clock_timestamp()
        WHERE id = :id AND NOT EXISTS (SELECT 1 FROM users WHERE lower(email) = lower(:email) AND id <> :id)
    """)
    params = {
        "id": user_id,
        "role": role,
        "active": active,
        "email": email,
        "email_confirmed": email_confirmed,
        "teams": list(teams),
    }
    done = session.execute(statement, params)
    return bool(done.rowcount)  # type: ignore[attr-defined]


def set_role(session: Session, user_id: int, role: str) -> None:
    """Give a user whose row the caller holds another role."""
    statement = text("UPDATE users SET role = :role, updated_at = clock_timestamp() WHERE id = :id")
    session.execute(statement, {"id": user_id, "role": role})


def count_active_admins(session: Session) -> int:
    """How many could still administer."""
    statement = text("SELECT count(*) FROM users WHERE role = 'admin' AND active")
    return int(session.execute(statement).scalar_one())


def add_sign_in(
    session: Session, *, sign_in_id: str, user_id: int, token_id: str, expires_at: datetime
) -> None:
    """Begin a family of refresh tokens."""
    statement = text("""
        INSERT INTO sign_ins (id, user_id, current_token_id, expires_at) VALUES (:id, :user_id, :token_id, :expires_at)
    """)
    params = {"id": sign_in_id, "user_id": user_id, "token_id": token_id, "expires_at": expires_at}
    session.execute(statement, params)


def rotate(
    session: Session, sign_in_id: str, *, token_id: str, new_token_id: str, expires_at: datetime
) -> bool:
    """Compare and set the family's one good refresh token; False where it is not `token_id` or the family ended."""
    params = {"id": sign_in_id, "token_id": token_id, "new_token_id": new_token_id, "expires_at": expires_at}
    return bool(session.execute(_ROTATE, params).rowcount)  # type: ignore[attr-defined]


def end_sign_in(session: Session, sign_in_id: str, *, because: str) -> bool:
    """End a family: its access tokens stop too. False where it had ended."""
    done = session.execute(_END, {"id": sign_in_id, "because": because})
    return bool(done.rowcount)  # type: ignore[attr-defined]


def change_password(session: Session, user_id: int, *, old_hash: str, new_hash: str) -> bool:
    """Compare and set; False where it is another by now, or the user is not active."""
    statement = text("""
        UPDATE users SET password_hash = :new, updated_at = clock_timestamp()
        WHERE id = :id AND password_hash = :old AND active
    """)
    done = session.execute(statement, {"id": user_id, "old": old_hash, "new": new_hash})
    return bool(done.rowcount)  # type: ignore[attr-defined]


def end_sign_ins_of(session: Session, user_id: int, *, because: str, but: str | None = None) -> None:
    """End every family of a user, but for one."""
    statement = text("""
        UPDATE sign_ins SET ended_at = clock_timestamp(), ended_because = :because
        WHERE user_id = :user_id AND ended_at IS NULL AND id IS DISTINCT FROM :but
    """)
    session.execute(statement, {"user_id": user_id, "because": because, "but": but})


def find_actor(session: Session | Connection, sign_in_id: str) -> Row[Any] | None:
    """The active user behind a sign-in that has not ended."""
    return execute(session, _ACTOR, {"id": sign_in_id}).one_or_none()


def get_actor(session: Session, user_id: int) -> Row[Any]:
    """Somebody and what they may do. Raises NotFoundError."""
    row = session.execute(
        text(f"SELECT {RIGHTS} FROM users u WHERE u.id = :id"), {"id": user_id}
    ).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no user {user_id}")
    return row


def going_on(session: Session, sign_in_ids: Sequence[str]) -> set[str]:
    """Which of these sign-ins have not ended and belong to active users; those of API tokens are `token:<id>`."""
    statement = text("""
        SELECT s.id FROM sign_ins s JOIN users u ON u.id = s.user_id
        WHERE s.id = ANY(:ids) AND s.ended_at IS NULL AND u.active
        UNION ALL
        SELECT 'token:' || t.id FROM api_tokens t JOIN users u ON u.id = t.user_id
        WHERE t.id = ANY(:tokens) AND t.revoked_at IS NULL AND t.expires_at > clock_timestamp() AND u.active
    """)
    tokens = [int(each.removeprefix("token:")) for each in sign_in_ids if each.startswith("token:")]
    return set(session.execute(statement, {"ids": list(sign_in_ids), "tokens": tokens}).scalars())


def prune_sign_ins(session: Session, *, days: int, limit: int) -> int:
    """Remove sign-ins that ended or expired that long ago, at most `limit`; how many."""
    statement = text("""
        DELETE FROM sign_ins WHERE id IN (
            SELECT id FROM sign_ins WHERE least(ended_at, expires_at) < clock_timestamp() - make_interval(days => :days)
            LIMIT :limit)
    """)
    done = session.execute(statement, {"days": days, "limit": limit})
    return int(done.rowcount)  # type: ignore[attr-defined]
