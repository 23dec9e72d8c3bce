"""Blue-green and canary by real workers, through a real HAProxy under load: not one request fails, whatever dies."""

import http.client
import http.server
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from orchestrator.services import deployments, pipelines, releases
from orchestrator.traffic.base import at_any_time
from orchestrator.traffic.haproxy import HaproxyProxy
from tests.acceptance.fleet import Fleet, eventually
from tests.acceptance.test_workers import ended
from tests.acceptance.tool import workers, world
from tests.integration.engine_world import World
from tests.proxies import RunningProxy, haproxy, needs_haproxy

__all__ = ["workers", "world"]

pytestmark = needs_haproxy

# While it is being changed a server answers nobody well, so a request that goes there then is one that fails.
INSTALL = """touch "$HOME_OF/down"; echo "$RELEASE_VERSION" > "$HOME_OF/version"; rm "$HOME_OF/down" """


class _Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of HAProxy, which looks whether somebody takes connections and hangs up."""


@dataclass
class Side:
    """A server of the shop in a folder: it says the version that was installed there; `/slow` waits for `gate`."""

    folder: Path
    gate: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    @contextmanager
    def serving(self) -> Iterator["Side"]:
        side = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                if self.path == "/slow":
                    side.gate.wait(60)
                body = (side.folder / "version").read_bytes().strip()
                self.send_response(503 if (side.folder / "down").exists() else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        server = _Server(("127.0.0.1", 0), Handler)
        self.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield self
        finally:
            self.gate.set()
            server.shutdown()
            server.server_close()


@dataclass
class Load:
    """Four who ask the proxy without a pause, and what they were answered."""

    port: int
    answers: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    enough: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def going(self) -> Iterator["Load"]:
        threads = [threading.Thread(target=self._ask_on, daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            eventually(lambda: self.count() > 50, "requests are answered")
            yield self
        finally:
            self.enough.set()
            for thread in threads:
                thread.join()

    def count(self) -> int:
        with self.lock:
            return sum(self.answers.values())

    def seen(self, version: str) -> bool:
        with self.lock:
            return self.answers.get(version, 0) > 0

    def _ask_on(self) -> None:
        while not self.enough.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            try:
                connection.request("GET", "/")
                response = connection.getresponse()
                body = response.read().decode()
                said = body if response.status == 200 else f"status {response.status}"
            except (OSError, http.client.HTTPException) as error:
                said = f"{type(error).__name__}: {error}"
                body = ""
            finally:
                connection.close()
            with self.lock:
                if said == body and body:
                    self.answers[said] = self.answers.get(said, 0) + 1
                else:
                    self.failures.append(said)


@dataclass
class Shop:
    """Two servers behind HAProxy, both with version 1; the first has all the traffic, or each its half."""

    sides: dict[str, Side]
    running: RunningProxy

    def weights(self) -> dict[str, int]:
        found = HaproxyProxy.from_settings(self.running.settings).servers(5)
        return {name: server.weight for name, server in found.items()}


@contextmanager
def shop(folder: Path, names: list[str], weights: list[int]) -> Iterator[Shop]:
    with ExitStack() as stack:
        sides = {}
        for name in names:
            (folder / name).mkdir()
            (folder / name / "version").write_text("1\n")
            sides[name] = stack.enter_context(Side(folder / name).serving())
        servers = {name: (sides[name].port, weight) for name, weight in zip(names, weights, strict=True)}
        yield Shop(sides, stack.enter_context(haproxy(folder, servers)))


def deploy(world: World, made: Shop, strategy: str, *, install: str = INSTALL) -> int:
    """Record the shop and its version 2, and request a deployment of that."""
    targets = "".join(
        f"      - {{name: {name}, kind: command, labels: {{side: {name}}},"
        f' variables: {{HOME_OF: "{side.folder}", PORT: "{side.port}"}}}}\n'
        for name, side in made.sides.items()
    )
    proxy = ", ".join(f"{key}: {value}" for key, value in made.running.settings.items())
    source = (
        f"application: web\nenvironments:\n  live:\n    targets:\n{targets}"
        f"    traffic: {{{proxy}}}\n    strategy: {strategy}\n"
        f"deploy:\n  - run: |\n      {install}\n"
        '  - verify: {http: "http://127.0.0.1:$PORT/", expect: $RELEASE_VERSION, within: 10s}\n'
    )
    with world.database.transaction() as session:
        pipelines.apply(session, name="web", source=source, actor=world.actor)
        releases.create(session, name="web", version="2", artifact="", changes="", actor=world.actor)
    return request(world)


def request(world: World) -> int:
    """A deployment of what is recorded."""
    with world.database.transaction() as session:
        return deployments.request(
            session, application="web", version="2", environment="live", reason="", actor=world.actor
        ).id


def cancel_when(world: World, deployment: int, reached: Path) -> None:
    eventually(reached.exists, "a target is being changed")
    with world.database.transaction() as session:
        deployments.cancel(session, deployment, actor=world.actor, reason="it takes too long")
    assert ended(world, deployment) == "cancelled"
    reached.unlink()


def is_kept(world: World, deployment: int) -> bool:
    return world.get(deployment).next_wave_at is not None


def test_a_worker_that_is_killed_in_the_middle_of_the_switch_costs_no_request(
    world: World, workers: Fleet, tmp_path: Path
) -> None:
    with shop(tmp_path, ["blue", "green"], [100, 0]) as made, Load(made.running.port).going() as load:
        slow = http.client.HTTPConnection("127.0.0.1", made.running.port, timeout=60)
        slow.request("GET", "/slow")
        first = workers.worker()
        deployment = deploy(world, made, "{kind: blue-green}")
        eventually(lambda: made.weights() == {"blue": 0, "green": 100}, "the traffic is switched")
        first.kill()  # blue still has the slow request, so its step is not over
        assert world.status(deployment) == "running"
        workers.worker()
        eventually(
            lambda: "1 requests are under way there" in world.stored_log(deployment).decode(),
            "it is gone on with",
        )
        made.sides["blue"].gate.set()
        assert ended(world, deployment) == "succeeded"
        assert slow.getresponse().status == 200
        slow.close()
        assert made.running.asks(20) == {"2": 20}
    assert load.failures == []
    assert load.seen("1")
    assert load.seen("2")


def test_an_abort_after_the_switch_costs_no_request_and_the_old_side_answers_again(
    world: World, workers: Fleet, tmp_path: Path
) -> None:
    with shop(tmp_path, ["blue", "green"], [100, 0]) as made, Load(made.running.port).going() as load:
        workers.worker()
        deployment = deploy(world, made, "{kind: blue-green, keep: 1h}")
        eventually(lambda: is_kept(world, deployment), "the old side is kept warm")
        assert made.weights() == {"blue": 0, "green": 100}
        with world.database.transaction() as session:
            deployments.cancel(session, deployment, actor=world.actor, reason="errors")
        assert ended(world, deployment) == "cancelled"
        assert made.weights() == {"blue": 100, "green": 0}
        assert made.running.asks(20) == {"1": 20}
    assert load.failures == []


def test_a_proxy_that_forgot_while_the_old_side_was_kept_is_told_again(
    world: World, workers: Fleet, tmp_path: Path
) -> None:
    with shop(tmp_path, ["blue", "green"], [100, 100]) as made:
        workers.worker()
        deployment = deploy(world, made, "{kind: blue-green, keep: 1h}")
        eventually(lambda: is_kept(world, deployment), "the old side is kept warm")
        assert made.running.asks(20) == {"2": 20}
        proxy = HaproxyProxy.from_settings(made.running.settings)
        proxy.set_weight("blue", 100, timeout_seconds=5, before_writing=at_any_time)  # as it is configured
        with world.database.transaction() as session:
            deployments.promote(session, deployment, actor=world.actor, reason="")
        assert ended(world, deployment) == "succeeded"
        assert made.weights() == {"blue": 0, "green": 100}
        assert made.running.asks(20) == {"2": 20}


@pytest.mark.parametrize("promoted", [True, False])
def test_a_canary_under_load(world: World, workers: Fleet, tmp_path: Path, *, promoted: bool) -> None:
    with shop(tmp_path, ["one", "two"], [100, 100]) as made, Load(made.running.port).going() as load:
        workers.worker()
        deployment = deploy(world, made, "{kind: canary, weights: [20%], hold: 1h}")
        eventually(lambda: is_kept(world, deployment), "the canary has its share")
        assert made.weights() == {"one": 25, "two": 100}
        assert made.running.asks(100)["2"] in range(
            5, 40
        )  # others ask as well, so its turn is not always ours
        with world.database.transaction() as session:
            act = deployments.promote if promoted else deployments.cancel
            act(session, deployment, actor=world.actor, reason="")
        assert ended(world, deployment) == ("succeeded" if promoted else "cancelled")
        assert made.weights() == ({"one": 100, "two": 100} if promoted else {"one": 0, "two": 100})
        assert made.running.asks(20) == ({"2": 20} if promoted else {"1": 20})
    assert load.failures == []


def test_cancels_in_a_row_leave_nothing_that_the_next_deployment_cannot_change(
    world: World, workers: Fleet, tmp_path: Path
) -> None:
    """Whoever is left without requests comes first: the other is the only one that has them."""
    with shop(tmp_path, ["one", "two"], [100, 100]) as made, Load(made.running.port).going() as load:
        workers.worker()
        stuck, at_two = (made.sides["two"].folder / name for name in ("stuck", "at-two"))
        stuck.touch()
        install = f'[ "$TARGET_NAME" = one ] || [ ! -e {stuck} ] || {{ touch {at_two}; sleep 600; }}\n      {INSTALL}'
        first = deploy(world, made, "{kind: rolling, batch: 1}", install=install)
        cancel_when(world, first, at_two)
        assert made.weights() == {"one": 100, "two": 0}
        cancel_when(world, request(world), at_two)
        assert made.weights() == {"one": 100, "two": 0}
        stuck.unlink()
        assert ended(world, request(world)) == "succeeded"
        assert made.weights() == {"one": 100, "two": 100}
    assert load.failures == []
