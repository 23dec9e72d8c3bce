"""What the tests of the stream share: its real process, people with tokens, and a worker played by hand."""

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.client.sse import EventParser, ServerEvent
from orchestrator.domain.statuses import Outcome
from orchestrator.services import attempts, deployments
from orchestrator.services.attempts import Claim, Output
from tests.acceptance.fleet import ROOT, eventually
from tests.conftest import environment
from tests.integration.api_world import ApiWorld, Person
from tests.integration.engine_world import World, worker
from tests.ports import free_port

PATIENCE_SECONDS = 30


@dataclass
class Server:
    """A process that listens: `python -m stream`, or the web server."""

    argv: list[str]
    env: dict[str, str]
    log: Path
    port: int
    popen: subprocess.Popen[bytes] = field(init=False)

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", *self.argv],
                cwd=ROOT,
                # Who is killed leaves what it has in a temporary folder.
                env={"PATH": os.environ["PATH"], "TMPDIR": str(self.log.parent), **self.env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        eventually(self.is_ready, "the server answers")

    def is_ready(self) -> bool:
        assert self.popen.poll() is None, self.log.read_text(errors="replace")[-3000:]
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/health/ready")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def kill(self) -> None:
        """kill -9, with all its children."""
        if self.popen.poll() is None:
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class Listener:
    """One open stream: the answer's status and headers, then its events one by one."""

    def __init__(self, port: int, path: str, headers: dict[str, str]) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
        self._connection.request("GET", path, headers=headers)
        self.answer = self._connection.getresponse()
        self.status = self.answer.status
        self._parser = EventParser()
        self._pending: list[ServerEvent] = []
        self.last_id = headers.get("Last-Event-ID", "")

    def events(self) -> Iterator[ServerEvent]:
        """Until the connection ends, however it ends."""
        while True:
            while self._pending:
                event = self._pending.pop(0)
                self.last_id = event.id
                yield event
            try:
                chunk = self.answer.read1(65_536)
            except (OSError, http.client.HTTPException):
                return
            if not chunk:
                return
            self._pending += self._parser.feed(chunk)

    def until(self, kind: str) -> list[ServerEvent]:
        """The events up to and including the first of this kind."""
        seen = []
        for event in self.events():
            seen.append(event)
            if event.type == kind:
                return seen
        raise AssertionError(f"it ended before {kind}: {[each.type for each in seen]}")

    def problem(self) -> Any:
        return json.loads(self.answer.read())

    def close(self) -> None:
        self.answer.close()
        self._connection.close()


def text_of(events: list[ServerEvent]) -> str:
    """All that the log events wrote, checking that each attempt's bytes come once and in order.

    What was not UTF-8 cannot be counted again, so nothing is checked behind it.
    """
    ends: dict[tuple[int, int], int] = {}
    written: list[str] = []
    countable = True
    for event in events:
        for item in json.loads(event.data)["items"] if event.type == "log" else ():
            run = (item["step_id"], item["attempt"])
            assert not countable or item["offset"] == ends.get(run, 0), "a gap or a repetition"
            ends[run] = item["offset"] + len(item["text"].encode())
            countable = countable and "\ufffd" not in item["text"]
            written.append(item["text"])
    return "".join(written)


@dataclass
class StreamWorld:
    """A stream process on a database, with somebody logged in and an application `shop`."""

    api: ApiWorld
    engine: World
    server: Server
    person: Person

    def follow(
        self, deployment_id: int, *, person: Person | None = None, last_id: str = "", query: str = ""
    ) -> Listener:
        token = (person or self.person).tokens["access_token"]
        headers = {"Authorization": f"Bearer {token}"} | ({"Last-Event-ID": last_id} if last_id else {})
        return Listener(self.server.port, f"/api/v1/deployments/{deployment_id}/stream{query}", headers)

    def get(self, path: str, headers: dict[str, str] | None) -> Listener:
        """Any request; `headers` None: as the person."""
        token = {"Authorization": f"Bearer {self.person.tokens['access_token']}"}
        return Listener(self.server.port, path, token if headers is None else headers)

    def on(self, server: Server) -> "StreamWorld":
        """The same world, with another stream process."""
        return replace(self, server=server)

    def running(self, environment: str = "staging") -> Claim:
        """A new deployment whose first attempt a worker has taken. What a test before has left there is ended first."""
        unended = "SELECT id FROM deployments WHERE ended_at IS NULL AND environment IN (:one, :before) ORDER BY id DESC"
        before = "staging" if environment == "production" else environment
        for left in self.engine.column(unended, one=environment, before=before):
            self.cancel(int(str(left)))
        version = f"1.0.{self.api.count('releases')}"
        self.engine.release(version)
        if environment == "production":
            assert self.engine.run_to_end(self.engine.request(version, "staging")) == "succeeded"
        claim = self.engine.advance(self.engine.request(version, environment), worker())
        assert claim is not None
        return claim

    def cancel(self, deployment_id: int) -> None:
        """End a deployment, whoever holds what of it."""
        with self.engine.database.transaction() as session:
            deployments.cancel(session, deployment_id, actor=self.engine.actor, reason="")
        self._let_go(deployment_id)
        for attempt_id in self.engine.open_attempts(deployment_id):
            taken = self.engine.claim(int(str(attempt_id)), worker())
            assert taken is not None
            self.engine.finish(taken, Outcome.ABORTED)
        assert self.engine.status(deployment_id) == "cancelled"

    def _let_go(self, deployment_id: int) -> None:
        held = "UPDATE attempts SET lease_until = clock_timestamp() WHERE deployment_id = :id AND ended_at IS NULL"
        self.engine.execute(held, id=deployment_id)

    def write(self, claim: Claim, data: bytes) -> None:
        """Let the attempt write what comes next."""
        with self.engine.database.transaction() as session:
            start = attempts.logs.stored_bytes(session, claim.attempt_id, claim.token)
            assert start is not None
            attempts.write_output(session, claim, Output(start, start + len(data), data))

    def claim_other(self, attempt_id: object, than: Claim) -> Claim | None:
        """Take another attempt of the same wave."""
        taken = attempt_id != than.attempt_id and self.engine.claim(int(str(attempt_id)), worker())
        return taken or None

    def write_to_end(self, deployment_id: int, claim: Claim) -> None:
        """Let everything of the deployment succeed, whoever holds it."""
        self.end(claim)
        self._let_go(deployment_id)
        for _ in range(10):
            for attempt_id in self.engine.open_attempts(deployment_id):
                taken = self.engine.claim(int(str(attempt_id)), worker())
                if taken is not None:
                    self.end(taken)

    def end(self, claim: Claim) -> None:
        """Let this attempt and all others of its deployment succeed."""
        one, deployment = worker(), claim.work.deployment_id
        following: Claim | None = claim
        while following is not None:
            following = self.engine.finish(following, by=one) or self.engine.advance(deployment, one)


def stream_server(world: ApiWorld, folder: Path, **env: str) -> Server:
    port = free_port()
    full = environment(world.settings.database_url, world.settings.redis_url, folder) | env
    return Server(["stream", "--port", str(port)], full, folder / f"stream-{port}.log", port)


@contextmanager
def running(server: Server) -> Iterator[Server]:
    server.start()
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="module")
def streams(world: ApiWorld, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StreamWorld]:
    """One stream process for a module."""
    with running(stream_server(world, tmp_path_factory.mktemp("stream"))) as server:
        yield StreamWorld(world, World(world.database), server, world.admin)
