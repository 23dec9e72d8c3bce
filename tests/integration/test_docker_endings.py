"""A Docker daemon that begins to end in the middle of a start: a real one, behind who answers as such a one was seen to."""

import http.client
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import orjson
import pytest

from orchestrator.targets.base import Absent, TargetUnreachableError
from orchestrator.targets.docker_engine import Answer, Engine
from orchestrator.testing import new_run
from tests.dockerd import Dockerd, needs_dockerd
from tests.integration.test_docker_target import ended, noting, target_at

pytestmark = needs_dockerd

# What Docker 20.10 was seen to say to who asked it all the while, in the last second after its TERM.
NOT_OPEN = Answer(500, {"message": "get the volume: database not open"})
CLOSING = Answer(500, {"message": "transport is closing: unavailable"})
NO_SUCH_FILE = Answer(404, None)


@dataclass
class Ending:
    """What stands before a daemon, and begins to end with the call whose method and path `begins_at` describes."""

    engine: Engine
    socket: Path
    begins_at: tuple[str, str]
    ends: threading.Event = field(default_factory=threading.Event)
    removed: list[str] = field(default_factory=list)
    """What it was asked to remove since then."""

    def answer(self, method: str, path: str, body: bytes) -> Answer | None:
        """What the daemon says of its own accord; None: what it would always say."""
        place = path.partition("?")[0]
        if method == self.begins_at[0] and place.endswith(self.begins_at[1]):
            self.ends.set()
        if not self.ends.is_set():
            return None
        if method == "DELETE":
            self.removed.append(place)
        if place.endswith("/volumes/create"):
            self._lose_labels(body)
        if place.startswith("/volumes/"):
            return NOT_OPEN
        if place.endswith("/start"):
            return CLOSING
        return NO_SUCH_FILE if place.endswith("/archive") else None

    def _lose_labels(self, body: bytes) -> None:
        name = orjson.loads(body)["Name"]
        self.engine.ask("POST", "/volumes/create", body={"Name": name}).expected()


@contextmanager
def before(dockerd: Dockerd, begins_at: tuple[str, str]) -> Iterator[Ending]:
    """Stand before a daemon, at a socket of its own."""
    ending = Ending(dockerd.engine, dockerd.folder / "ending.sock", begins_at)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            self.raw_requestline = self.rfile.readline()
            if not self.raw_requestline or not self.parse_request():
                self.close_connection = True
                return
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            said = ending.answer(self.command, self.path, body)
            if said is None:
                self._carry(body)
            else:
                self._say(said.status, {}, b"" if said.document is None else orjson.dumps(said.document))

        def _carry(self, body: bytes) -> None:
            with closing(http.client.HTTPConnection("localhost")) as there:
                there.sock = socket.socket(socket.AF_UNIX)
                there.sock.connect(str(dockerd.socket))
                there.request(self.command, self.path, body, dict(self.headers))
                response = there.getresponse()
                self._say(response.status, dict(response.headers), response.read())

        def _say(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name in headers.keys() - {"Content-Length", "Transfer-Encoding", "Connection"}:
                self.send_header(name, headers[name])
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with socketserver.ThreadingUnixStreamServer(str(ending.socket), Handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield ending
        finally:
            server.shutdown()
            ending.socket.unlink()


@pytest.mark.parametrize(
    "begins_at",
    [("PUT", "/archive"), ("POST", "/volumes/create"), ("POST", "/start")],
    ids=["it gets its files", "its record is made", "it is started"],
)
def test_a_container_whose_daemon_begins_to_end_while(
    empty_dockerd: Dockerd, tmp_path: Path, begins_at: tuple[str, str]
) -> None:
    run, ledger = new_run(), tmp_path / "ledger"
    with before(empty_dockerd, begins_at) as ending:
        target = target_at(empty_dockerd, tmp_path, socket=str(ending.socket))
        with pytest.raises(TargetUnreachableError):
            target.start(run, noting(ledger))
        assert ending.ends.is_set()
        assert ending.removed == []
    target = target_at(empty_dockerd, tmp_path)
    assert target.poll(run, 0) == Absent()
    target.start(run, noting(ledger))
    assert ended(target, run) == (b"said\n", 0)
    target.start(run, noting(ledger))
    assert ledger.read_text() == "start\n"
