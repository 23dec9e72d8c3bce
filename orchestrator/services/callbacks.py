"""Being told by an HTTP target that there is news of a run: whoever follows the run looks at once."""

import re
from collections.abc import Mapping

import orjson
from sqlalchemy.orm import Session

from orchestrator import clock
from orchestrator.config import Settings
from orchestrator.domain import standard_webhooks
from orchestrator.domain.errors import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    UnauthenticatedError,
)
from orchestrator.repositories import attempts
from orchestrator.security import derive_key
from orchestrator.targets.base import Callback

PATH = "/api/v1/targets/callbacks"
MOST_BODY_BYTES = 4096
GREATEST_NUMBER = 2**53 - 1
_RUN = re.compile(r"([0-9]{1,18})-([0-9]{1,18})-([0-9]{1,9})")


class CallbackNotBelievedError(UnauthenticatedError):
    """The callback is not signed with the secret of this run."""

    code = "bad_signature"


class CallbackRepeatedError(ConflictError):
    """A callback with this number, or a greater one, has come already."""

    code = "callback_repeated"


def of_run(settings: Settings, run: str) -> Callback | None:
    """Where the target may say that there is news of a run; None where nobody said how web is called."""
    if not settings.callback_url:
        return None
    secret = standard_webhooks.write_secret(_key(settings.secret_key, run))
    return Callback(f"{settings.callback_url.rstrip('/')}{PATH}/{run}", secret)


def receive(session: Session, run: str, headers: Mapping[str, str], body: bytes, *, secret_key: str) -> None:
    """Have the run looked at. Nothing is believed of how it stands: the worker asks the target.

    Raises NotFoundError for a run that nobody follows any more, CallbackNotBelievedError for a callback that is forged or
    older than some minutes, CallbackRepeatedError, InvalidInputError.
    """
    named = _RUN.fullmatch(run)
    if named is None:
        raise NotFoundError(f"there is no run {run[:50]!r}")
    why = standard_webhooks.verify([_key(secret_key, run)], headers, body, now=int(clock.now().timestamp()))
    if why is not None:
        raise CallbackNotBelievedError(f"the callback is not believed: {why}")
    number = _number(body)
    deployment_id, step_id, attempt = map(int, named.groups())
    if attempts.call_back(session, deployment_id, step_id, attempt, callback=number):
        return
    if not attempts.is_open(session, deployment_id, step_id, attempt):
        raise NotFoundError(f"run {run} is over, and nobody waits for it")
    raise CallbackRepeatedError


def _key(secret_key: str, run: str) -> bytes:
    """What signs the callbacks of this run and of no other: the worker tells it to the target, and web makes it anew."""
    return derive_key(secret_key, f"callback {run}")[:32]


def _number(body: bytes) -> int:
    if len(body) > MOST_BODY_BYTES:
        raise InvalidInputError(f"a callback has at most {MOST_BODY_BYTES} bytes")
    try:
        said = orjson.loads(body)
    except ValueError as error:
        raise InvalidInputError("the body is not JSON") from error
    number = said.get("number") if isinstance(said, dict) else None
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= GREATEST_NUMBER:
        raise InvalidInputError(
            "`number` must be a whole number from 1 on that grows with each callback of the run"
        )
    return number
