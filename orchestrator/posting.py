"""HTTP to wherever somebody says, without becoming their way into our own network."""

import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util import Url, parse_url

from orchestrator import clock
from orchestrator.domain.errors import SettingsRefusedError
from orchestrator.domain.networks import Address, Network, refusal
from orchestrator.domain.printing import printable

TIMEOUT_SECONDS = 15.0
CONNECT_SECONDS = 5.0
MAX_ANSWER_BYTES = 64 * 1024
SHOWN_CHARACTERS = 200
MOST_URL_CHARACTERS = 2000
USER_AGENT = "devops-release-manager"


class CallFailedError(Exception):
    """There was no answer; the message says why."""


class NotCalledError(CallFailedError):
    """Nothing was sent, because the address must not be called."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; of a long body only the beginning."""

    status: int
    body: bytes
    retry_after_seconds: int | None

    @property
    def shown(self) -> str:
        """For people."""
        text = self.body[: 4 * SHOWN_CHARACTERS].decode(errors="replace")
        clean = printable(text)
        return f"status {self.status}" + (f": {clean[:SHOWN_CHARACTERS]}" if clean.strip() else "")


def check_url(url: object, *, field: str, allowed: tuple[Network, ...] | None) -> str:
    """A URL that may be called, as far as can be said without looking up its name. Raises SettingsRefusedError.

    `allowed`: None where only who calls knows the networks; the call judges the address in any case.
    """
    if not isinstance(url, str) or not url or len(url) > MOST_URL_CHARACTERS or not url.isprintable():
        raise SettingsRefusedError(field, f"must be a URL of at most {MOST_URL_CHARACTERS} characters")
    try:
        parts = parse_url(url)
    except urllib3.exceptions.LocationParseError as error:
        raise SettingsRefusedError(field, "is not a URL") from error
    if parts.scheme not in {"http", "https"} or not parts.host:
        raise SettingsRefusedError(field, "must begin with http:// or https:// and a host")
    if parts.auth:
        raise SettingsRefusedError(field, "must not hold a user and a password")
    address = None if allowed is None else _literal(parts)
    why = refusal(address, allowed or ()) if address is not None else None
    if why:
        raise SettingsRefusedError(field, why)
    return url


def call(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    body: bytes | None,
    allowed: tuple[Network, ...],
    timeout_seconds: float = TIMEOUT_SECONDS,
    most_bytes: int = MAX_ANSWER_BYTES,
) -> Answer:
    """Send one request and read at most `most_bytes` of its answer; follows no redirect. Raises CallFailedError.

    The name is looked up once and the address that was checked is the one that is called. Only the look-up
    itself is not within `timeout_seconds`: the system's resolver has its own limit.
    """
    parts = parse_url(url)
    address = _resolve(parts, allowed)
    late = threading.Event()
    deadline = clock.monotonic() + timeout_seconds
    try:
        with closing(_connection(parts, address)) as connection:
            connection.connect()
            # The socket itself: once an answer has begun, the connection forgets it.
            timer = threading.Timer(timeout_seconds, _hang_up, (connection.sock, late))
            timer.daemon = True
            timer.start()
            try:
                sent = {**_own_headers(parts), **headers}
                connection.timeout = max(
                    0.1, deadline - clock.monotonic()
                )  # what it gives its socket from now on
                connection.request(
                    method,
                    parts.request_uri,
                    body=body,
                    headers=sent,
                    preload_content=False,
                    decode_content=False,
                )
                answer = _answer(connection, most_bytes)
            finally:
                timer.cancel()
    except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError) as error:
        if late.is_set() or isinstance(error, TimeoutError):
            raise CallFailedError(f"no answer within {timeout_seconds:g} s") from error
        raise CallFailedError(f"no answer: {_reason(error)}") from error
    if late.is_set():
        raise CallFailedError(f"no answer within {timeout_seconds:g} s")
    return answer


def _literal(parts: Url) -> Address | None:
    try:
        return ipaddress.ip_address((parts.host or "").strip("[]"))
    except ValueError:
        return None


def _resolve(parts: Url, allowed: tuple[Network, ...]) -> str:
    host, port = (parts.host or "").strip("[]"), parts.port or (443 if parts.scheme == "https" else 80)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise CallFailedError(f"{host} cannot be looked up: {_reason(error)}") from error
    if not found:
        raise CallFailedError(f"{host} has no address")
    why = ""
    for _, _, _, _, place in found:
        why_not = refusal(ipaddress.ip_address(place[0]), allowed)
        if why_not is None:
            return str(place[0])
        why = f"{host} is not called: {why_not}"
    raise NotCalledError(why)


def _connection(parts: Url, address: str) -> HTTPConnection:
    """To the address that was checked; the certificate has to be that of the name."""
    host = (parts.host or "").strip("[]")
    if parts.scheme == "https":
        return HTTPSConnection(
            address,
            parts.port or 443,
            timeout=CONNECT_SECONDS,
            ssl_context=ssl.create_default_context(),
            server_hostname=host,
            assert_hostname=host,
        )
    return HTTPConnection(address, parts.port or 80, timeout=CONNECT_SECONDS)


def _own_headers(parts: Url) -> dict[str, str]:
    return {
        "Host": parts.netloc or "",
        "User-Agent": USER_AGENT,
        "Accept-Encoding": "identity",
        "Connection": "close",
    }


def _answer(connection: HTTPConnection, most_bytes: int) -> Answer:
    read = b""
    with closing(connection.getresponse()) as response:
        while len(read) < most_bytes and (
            piece := response.read1(most_bytes - len(read), decode_content=False)
        ):
            read += piece
    asked = response.headers.get("Retry-After", "")
    retry_after = int(asked) if asked.isascii() and asked.isdigit() and len(asked) <= 9 else None
    return Answer(response.status, read, retry_after)


def _hang_up(sock: socket.socket, late: threading.Event) -> None:
    """End an exchange that drips: the socket's own timeout begins anew with each byte."""
    late.set()
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def _reason(error: Exception) -> str:
    """In few words, and never the URL, which may be secret."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__
