"""The check `http`: asks a URL for a status and a text, and how soon they come."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from orchestrator.checks.base import Probe, read_latency, refuse_unknown
from orchestrator.checks.fetching import Fetched, NoAnswerError, checked_url, fetch
from orchestrator.domain.errors import SettingsRefusedError

MAX_BODY_BYTES = 64 * 1024
MOST_ASKED = 20
KNOWN = ("http", "expect", "status", "latency", "repeat")
PRINTED_CHARACTERS = 200
_REPEAT = re.compile(r"([1-9]\d?) of ([1-9]\d?)", re.ASCII)


@dataclass(frozen=True, slots=True)
class HttpCheck:
    """A GET whose answer must have `status`, and `expect` in its first 64 KiB; redirects are not followed."""

    url: str
    expect: str = ""
    status: int = 200
    latency_seconds: float | None = None
    right: int = 1
    """How many of those `asked` one right after the other must be as they should."""
    asked: int = 1

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Take `http` (the URL), `expect`, `status`, `latency` and `repeat` (`3 of 5`); pass over the engine's own."""
        refuse_unknown(settings, KNOWN)
        expect, status = settings.get("expect", ""), settings.get("status", 200)
        if not isinstance(expect, str):
            raise SettingsRefusedError("expect", f"must be a text, not {expect!r}; put quotes around it")
        if not isinstance(status, int) or isinstance(status, bool) or not 200 <= status <= 599:
            raise SettingsRefusedError("status", f"must be a number from 200 to 599, not {status!r}")
        url = checked_url("http", settings.get("http"))
        return cls(url, expect, status, read_latency(settings), *_repeat(settings.get("repeat", "1 of 1")))

    def probe(self, timeout_seconds: float) -> Probe:
        """Ask as often as it takes to know; all of it must be there within `timeout_seconds` (looking up names not counted)."""
        if self.asked == 1:
            return self._ask(timeout_seconds)
        deadline = time.monotonic() + timeout_seconds
        right, wrong, seen = 0, 0, Probe(False, "")
        while right < self.right and wrong <= self.asked - self.right:
            left = deadline - time.monotonic()
            if left <= 0:
                detail = f"{right} of {right + wrong} right when {timeout_seconds:g} s were over"
                return Probe(False, detail, silent=True)
            seen = self._ask(left)
            right, wrong = right + seen.ok, wrong + (not seen.ok)
        return replace(seen, detail=f"{seen.detail}; {right} of {right + wrong} right")

    def _ask(self, timeout_seconds: float) -> Probe:
        try:
            return self._judge(
                fetch(self.url, timeout_seconds, most_bytes=MAX_BODY_BYTES if self.expect else 0)
            )
        except NoAnswerError as error:
            return Probe(False, str(error), silent=True)

    def _judge(self, found: Fetched) -> Probe:
        status, body = found.status, found.body
        if status != self.status:
            return Probe(False, f"status {status}, not {self.status}", silent=True)
        if self.expect and self.expect.encode() not in body:
            where = "in the first 64 KiB of " if len(body) >= MAX_BODY_BYTES else "in "
            seen = body[:PRINTED_CHARACTERS].decode(errors="replace")
            return Probe(False, f"status {status}, but {self.expect!r} is not {where}the answer: {seen!r}")
        if self.latency_seconds is not None and found.seconds > self.latency_seconds:
            allowed = f"at most {self.latency_seconds:g} s are allowed"
            return Probe(False, f"status {status}, but after {found.seconds:.3f} s; {allowed}")
        return Probe(True, f"status {status}" + (f", with {self.expect!r}" if self.expect else ""))


def _repeat(value: object) -> tuple[int, int]:
    match = _REPEAT.fullmatch(value) if isinstance(value, str) else None
    right, asked = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= right <= asked <= MOST_ASKED:
        raise SettingsRefusedError(
            "repeat", f"must be such as `3 of 5`, of at most {MOST_ASKED}, not {value!r}"
        )
    return right, asked
