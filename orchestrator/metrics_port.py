"""`/metrics` of processes that answer no requests of their own: a port that is closed unless METRICS_PORT opens it."""

import hmac
import threading
from collections.abc import Iterable
from http import HTTPStatus
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import REGISTRY

from orchestrator import log
from orchestrator.config import Settings

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

PATH = "/metrics"
PATIENCE_SECONDS = 5

_logger = log.get(__name__)


class _Server(ThreadingMixIn, WSGIServer):
    """Answers in threads that end with the process."""

    daemon_threads = True


class _Handler(WSGIRequestHandler):
    """Keeps still, and waits for nobody for long."""

    timeout = PATIENCE_SECONDS

    def log_message(self, *_details: object) -> None:
        """Say nothing: a scrape every few seconds is no news."""


def serve(settings: Settings) -> WSGIServer | None:
    """Answer `/metrics` in a thread; None where nobody asked for it, or the port is taken: work goes on unwatched."""
    if not settings.metrics_port:
        return None
    address, port = settings.metrics_address, settings.metrics_port
    try:
        server = make_server(address, port, application(settings.metrics_token), _Server, _Handler)
    except OSError as error:
        _logger.warning("metrics_port_unusable", address=address, port=port, error=error.strerror)
        return None
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    _logger.info("metrics_served", address=address, port=server.server_port)
    return server


def application(token: str) -> "WSGIApplication":
    """Everything this process counts, for who shows the token; for anyone where there is none."""
    wanted = f"Bearer {token}".encode()

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        sent = environ.get("HTTP_AUTHORIZATION", "").encode("latin-1")
        if token and not hmac.compare_digest(sent, wanted):
            status, headers, body = HTTPStatus.UNAUTHORIZED, [("WWW-Authenticate", "Bearer")], b""
        elif environ.get("PATH_INFO") != PATH or environ["REQUEST_METHOD"] != "GET":
            status, headers, body = HTTPStatus.NOT_FOUND, [], b""
        else:
            status, headers = HTTPStatus.OK, [("Content-Type", CONTENT_TYPE_LATEST)]
            body = generate_latest(REGISTRY)
        start_response(f"{status.value} {status.phrase}", headers)
        return [body]

    return answer
