"""Logging in and out, wherever it was asked for."""

from contextlib import suppress

from api.extensions import provider, services, session
from api.oidc import Asked
from orchestrator import cache
from orchestrator.db import after_commit, transaction
from orchestrator.domain.errors import ForbiddenError, TooManyRequestsError, UnauthenticatedError
from orchestrator.repositories import users
from orchestrator.security import WeakPasswordError, check_password
from orchestrator.services import identities, sign_ins
from orchestrator.services import users as accounts
from orchestrator.services.actors import Actor
from orchestrator.services.sign_ins import SignedIn


def log_in(username: str, password: str) -> SignedIn:
    """Begin a sign-in. Raises UnauthenticatedError, and TooManyRequestsError before anything costly is done."""
    services().login_rates.check(username)
    candidate = sign_ins.find_candidate(session(), username)
    session().rollback()  # hashing takes long, and nothing slow is done inside a transaction
    known = services().passwords.matches(password, candidate.password_hash if candidate else None)
    if candidate is None or not known:
        raise UnauthenticatedError("the user name or the password is wrong")
    renewed = _renewed(password, candidate.password_hash)
    with transaction(session()):
        signed_in = sign_ins.begin(session(), candidate.user_id)
        if renewed is not None:
            users.change_password(
                session(), candidate.user_id, old_hash=candidate.password_hash, new_hash=renewed
            )
        after_commit(session(), lambda: note(signed_in))
    return signed_in


def change_password(actor: Actor, *, current: str, wanted: str) -> None:
    """Give who acts another password; their other logins end.

    Raises WeakPasswordError, ForbiddenError where `current` is not the one they have, and TooManyRequestsError.
    """
    services().login_rates.check(actor.username)
    check_password(wanted)
    candidate = sign_ins.find_candidate(session(), actor.username)
    session().rollback()  # hashing takes long, and nothing slow is done inside a transaction
    known = services().passwords.matches(current, candidate.password_hash if candidate else None)
    if candidate is None or not known:
        raise ForbiddenError("that is not your password")
    new = services().passwords.hash(wanted)
    with transaction(session()):
        accounts.change_password(session(), candidate.password_hash, new, actor=actor)


def _renewed(password: str, kept: str) -> str | None:
    """A hash of the cost that is set now; None: it has that cost, or too many log in at this moment."""
    passwords = services().passwords
    if not passwords.is_cheap(kept):
        return None
    with suppress(TooManyRequestsError, WeakPasswordError):
        return passwords.hash(password)
    return None


def log_in_by_provider(code: str, asked: Asked) -> SignedIn:
    """Begin a sign-in of who the provider says this is. Raises as `identify` and `identities.log_in` do."""
    identity = provider().identify(code, asked)
    with transaction(session()):
        signed_in = identities.log_in(session(), identity, roles=services().settings.roles_of_groups)
        after_commit(session(), lambda: _welcome(signed_in))
    return signed_in


def _welcome(signed_in: SignedIn) -> None:
    services().cache.forget(cache.USERS)  # they may be new, or have another role
    note(signed_in)


def log_out(actor: Actor, *, everywhere: bool) -> None:
    """End this sign-in, or all of theirs."""
    with transaction(session()):
        if everywhere:
            sign_ins.end_all(session(), actor.id)
        else:
            sign_ins.end(session(), actor.sign_in_id)
        after_commit(session(), lambda: services().cache.drop(_noted(actor.id)))


def note(signed_in: SignedIn) -> None:
    """Tell Redis the current refresh token's id; Postgres is the truth, nobody reads this as one."""
    services().cache.note(_noted(signed_in.user_id), signed_in.token_id, seconds=cache.REFRESH_SECONDS)


def _noted(user_id: int) -> str:
    return f"auth:refresh:{user_id}"
