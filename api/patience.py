"""A gunicorn worker that waits for each client only so long, and not at the cost of the others: `-k api.patience.Worker`."""

import select
import selectors
import socket
import threading
from collections import deque
from concurrent.futures import Future
from functools import partial
from http import HTTPStatus
from time import monotonic  # gunicorn's clock
from typing import Any

import orjson
from gunicorn.http.errors import LimitRequestHeaders, LimitRequestLine
from gunicorn.util import write_nonblock
from gunicorn.workers.gthread import ThreadWorker

from orchestrator import clock
from orchestrator.config import Settings
from orchestrator.presenting.problems import PROBLEM_JSON, document

LEAVING_SECONDS = 2.0
"""How long a client has to read the end of an answer after which its connection ends."""
LINGER_SECONDS = 0.01
"""How long a thread that nobody else waits for stays with a connection whose client may ask again at once."""
_READ_BYTES = 65_536
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
    """gthread waits for ever for the rest of a request, with a thread for each: a few slow clients would take all of them.

    At the end of a connection it waits for the client in its one thread that accepts, and all others wait as well. Here
    who is leaving is looked after beside them.
    After each request it hands the connection to that thread, and gets it back with the next request: the two ways cost
    as much as a small request. Here a thread waits for that one for a moment, if no connection waits for a thread.
    """

    def init_process(self) -> None:
        """Begin, with the settings that the application will read as well."""
        self.request_seconds = Settings.from_env().request_seconds
        self.leaving: deque[Any] = deque()
        self.waiting = 0
        """Connections that wait for a thread."""
        self.counting = threading.Lock()
        self.lingering = threading.Semaphore(self.cfg.threads // 2)
        super().init_process()

    def enqueue_req(self, conn: Any) -> None:
        """Let a thread serve a connection."""
        with self.counting:
            self.waiting += 1
        super().enqueue_req(conn)

    def handle(self, conn: Any) -> Any:
        """Serve one request of a connection, and those that follow it at once."""
        with self.counting:
            self.waiting -= 1
        if not hasattr(conn, "arriving"):
            conn.arriving = None if self.cfg.is_ssl else _Arriving(conn.sock, self.request_seconds)
            conn.sock = conn.arriving or conn.sock
        while True:
            if conn.arriving is not None:
                conn.arriving.begin()
            goes_on = super().handle(conn)
            if goes_on is not True or conn.arriving is None or not self._asks_again(conn):
                return goes_on

    def _asks_again(self, conn: Any) -> bool:
        """Whether the next request comes while this thread waits for it. Half of the threads never do so."""
        if self.waiting or not self.alive or conn.parser.unreader.buf.getvalue():
            return False
        if not self.lingering.acquire(blocking=False):
            return False
        try:
            coming = select.poll()
            coming.register(conn.sock, select.POLLIN)
            return bool(coming.poll(LINGER_SECONDS * 1000))
        finally:
            self.lingering.release()

    def finish_request(self, conn: Any, fs: Future[Any]) -> None:
        """Go on with the connection after a request, or begin to end it."""
        if fs.cancelled() or fs.exception() is not None or fs.result():
            super().finish_request(conn, fs)
            return
        # Closed at once, with bytes of the client's unread, the end of the answer could be lost to it (RFC 9112, 9.6).
        try:
            conn.sock.shutdown(socket.SHUT_WR)
            conn.sock.setblocking(False)
        except OSError:
            self._end(conn)
            return
        conn.timeout = monotonic() + LEAVING_SECONDS
        self.leaving.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._see_leave, conn))

    def _see_leave(self, conn: Any, _connection: Any) -> None:
        """What it still sends is for nobody; when it has read the end it says so."""
        try:
            is_over = not conn.sock.recv(_READ_BYTES)
        except OSError as error:
            is_over = not isinstance(error, BlockingIOError)
        if is_over:
            self.leaving.remove(conn)
            self.poller.unregister(conn.sock)
            self._end(conn)

    def _end(self, conn: Any) -> None:
        self.nr_conns -= 1
        conn.close()

    def murder_keepalived(self, force: bool = False) -> None:
        """End connections that nobody used for a while: what has come in until now is looked at before."""
        waiting = self.keepalived_conns
        if not force and waiting and waiting[0].timeout <= monotonic():
            self.wait_for_and_dispatch_events(timeout=0)
        super().murder_keepalived(force)

    def murder_pending(self) -> None:
        """End connections on which nothing came, and those that do not leave by themselves."""
        super().murder_pending()
        while self.leaving and self.leaving[0].timeout <= monotonic():
            conn = self.leaving.popleft()
            self.poller.unregister(conn.sock)
            self._end(conn)

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
