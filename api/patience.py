"""A gunicorn worker that waits for a request only so long: `gunicorn -k api.patience.Worker`."""

import socket
from http import HTTPStatus
from typing import Any

import orjson
from gunicorn.http.errors import LimitRequestHeaders, LimitRequestLine
from gunicorn.util import write_nonblock
from gunicorn.workers.gthread import ThreadWorker

from orchestrator import clock
from orchestrator.config import Settings
from orchestrator.presenting.problems import PROBLEM_JSON, document

_TOO_LONG = {
    LimitRequestLine: (HTTPStatus(414), "uri_too_long", "URI Too Long"),
    LimitRequestHeaders: (HTTPStatus(431), "headers_too_large", "Request Header Fields Too Large"),
}


class _Arriving:
    """A connection as the parser reads it: when the time is up, it has ended."""

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        self._connection, self._seconds = connection, seconds
        self.begin()

    def begin(self) -> None:
        """The next request begins."""
        self._until = clock.monotonic() + self._seconds

    def recv(self, size: int) -> bytes:
        """Read on; nothing after the end."""
        left = self._until - clock.monotonic()
        if left <= 0:
            return b""
        before = self._connection.gettimeout()
        self._connection.settimeout(left if before is None else min(left, before))
        try:
            return self._connection.recv(size)
        except TimeoutError:
            return b""
        finally:
            self._connection.settimeout(before)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """gthread waits for ever for the rest of a request, with a thread for each: a few slow clients would take all of them."""

    def init_process(self) -> None:
        """Begin, with the settings that the application will read as well."""
        self.request_seconds = Settings.from_env().request_seconds
        super().init_process()

    def handle(self, conn: Any) -> Any:
        """Serve one request of a connection."""
        arriving = getattr(conn, "arriving", None)
        if arriving is not None:
            arriving.begin()
        elif not conn.initialized and not self.cfg.is_ssl:
            conn.arriving = conn.sock = _Arriving(conn.sock, self.request_seconds)
        return super().handle(conn)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Answer what is too long with a problem, like all other errors, and end the connection."""
        if type(exc) not in _TOO_LONG:
            super().handle_error(req, client, addr, exc)
            return
        try:
            write_nonblock(client, _refusal(*_TOO_LONG[type(exc)]))
        except OSError:
            self.log.debug("Nobody is there to read what was wrong")


def _refusal(status: HTTPStatus, code: str, title: str) -> bytes:
    body = orjson.dumps(document(status, code=code, title=title, instance="", request_id=None))
    head = f"HTTP/1.1 {status.value} {title}\r\nConnection: close\r\nContent-Type: {PROBLEM_JSON}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
