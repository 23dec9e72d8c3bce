"""The target kind `http`: runs are carried out by whoever answers at a URL, as docs/http-targets.md says."""

import base64
import binascii
import stat
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import orjson

from orchestrator import clock, posting
from orchestrator.domain import standard_webhooks
from orchestrator.domain.errors import SettingsRefusedError
from orchestrator.domain.networks import Network
from orchestrator.domain.printing import printable
from orchestrator.targets.base import (
    Absent,
    Command,
    Exited,
    Lost,
    Poll,
    Run,
    Running,
    StaleTokenError,
    TargetBusyError,
    TargetError,
    TargetUnreachableError,
)
from orchestrator.targets.settings import absolute_path, refuse_unknown

PIECE_BYTES = 256 * 1024
MOST_ANSWER_BYTES = 512 * 1024
"""A piece in base64, and what is said about it."""
CALL_SECONDS = 15.0
ABORT_SECONDS = 20.0
"""How long after the grace everything must be over."""
ABORT_PAUSE_SECONDS = 0.25
MAYBE_LATER = frozenset({408, 425, 429})
"""The statuses below 500 that say nothing of what became of the call."""
MOST_TEXT_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class HttpTarget:
    """A service that deploys by itself. Every call is signed with the secret in `secret_file`."""

    node_bound: ClassVar[bool] = False
    longest_pause_seconds: ClassVar[float] = 2.0

    url: str
    secret_file: str
    """On the worker; several lines are several secrets, the newest first."""
    calls_back: bool = False
    allowed: tuple[Network, ...] = ()

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], *, runs_dir: str) -> Self:
        """Take `url` and `secret`, both required, and `callback`."""
        refuse_unknown(settings, ("url", "secret", "callback"))
        url = posting.check_url(settings.get("url"), field="url", allowed=None)
        if "?" in url or "#" in url:
            raise SettingsRefusedError("url", "must end with its path: the calls add theirs to it")
        secret_file = absolute_path(settings, "secret")
        if not secret_file:
            raise SettingsRefusedError("secret", "must be the path of a file on the worker with the secret")
        calls_back = settings.get("callback", False)
        if not isinstance(calls_back, bool):
            raise SettingsRefusedError("callback", "must be true or false")
        return cls(url.rstrip("/"), secret_file, calls_back)

    def within(self, allowed: tuple[Network, ...]) -> Self:
        """The same target, which may also be in these private networks."""
        return replace(self, allowed=allowed)

    def start(self, run: Run, command: Command) -> None:
        """Send the run; whoever takes it knows by its name whether it has it already."""
        more: dict[str, Any] = {"script": command.script, "variables": dict(command.env)}
        if run.callback is not None:
            more["callback"] = {"url": run.callback.url, "secret": run.callback.secret}
        self._ask(run, "", more, message_id=f"{_identity(run)}.start")

    def poll(self, run: Run, offset: int) -> Poll:
        """Ask where the run is; an answer that is not as agreed says nothing about it."""
        answer = self._ask(run, "/status", {"offset": offset})
        state = answer.get("state")
        if state == "absent":
            return Absent()
        if state == "lost":
            return Lost(_text(answer, "reason") or "the target does not know how it ended")
        output = _output(answer)
        end = offset + len(output)
        if state == "exited" and answer.get("more") is not True:
            return Exited(_code(answer), output, end)
        if state in ("running", "exited"):  # whatever it is: a list is in no set
            return Running(output, end)
        raise TargetUnreachableError("it answers with no `state` that there is")

    def abort(self, run: Run, *, grace_seconds: float) -> None:
        """Ask for the run's end, again and again until nothing of it is left."""
        seconds = grace_seconds + ABORT_SECONDS
        deadline = clock.monotonic() + seconds
        more = {"grace_seconds": grace_seconds}
        while self._ask(run, "/abort", more, seconds=seconds).get("done") is not True:
            if clock.monotonic() >= deadline:
                raise TargetUnreachableError("it has not ended the run yet")
            time.sleep(ABORT_PAUSE_SECONDS)

    def _ask(
        self,
        run: Run,
        path: str,
        more: Mapping[str, Any],
        *,
        message_id: str = "",
        seconds: float = CALL_SECONDS,
    ) -> Mapping[str, Any]:
        """POST one signed message and read its answer."""
        identity = _identity(run)
        body = orjson.dumps({"run": identity, "fence": run.fence, "token": run.token, **more})
        signed = standard_webhooks.headers(
            _keys(Path(self.secret_file)),
            message_id=message_id or f"{identity}.{uuid.uuid4().hex}",
            timestamp=int(clock.now().timestamp()),
            body=body,
        )
        try:
            answer = posting.call(
                "POST",
                self.url + path,
                headers={"Content-Type": "application/json", "Idempotency-Key": identity, **signed},
                body=body,
                allowed=self.allowed,
                timeout_seconds=seconds,
                most_bytes=MOST_ANSWER_BYTES,
            )
        except posting.NotCalledError as error:
            raise TargetError(str(error)) from error
        except posting.CallFailedError as error:
            raise TargetUnreachableError(str(error)) from error
        return _taken(answer)


