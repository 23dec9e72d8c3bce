"""The check `http`: asks a URL for a status and a text."""

import difflib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any, Self

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util import Url, parse_url

from orchestrator.checks.base import Probe
from orchestrator.domain.errors import SettingsRefusedError

MAX_BODY_BYTES = 64 * 1024
KNOWN = ("http", "expect", "status")
OF_THE_ENGINE = ("within", "interval")
PRINTED_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class HttpCheck:
    """A GET whose answer must have `status`, and `expect` in its first 64 KiB; redirects are not followed."""

    url: str
    expect: str = ""
    status: int = 200

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Take `http` (the URL), `expect` (optional), `status` (default 200); pass over the engine's own."""
        for name in settings:
            if name not in KNOWN + OF_THE_ENGINE:
                nearest = difflib.get_close_matches(str(name), KNOWN + OF_THE_ENGINE, 1, 0)[0]
                raise SettingsRefusedError(str(name), f"there is no such setting; did you mean {nearest!r}?")
        expect, status = settings.get("expect", ""), settings.get("status", 200)
        if not isinstance(expect, str):
            raise SettingsRefusedError("expect", f"must be a text, not {expect!r}; put quotes around it")
        if not isinstance(status, int) or isinstance(status, bool) or not 200 <= status <= 599:
            raise SettingsRefusedError("status", f"must be a number from 200 to 599, not {status!r}")
        return cls(_checked_url(settings.get("http")), expect, status)

    def probe(self, timeout_seconds: float) -> Probe:
        """Ask once; the answer must be there within `timeout_seconds` (looking up the name not counted)."""
        late = threading.Event()
        try:
            with closing(_connection(parse_url(self.url), timeout_seconds)) as connection:
                timer = threading.Timer(timeout_seconds, _hang_up, (connection, late))
                timer.daemon = True
                timer.start()
                try:
                    status, body = self._ask(connection, time.monotonic() + timeout_seconds)
                finally:
                    timer.cancel()
        except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError) as error:
            return Probe(False, _too_late(timeout_seconds) if late.is_set() else f"no answer: {error}")
        if late.is_set():
            return Probe(False, _too_late(timeout_seconds))
        return self._judge(status, body)

    def _ask(self, connection: HTTPConnection, deadline: float) -> tuple[int, bytes]:
        headers = {
            "Accept-Encoding": "identity",
            "User-Agent": "devops-release-manager",
            "Connection": "close",
        }
        target = parse_url(self.url).request_uri
        connection.request("GET", target, headers=headers, preload_content=False, decode_content=False)
        response = connection.getresponse()
        body = b""
        while self.expect and len(body) < MAX_BODY_BYTES and time.monotonic() < deadline:
            piece = response.read1(MAX_BODY_BYTES - len(body), decode_content=False)
            if not piece:
                break
            body += piece
        return response.status, body

    def _judge(self, status: int, body: bytes) -> Probe:
        if status != self.status:
            return Probe(False, f"status {status}, not {self.status}")
        if self.expect and self.expect.encode() not in body:
            where = "in the first 64 KiB of " if len(body) >= MAX_BODY_BYTES else "in "
            seen = body[:PRINTED_CHARACTERS].decode(errors="replace")
            return Probe(False, f"status {status}, but {self.expect!r} is not {where}the answer: {seen!r}")
        return Probe(True, f"status {status}" + (f", with {self.expect!r}" if self.expect else ""))


def _checked_url(url: object) -> str:
    if not isinstance(url, str) or not url:
        raise SettingsRefusedError("http", "must be a URL, for example http://127.0.0.1:8080/health")
    try:
        parts = parse_url(url)
    except urllib3.exceptions.LocationParseError as error:
        raise SettingsRefusedError("http", f"{url!r} is not a URL") from error
    if parts.auth:
        raise SettingsRefusedError("http", "must not hold a user and a password: it is shown to everybody")
    if parts.scheme not in {"http", "https"} or not parts.host:
        raise SettingsRefusedError("http", f"must begin with http:// or https:// and a host, not {url!r}")
    return url


def _connection(url: Url, timeout_seconds: float) -> HTTPConnection:
    host = (url.host or "").strip("[]")
    if url.scheme == "https":
        context = ssl.create_default_context()
        return HTTPSConnection(host, url.port or 443, timeout=timeout_seconds, ssl_context=context)
    return HTTPConnection(host, url.port or 80, timeout=timeout_seconds)


def _hang_up(connection: HTTPConnection, late: threading.Event) -> None:
    """End an answer that drips: the socket's own timeout begins anew with each byte."""
    late.set()
    with suppress(OSError, AttributeError):
        connection.sock.shutdown(socket.SHUT_RDWR)


def _too_late(timeout_seconds: float) -> str:
    return f"no answer within {timeout_seconds:g} s"
