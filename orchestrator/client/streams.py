"""Follows what the server tells by itself, over one connection that stays open."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

import urllib3
from urllib3.exceptions import HTTPError

from orchestrator.client.problems import Answer, Problem, UnreachableError, problem_of
from orchestrator.client.sse import EventParser, ServerEvent
from orchestrator.client.tokens import Tokens
from orchestrator.client.transport import API, Transport

SILENCE_SECONDS = 45.0
"""Three heartbeats that did not come."""
EVENT_STREAM = "text/event-stream"
NO_DEPLOYMENT = 2**63 - 1
"""An id that no deployment will ever have."""
_MOST = 65_536
_THIS_MACHINE = frozenset({"localhost", "127.0.0.1", "::1"})


class NotStreamedError(UnreachableError):
    """The server does not stream this now; ask again and again instead."""


@dataclass(slots=True)
class DeploymentStream:
    """The events of a deployment; `last_id` is where the next `events` goes on."""

    client: Transport
    deployment_id: int
    step: int | None = None
    last_id: str = ""
    silence_seconds: float = SILENCE_SECONDS
    """How long nothing may come before the connection is given up."""

    def events(self, *, within_seconds: float | None = None) -> Iterator[ServerEvent]:
        """Events until the connection ends, or the time is up.

        Raises NotStreamedError where it is no use to try again, UnreachableError where it may be.
        """
        with self._opened() as answer, _ended_after(within_seconds, answer.shutdown):
            parser = EventParser(self.last_id)
            try:
                for chunk in answer.stream(65_536, decode_content=False):
                    for event in parser.feed(chunk):
                        self.last_id = event.id
                        yield event
            except HTTPError as error:
                raise UnreachableError(f"the stream broke off: {error}") from error

    def refusal(self) -> Problem | None:
        """What is said to somebody who comes now; None: the events. Raises as `events` does."""
        with self._answered() as answer:
            if answer.status == HTTPStatus.OK:
                return None
            return problem_of(Answer(status=answer.status, headers=answer.headers, body=answer.read(_MOST)))

    @contextmanager
    def _opened(self) -> Iterator[urllib3.BaseHTTPResponse]:
        with self._answered() as answer:
            kind = answer.headers.get("Content-Type", "").partition(";")[0]
            if answer.status != HTTPStatus.OK or kind != EVENT_STREAM:
                raise NotStreamedError
            yield answer

    @contextmanager
    def _answered(self) -> Iterator[urllib3.BaseHTTPResponse]:
        tokens = self.client.tokens.load()
        answer = self._led(tokens)
        if answer.status == HTTPStatus.UNAUTHORIZED and tokens is not None and tokens.refresh is not None:
            answer.close()
            answer = self._led(self.client.renew(tokens))
        try:
            yield answer
        finally:
            answer.close()

    def _led(self, tokens: Tokens | None) -> urllib3.BaseHTTPResponse:
        """The answer, also when the server leads to another process of its own; the token goes nowhere else."""
        step = "" if self.step is None else f"?step={self.step}"
        url = f"{self.client.base_url}{API}/deployments/{self.deployment_id}/stream{step}"
        answer = self._get(url, tokens)
        location = answer.headers.get("Location", "")
        if answer.status != HTTPStatus.TEMPORARY_REDIRECT:
            return answer
        answer.close()
        if not is_trusted(location, by=self.client.base_url):
            raise NotStreamedError(f"{self.client.base_url} leads to another host: {location}")
        return self._get(location, tokens)

    def _get(self, url: str, tokens: Tokens | None) -> urllib3.BaseHTTPResponse:
        headers = {"Accept": EVENT_STREAM}
        if self.last_id:
            headers["Last-Event-ID"] = self.last_id
        if tokens is not None:
            headers["Authorization"] = f"Bearer {tokens.access}"
        try:
            return self.client.open(url, headers, silence_seconds=self.silence_seconds)
        except HTTPError as error:
            raise UnreachableError(f"{url} does not answer") from error


def is_trusted(location: str, *, by: str) -> bool:
    """Whether a token for the server `by` may go there: the same host, and as safe a way to it."""
    there, here = urlsplit(location), urlsplit(by)
    same = there.hostname == here.hostname or {there.hostname, here.hostname} <= _THIS_MACHINE
    return same and there.scheme in {"https", here.scheme} and there.username is None


@contextmanager
def _ended_after(seconds: float | None, end: Callable[[], None]) -> Iterator[None]:
    """Call `end` from another thread when the time is up; a read that waits notices it."""
    if seconds is None:
        yield
        return
    timer = threading.Timer(max(0.0, seconds), end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
