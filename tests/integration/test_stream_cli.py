"""`releasectl` against a real web and a real stream process: nothing is missed and nothing comes twice, whatever dies."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from orchestrator.services.attempts import Claim
from tests.acceptance.fleet import eventually
from tests.integration.api_world import world
from tests.integration.stream_world import Server, StreamWorld, running, stream_server, streams
from tests.ports import free_port

__all__ = ["streams", "world"]

GUNICORN = "gunicorn --no-control-socket -k gthread --workers 1 --threads 8"


@pytest.fixture
def pair(streams: StreamWorld, tmp_path: Path) -> Iterator[tuple[Server, Server]]:
    """A web process, and the stream process it leads to."""
    with running(stream_server(streams.api, tmp_path)) as stream:
        port = free_port()
        argv = [*GUNICORN.split(), "--bind", f"127.0.0.1:{port}", "api.wsgi:app"]
        env = stream.env | {"STREAM_URL": stream.url}
        with running(Server(argv, env, tmp_path / "web.log", port)) as web:
            yield web, stream


class Watcher:
    """`releasectl deployments logs -f` in a process of its own."""

    def __init__(self, web: Server, streams: StreamWorld, claim: Claim, home: Path) -> None:
        command = ["deployments", "logs", "-f", str(claim.work.deployment_id)]
        self.popen = subprocess.Popen(
            [sys.executable, "-c", "from orchestrator.cli import main; main()", *command],
            env={
                "PATH": os.environ["PATH"],
                "XDG_CONFIG_HOME": str(home),
                "RELEASECTL_URL": web.url,
                "RELEASECTL_TOKEN": streams.person.tokens["access_token"],
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.seen = b""
        assert self.popen.stdout is not None
        self._reading = threading.Thread(target=self._read, args=(self.popen.stdout,))
        self._reading.start()

    def _read(self, output: IO[bytes]) -> None:
        while part := os.read(output.fileno(), 65_536):
            self.seen += part

    def shows(self, line: bytes) -> None:
        eventually(lambda: line in self.seen, f"{line!r} is shown")

    def end(self) -> list[bytes]:
        """Its lines, once it has ended well."""
        self._reading.join(60)
        said = self.popen.stderr.read() if self.popen.stderr else b""
        assert self.popen.wait(60) == 0, said
        return self.seen.splitlines()


def follow_through(
    streams: StreamWorld, web: Server, home: Path, *, between: list[str], server: Server
) -> tuple[list[bytes], list[bytes]]:
    """What is shown while the stream process is treated so, and what was written."""
    claim = streams.running()
    streams.write(claim, b"the beginning\n")
    watcher = Watcher(web, streams, claim, home)
    watcher.shows(b"the beginning")
    lines = [b"web-a | the beginning"]
    for number, act in enumerate([*between, ""]):
        for part in range(5):
            streams.write(claim, f"{number} {part}\n".encode())
            lines.append(f"web-a | {number} {part}".encode())
        watcher.shows(lines[-1])
        if act:
            server.kill()
            streams.write(claim, f"while it was away {number}\n".encode())
            lines.append(f"web-a | while it was away {number}".encode())
        if act == "restart":
            server.start()
    streams.end(claim)
    return watcher.end(), lines


def test_a_follower_comes_back_to_a_stream_that_was_killed(
    streams: StreamWorld, pair: tuple[Server, Server], tmp_path: Path
) -> None:
    web, server = pair
    shown, written = follow_through(streams, web, tmp_path, between=["restart", "restart"], server=server)
    assert shown == written


def test_a_follower_polls_on_when_the_stream_does_not_come_back(
    streams: StreamWorld, pair: tuple[Server, Server], tmp_path: Path
) -> None:
    web, server = pair
    shown, written = follow_through(streams, web, tmp_path, between=["kill"], server=server)
    assert shown == written
    assert "/logs" in web.log.read_text()


def test_a_server_that_does_not_stream_is_polled(streams: StreamWorld, tmp_path: Path) -> None:
    port = free_port()
    argv = [*GUNICORN.split(), "--bind", f"127.0.0.1:{port}", "api.wsgi:app"]
    with running(Server(argv, streams.server.env, tmp_path / "web.log", port)) as web:
        answer = streams.on(web).follow(1)
        assert (answer.status, answer.answer.headers["Retry-After"]) == (503, "2")
        assert answer.problem()["code"] == "stream_unavailable"
        shown, written = follow_through(streams, web, tmp_path, between=[], server=web)
    assert shown == written


def test_a_full_stream_is_not_waited_for(streams: StreamWorld, tmp_path: Path) -> None:
    claim = streams.running("lab")
    with running(stream_server(streams.api, tmp_path, STREAM_LIMIT="1")) as full:
        held = streams.on(full).follow(claim.work.deployment_id)
        held.until("status")
        port = free_port()
        argv = [*GUNICORN.split(), "--bind", f"127.0.0.1:{port}", "api.wsgi:app"]
        with running(Server(argv, full.env | {"STREAM_URL": full.url}, tmp_path / "web.log", port)) as web:
            shown, written = follow_through(streams, web, tmp_path, between=[], server=web)
    assert shown == written
    streams.write_to_end(claim.work.deployment_id, claim)


def test_web_leads_to_the_stream_with_all_that_was_asked(
    streams: StreamWorld, pair: tuple[Server, Server]
) -> None:
    web, server = pair
    answer = streams.on(web).follow(1, query="?step=2&last_event_id=0.abc")
    assert answer.status == 307
    location = f"{server.url}/api/v1/deployments/1/stream?step=2&last_event_id=0.abc"
    assert answer.answer.headers["Location"] == location
    assert streams.on(web).get("/api/v1/deployments/1/stream", {}).status == 401