def _identity(run: Run) -> str:
    """The run's name, and whose it is: one service may serve several installations."""
    return f"{run.origin}.{run.name}" if run.origin else run.name


def _keys(file: Path) -> list[bytes]:
    """The secrets in the file. Raises TargetError, which never holds any of it."""
    try:
        if file.stat().st_mode & stat.S_IRWXO:
            raise TargetError(f"the secret {file} can be read by everybody: `chmod 600` it")
        lines = file.read_text("ascii").split()
    except UnicodeDecodeError:
        raise TargetError(f"the secret {file} is not base64") from None
    except OSError as error:
        raise TargetError(f"the secret {file} cannot be read: {error.strerror}") from error
    try:
        keys = [standard_webhooks.read_secret(line) for line in lines]
    except ValueError as error:
        raise TargetError(f"the secret {file} {error}") from error
    if not keys:
        raise TargetError(f"the secret {file} is empty")
    return keys


def _taken(answer: posting.Answer) -> Mapping[str, Any]:
    """What an answer says, or the error it is; 2xx, 409 and other 4xx say what became of the call, all else does not."""
    said = _document(answer.body)
    if 200 <= answer.status < 300:
        if said is None:
            raise TargetUnreachableError(f"it answers {answer.status} without a JSON object")
        return said
    detail = f"status {answer.status}" + (f": {told}" if (told := _text(said or {}, "detail")) else "")
    if answer.status >= 500 or answer.status in MAYBE_LATER:
        raise TargetUnreachableError(detail)
    match (said or {}).get("code"):
        case "stale_token":
            raise StaleTokenError(detail)
        case "busy":
            raise TargetBusyError(detail)
    raise TargetError(f"it refuses with {detail}")


def _document(body: bytes) -> Mapping[str, Any] | None:
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return said if isinstance(said, dict) else None


def _text(said: Mapping[str, Any], name: str) -> str:
    """A line for people, without what could disguise it."""
    found = said.get(name)
    if not isinstance(found, str):
        return ""
    return printable(found[:MOST_TEXT_CHARACTERS])


def _code(answer: Mapping[str, Any]) -> int:
    code = answer.get("code")
    if isinstance(code, bool) or not isinstance(code, int) or not 0 <= code <= 255:
        raise TargetUnreachableError("it says that the run exited without a `code` from 0 to 255")
    return code


def _output(answer: Mapping[str, Any]) -> bytes:
    try:
        output = base64.b64decode(answer.get("output", ""), validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        raise TargetUnreachableError("its `output` is not base64") from error
    if len(output) > PIECE_BYTES:
        raise TargetUnreachableError(f"its `output` has more than {PIECE_BYTES} bytes")
    return output
