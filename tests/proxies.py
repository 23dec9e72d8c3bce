"""Real proxies on loopback for the tests, and servers behind them that say their names."""

import contextlib
import http.client
import http.server
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.acceptance.fleet import eventually
from tests.ports import free_port

HAPROXY = shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") or ""
CADDY = shutil.which("caddy", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}") or ""
needs_haproxy = pytest.mark.skipif(
    not HAPROXY, reason="HAPROXY IS NOT TESTED HERE: there is no haproxy; install Debian's package"
)


@dataclass
class RunningProxy:
    """A proxy that listens on `port`, with what a pipeline says to reach it."""

    port: int
    settings: dict[str, object]

    def asks(self, count: int) -> dict[str, int]:
        """Who answers how many of so many requests, each on a connection of its own."""
        answers: dict[str, int] = {}
        while sum(answers.values()) < count:
            with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
                connection.request("GET", "/")
                try:
                    said = connection.getresponse().read().decode()
                except http.client.RemoteDisconnected:
                    continue  # Caddy replaces its server at each change, and the old one may hang up on who just came
            answers[said] = answers.get(said, 0) + 1
        return answers


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of HAProxy, which looks whether somebody takes connections and hangs up."""


@dataclass
class Backend:
    """A server that answers with its name; `hold` keeps requests for `/slow` under way until it is set."""

    name: str
    hold: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    @contextlib.contextmanager
    def serving(self) -> Iterator["Backend"]:
        backend = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/slow":
                    backend.hold.wait(60)
                body = backend.name.encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        server = _Server(("127.0.0.1", self.port), Handler)
        self.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield self
        finally:
            self.hold.set()
            server.shutdown()
            server.server_close()


@contextlib.contextmanager
def haproxy(
    folder: Path, servers: Mapping[str, tuple[int, int]], *, check: bool = True
) -> Iterator[RunningProxy]:
    """HAProxy before `servers` (by name: port and weight), its socket in `folder`."""
    port, control = free_port(), folder / "admin.sock"
    lines = "\n".join(
        f"  server {name} 127.0.0.1:{at} weight {weight}{' check inter 100ms' if check else ''}"
        for name, (at, weight) in servers.items()
    )
    configuration = folder / "haproxy.cfg"
    configuration.write_text(
        f"global\n  stats socket {control} mode 600 level admin\n  maxconn 1000\n"
        "defaults\n  mode http\n  option redispatch\n  retries 3\n"
        "  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n"
        f"listen shop\n  bind 127.0.0.1:{port}\n{lines}\n"
    )
    with _running([HAPROXY, "-f", str(configuration), "-db"], folder / "haproxy.log", port):
        eventually(control.exists, "HAProxy's socket is there")
        yield RunningProxy(port, {"haproxy": str(control), "backend": "shop"})


@contextlib.contextmanager
def caddy(folder: Path, servers: Mapping[str, tuple[int, int]]) -> Iterator[RunningProxy]:
    """Caddy before `servers`, as `haproxy`; it calls them by their addresses."""
    port, admin = free_port(), free_port()
    handler = {
        "@id": "shop",
        "handler": "reverse_proxy",
        "upstreams": [{"dial": f"127.0.0.1:{at}"} for at, _ in servers.values()],
        "load_balancing": {
            "selection_policy": {
                "policy": "weighted_round_robin",
                "weights": [weight for _, weight in servers.values()],
            }
        },
    }
    site = {
        "listen": [f"127.0.0.1:{port}"],
        "automatic_https": {"disable": True},
        "routes": [{"handle": [handler]}],
    }
    configuration = folder / "caddy.json"
    configuration.write_text(
        json.dumps(
            {
                "admin": {"listen": f"127.0.0.1:{admin}", "config": {"persist": False}},
                "apps": {"http": {"servers": {"site": site}}},
            }
        )
    )
    with _running([CADDY, "run", "--config", str(configuration)], folder / "caddy.log", port):
        yield RunningProxy(port, {"caddy": f"http://127.0.0.1:{admin}", "id": "shop"})


@contextlib.contextmanager
def _running(command: list[str], log: Path, port: int) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env={**os.environ, "HOME": str(log.parent)}
        )
    try:
        eventually(lambda: process.poll() is not None or _answers(port), f"{command[0]} listens")
        assert process.poll() is None, log.read_text()
        yield
    finally:
        process.terminate()
        process.wait(timeout=20)


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
