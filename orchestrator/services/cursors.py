"""Places in lists as text that nobody but us can make."""

import base64
import binascii
import hashlib
import hmac
from typing import Any

import orjson

from orchestrator.domain.errors import RuleViolationError
from orchestrator.security import derive_key

_SIGNATURE_BYTES = 12


class BadCursorError(RuleViolationError):
    """The cursor is not one of this list."""

    code = "bad_cursor"


class Cursors:
    """Writes and reads cursors; each belongs to the one list, `scope`, that it was written for."""

    def __init__(self, secret_key: str) -> None:
        self._key = derive_key(secret_key, "cursor")

    def write(self, scope: str, value: Any) -> str:
        """A place in a list as opaque text."""
        payload = orjson.dumps(value)
        return base64.urlsafe_b64encode(self._sign(scope, payload) + payload).decode().rstrip("=")

    def read(self, scope: str, cursor: str) -> Any:
        """The place that `write` wrote for the same list. Raises BadCursorError."""
        try:
            raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError) as error:
            raise BadCursorError from error
        signature, payload = raw[:_SIGNATURE_BYTES], raw[_SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, self._sign(scope, payload)):
            raise BadCursorError
        return orjson.loads(payload)

    def _sign(self, scope: str, payload: bytes) -> bytes:
        signed = scope.encode() + b"\0" + payload
        return hmac.digest(self._key, signed, hashlib.sha256)[:_SIGNATURE_BYTES]


def log_scope(deployment_id: int, step_id: int | None) -> str:
    """The name of the list that is a deployment's log, or that of one of its steps."""
    return f"logs:{deployment_id}:{step_id}"
