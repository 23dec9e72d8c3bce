"""`/metrics` and `/health/live` of processes that answer no requests of their own, on a port that METRICS_PORT opens."""

import hmac
import socket
import threading
from collections.abc import Callable, Iterable
from http import HTTPStatus
from socketserver import TCPServer, ThreadingMixIn
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import REGISTRY

from orchestrator import log
from orchestrator.config import Settings

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

METRICS, LIVE = "/metrics", "/health/live"
PATIENCE_SECONDS = 5

_logger = log.get(__name__)


class _Server(ThreadingMixIn, WSGIServer):
    """Answers in threads that end with the process."""

    daemon_threads = True

    def server_bind(self) -> None:
        """Without asking who we are by name, which takes long where nobody knows."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()


class _Server6(_Server):
    """The same for an address of version 6."""

    address_family = socket.AF_INET6


class _Handler(WSGIRequestHandler):
    """Keeps still, and waits for nobody for long."""

    timeout = PATIENCE_SECONDS

    def log_message(self, *_details: object) -> None:
        """Say nothing: a scrape every few seconds is no news."""


def serve(settings: Settings, *, lives: Callable[[], bool] = lambda: True) -> WSGIServer | None:
    """Answer `/metrics`, and `/health/live` by what `lives` says, in a thread.

    None where nobody asked for it, or the port is taken: work goes on unwatched.
    """
    if not settings.metrics_port:
        return None
    address, port = settings.metrics_address, settings.metrics_port
    try:
        kind = _Server6 if ":" in address else _Server
        server = make_server(address, port, application(settings.metrics_token, lives), kind, _Handler)
    except OSError as error:
        _logger.warning("metrics_port_unusable", address=address, port=port, error=error.strerror)
        return None
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    _logger.info("metrics_served", address=address, port=server.server_port)
    return server


def application(token: str, lives: Callable[[], bool]) -> "WSGIApplication":
    """Everything this process counts, for who shows the token (anyone where there is none); to everyone whether it lives."""
    wanted = f"Bearer {token}".encode()

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if environ.get("PATH_INFO") == LIVE:
            status = HTTPStatus.OK if lives() else HTTPStatus.SERVICE_UNAVAILABLE
            start_response(f"{status.value} {status.phrase}", [])
            return [b""]
        sent = environ.get("HTTP_AUTHORIZATION", "").encode("latin-1")
        if token and not hmac.compare_digest(sent, wanted):
            status, headers, body = HTTPStatus.UNAUTHORIZED, [("WWW-Authenticate", "Bearer")], b""
        elif environ.get("PATH_INFO") != METRICS or environ["REQUEST_METHOD"] != "GET":
            status, headers, body = HTTPStatus.NOT_FOUND, [], b""
        else:
            status, headers = HTTPStatus.OK, [("Content-Type", CONTENT_TYPE_LATEST)]
            body = generate_latest(REGISTRY)
        start_response(f"{status.value} {status.phrase}", headers)
        return [body]

    return answer
