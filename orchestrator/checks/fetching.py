"""One GET with an end to it, for the checks that ask over HTTP."""

import http.client
import socket
import ssl
import threading
import time
from contextlib import closing, suppress
from dataclasses import dataclass

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util import Url, parse_url

from orchestrator.domain.errors import SettingsRefusedError


class NoAnswerError(Exception):
    """Nothing came that could be looked at; the text says to a person why."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came, and how many seconds after it was asked for. `body` is at most as much as was asked for."""

    status: int
    body: bytes
    seconds: float


def checked_url(field: str, url: object) -> str:
    """The URL, if it is one that can be asked and shown to everybody. Raises SettingsRefusedError."""
    if not isinstance(url, str) or not url:
        raise SettingsRefusedError(field, "must be a URL, for example http://127.0.0.1:8080/health")
    try:
        parts = parse_url(url)
    except urllib3.exceptions.LocationParseError as error:
        raise SettingsRefusedError(field, f"{url!r} is not a URL") from error
    if parts.auth:
        raise SettingsRefusedError(field, "must not hold a user and a password: it is shown to everybody")
    if parts.scheme not in {"http", "https"} or not parts.host:
        raise SettingsRefusedError(field, f"must begin with http:// or https:// and a host, not {url!r}")
    return url


def fetch(url: str, timeout_seconds: float, *, most_bytes: int) -> Fetched:
    """Ask once; the answer must be there within `timeout_seconds` (looking up the name not counted).

    Redirects are not followed. Raises NoAnswerError.
    """
    late = threading.Event()
    begun = time.monotonic()
    try:
        with closing(_connection(parse_url(url), timeout_seconds)) as connection:
            timer = threading.Timer(timeout_seconds, _hang_up, (connection, late))
            timer.daemon = True
            timer.start()
            try:
                status, body = _ask(connection, url, begun + timeout_seconds, most_bytes=most_bytes)
            finally:
                timer.cancel()
    except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError) as error:
        raise NoAnswerError(_too_late(timeout_seconds) if late.is_set() else f"no answer: {error}") from error
    if late.is_set():
        raise NoAnswerError(_too_late(timeout_seconds))
    return Fetched(status, body, time.monotonic() - begun)


def _ask(connection: HTTPConnection, url: str, deadline: float, *, most_bytes: int) -> tuple[int, bytes]:
    headers = {"Accept-Encoding": "identity", "User-Agent": "devops-release-manager", "Connection": "close"}
    target = parse_url(url).request_uri
    connection.request("GET", target, headers=headers, preload_content=False, decode_content=False)
    response = connection.getresponse()
    body = b""
    while len(body) < most_bytes and time.monotonic() < deadline:
        piece = response.read1(most_bytes - len(body), decode_content=False)
        if not piece:
            break
        body += piece
    return response.status, body


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
