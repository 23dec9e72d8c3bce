"""The servers of an application behind real proxies, and somebody who asks for them all the while."""

import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.chaos.applications import SWITCHED
from tests.proxies import HAPROXY, RunningProxy, haproxy

ASKS_EVERY_SECONDS = 0.2
_PATIENCE_SECONDS = 30.0
WEIGHTS: Mapping[str, Mapping[str, int]] = {
    "staging": {"t1": 100, "t2": 0},
    "production": {"t1": 100, "t2": 100, "t3": 100, "t4": 100},
}
"""What the servers of each environment weigh in the beginning; of two sides the first one is live then."""


@dataclass(frozen=True, slots=True)
class Request:
    """One that came to a server: to which, by the name of its target, and when, in seconds since 1970."""

    place: str
    at: float


@dataclass
class Traffic:
    """One proxy for each environment. Nothing ever happens to these: what fails is the orchestrator's doing."""

    proxies: dict[str, RunningProxy] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    """Requests that were not answered well, as a person would be told."""
    _enough: threading.Event = field(default_factory=threading.Event)

    @property
    def settings(self) -> dict[str, str]:
        """What a pipeline says to reach the proxy of each environment, as YAML."""
        return {
            environment: ", ".join(f"{name}: {value}" for name, value in proxy.settings.items())
            for environment, proxy in self.proxies.items()
        }

    @property
    def first_weights(self) -> dict[str, int]:
        """What each server weighed in the beginning, by the name of its target."""
        return {
            _place(environment, server): weight
            for environment, weights in WEIGHTS.items()
            for server, weight in weights.items()
        }

    def weights(self) -> dict[str, int]:
        """What each server weighs now, as its proxy says."""
        return {
            _place(environment, server): _weight(proxy.settings, server)
            for environment, proxy in self.proxies.items()
            for server in WEIGHTS[environment]
        }

    def ask_on(self) -> None:
        """Ask each proxy, again and again, until it is enough."""
        while not self._enough.wait(ASKS_EVERY_SECONDS):
            for environment, proxy in self.proxies.items():
                if failure := _ask(proxy.port):
                    self.failures.append(f"a request to {environment} failed at {time.time():.3f}: {failure}")

    @contextmanager
    def going(self) -> Iterator["Traffic"]:
        """Ask meanwhile."""
        asking = threading.Thread(target=self.ask_on, name="asks the proxies", daemon=True)
        asking.start()
        try:
            yield self
        finally:
            self._enough.set()
            asking.join()


@contextmanager
def traffic(folder: Path, *, notice: Callable[[str], None]) -> Iterator[Traffic | None]:
    """The proxies, and who asks them; None, and said aloud, where there can be none."""
    if not HAPROXY:
        notice("NO TRAFFIC IS MOVED: there is no haproxy; install Debian's package")
        yield None
        return
    made = Traffic()
    with ExitStack() as stack:
        for environment, weights in WEIGHTS.items():
            own = folder / "proxies" / environment
            own.mkdir(parents=True)
            servers = {
                name: (stack.enter_context(_server(_place(environment, name), made.requests)), weight)
                for name, weight in weights.items()
            }
            made.proxies[environment] = stack.enter_context(haproxy(own, servers, check=False))
        yield stack.enter_context(made.going())


def _place(environment: str, server: str) -> str:
    return f"{SWITCHED.name}.{environment}.{server}"


@contextmanager
def _server(place: str, requests: list[Request]) -> Iterator[int]:
    """A server that writes down who comes; its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(Request(place, time.time()))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, name=place, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


def _ask(port: int) -> str:
    """Why a request failed; empty if it did not."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_SECONDS)) as connection:
        try:
            connection.request("GET", "/")
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            return f"{type(error).__name__}: {error}"
    return "" if status == 200 else f"status {status}"


def _weight(settings: Mapping[str, object], server: str) -> int:
    """HAProxy answers as `100 (initial 100)`."""
    with closing(socket.socket(socket.AF_UNIX)) as connection:
        connection.settimeout(_PATIENCE_SECONDS)
        connection.connect(str(settings["haproxy"]))
        connection.sendall(f"get weight {settings['backend']}/{server}\n".encode())
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    return int(answer.split()[0])
