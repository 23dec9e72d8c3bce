"""Sends requests: tokens, retries, timeouts; what the paths mean is another's."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlencode, urlsplit

import urllib3
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

from orchestrator.client.problems import Answer, UnreachableError, checked, retry_after
from orchestrator.client.tokens import MemoryTokens, Tokens, TokenStore, tokens_of
from orchestrator.domain.errors import MisconfiguredError

JSON_TYPE = "application/json"
API = "/api/v1"
REPEATABLE_STATUSES = frozenset({502, 503, 504})

Query = Mapping[str, str | int | bool | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to wait and how often to try again."""

    connect_seconds: float = 5.0
    read_seconds: float = 30.0
    tries: int = 4
    backoff_seconds: float = 0.1
    longest_wait_seconds: float = 30.0
    sleep: Callable[[float], None] = time.sleep


class Transport:
    """Sends requests: tokens, retries, timeouts. Client adds what the paths mean."""

    def __init__(
        self, base_url: str, tokens: TokenStore | None = None, *, patience: Patience | None = None
    ) -> None:
        self.base_url = normal_url(base_url)
        self.tokens: TokenStore = tokens if tokens is not None else MemoryTokens()
        self.patience = patience or Patience()
        timeout = urllib3.Timeout(connect=self.patience.connect_seconds, read=self.patience.read_seconds)
        self._pool = urllib3.PoolManager(timeout=timeout, retries=False)

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool | None = None,
    ) -> Answer:
        """Send with the access token, renewing it once if it has run out; error statuses are returned.

        `repeatable`: may be sent again when it is not known whether it arrived (GETs may).
        Raises UnreachableError.
        """
        url = self.base_url + path + _query_text(query)
        again = method in {"GET", "HEAD"} if repeatable is None else repeatable
        sent = {"Accept": JSON_TYPE, **(headers or {})}
        used = self.tokens.load()
        answer = self._send(method, url, body=body, headers=_with_token(sent, used), repeatable=again)
        if answer.status != HTTPStatus.UNAUTHORIZED or used is None or used.refresh is None:
            return answer
        fresh = self.renew(used)
        if fresh is None:
            return answer
        return self._send(method, url, body=body, headers=_with_token(sent, fresh), repeatable=again)

    def open(
        self, url: str, headers: Mapping[str, str], *, silence_seconds: float
    ) -> urllib3.BaseHTTPResponse:
        """The answer to one GET, sent once and not read yet; close it. Raises what urllib3 raises."""
        timeout = urllib3.Timeout(connect=self.patience.connect_seconds, read=silence_seconds)
        return self._pool.request(
            "GET", url, headers=dict(headers), redirect=False, preload_content=False, timeout=timeout
        )

    def renew(self, used: Tokens) -> Tokens | None:
        """Newer tokens than `used`: another process's, or the server's; None if the login is over."""
        with self.tokens.locked():
            current = self.tokens.load()
            if current is None or current.refresh is None or current.access != used.access:
                return current
            answer = self._send(
                "POST",
                f"{self.base_url}{API}/auth/refresh",
                body=json.dumps({"refresh_token": current.refresh}).encode(),
                headers={"Accept": JSON_TYPE, "Content-Type": JSON_TYPE},
                repeatable=False,
            )
            if answer.status == HTTPStatus.UNAUTHORIZED:
                self.tokens.save(None)
                return None
            fresh = tokens_of(checked(answer))
            self.tokens.save(fresh)
            return fresh

    def _send(
        self, method: str, url: str, *, body: bytes | None, headers: Mapping[str, str], repeatable: bool
    ) -> Answer:
        lost = False
        for tried in range(1, self.patience.tries + 1):
            last = tried == self.patience.tries
            delay = self.patience.backoff_seconds * 2 ** (tried - 1)
            try:
                raw = self._pool.request(method, url, body=body, headers=dict(headers), redirect=False)
            except HTTPError as error:
                never_sent = isinstance(error, NewConnectionError | ConnectTimeoutError)
                if last or not (repeatable or never_sent):
                    raise UnreachableError(f"{self.base_url} does not answer: {_reason(error)}.") from error
                lost = lost or not never_sent
            else:
                got = Answer(status=raw.status, headers=raw.headers, body=raw.data, after_loss=lost)
                wait = self._wait_asked(got, repeatable=repeatable, otherwise=delay)
                if last or wait is None:
                    return got
                delay = wait
            self.patience.sleep(delay)
        raise AssertionError("unreachable: the last try returns or raises")

    def _wait_asked(self, answer: Answer, *, repeatable: bool, otherwise: float) -> float | None:
        """Seconds before trying again; None: do not. A 429 did nothing, so anything may be repeated."""
        busy = answer.status == HTTPStatus.TOO_MANY_REQUESTS
        if not busy and not (repeatable and answer.status in REPEATABLE_STATUSES):
            return None
        wait = retry_after(answer.headers)
        if wait is None:
            return otherwise
        return wait if wait <= self.patience.longest_wait_seconds else None


def normal_url(url: str) -> str:
    """Scheme, host and prefix without the API's own path. Raises MisconfiguredError."""
    parts = urlsplit(url.strip())
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise MisconfiguredError(f"{url!r} is no URL of a server: write it as http://host:port")
    return f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/").removesuffix(API)


def _with_token(headers: Mapping[str, str], tokens: Tokens | None) -> dict[str, str]:
    return {**headers, "Authorization": f"Bearer {tokens.access}"} if tokens else dict(headers)


def _query_text(query: Query | None) -> str:
    given = {
        key: str(value).lower() if isinstance(value, bool) else value for key, value in (query or {}).items()
    }
    text = urlencode({key: value for key, value in given.items() if value is not None})
    return f"?{text}" if text else ""


def _reason(error: HTTPError) -> str:
    """The tail of urllib3's message, without the object's address in front."""
    return str(error).rsplit("object at 0x", 1)[-1].partition(": ")[2] or str(error)
