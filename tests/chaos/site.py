"""An installation with applications in it, somebody who asks, and somebody who looks: what every scenario begins with."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random

from orchestrator import clock
from orchestrator.domain.artifacts import Artifact
from orchestrator.testing.artifacts import artifact_of, packed
from tests.chaos import history
from tests.chaos.applications import APPLICATIONS, SWITCHED, VERSIONS, Application, pipeline
from tests.chaos.evidence import Evidence, collect
from tests.chaos.gates import KEEPER, Gatekeeper
from tests.chaos.installation import APIS, BEATS, STREAM, Installation, Shape
from tests.chaos.load import Desk
from tests.chaos.observer import Observer
from tests.chaos.traffic import Traffic, traffic
from tests.chaos.world import bearers

Say = Callable[[str], None]


@dataclass
class Site:
    """What a scenario works with."""

    installed: Installation
    desk: Desk
    observer: Observer
    applications: tuple[Application, ...]
    """What there is to deploy."""
    traffic: Traffic | None = None

    def gatekeeper(self, *, seed: int) -> Gatekeeper:
        """Somebody else than who asks for deployments; everything has to be well now."""
        self.desk.register(KEEPER, role="operator")
        desk = replace(self.desk, rng=Random(seed), username=KEEPER)
        return Gatekeeper(desk, self.observer, applications=self.applications, seed=seed)

    @contextmanager
    def evidence(self) -> Iterator[Evidence]:
        """Everything there is to judge by, from now."""
        alive = bearers(self.installed.folder)
        with self.installed.connection() as connection:
            found = collect(connection, self.installed.folder, bearers=alive)
            found.accepted = self.desk.accepted
            found.accepted_at = self.desk.accepted_at
            found.requests = (self.desk.answers, self.desk.repeated)
            found.contradictions = self.observer.contradictions
            found.survivors = self.observer.survivors
            found.at_target = self.installed.places.output
            if self.traffic is not None:
                found.weights, found.first_weights = self.traffic.weights(), self.traffic.first_weights
                found.requests_at_servers = tuple(self.traffic.requests)
                found.failed_requests = tuple(self.traffic.failures)
            found.read_ledger(self.installed.ledger)
            yield found

    def wait_until_all_ended(self, *, quiet_seconds: float) -> list[int]:
        """Return when every deployment has ended, or once none has made progress for so long; those that are open."""
        moved_at, before = clock.monotonic(), object()
        while True:
            sample = self.observer.next_sample()
            still = sorted(i for i in sample.deployments if i not in self.observer.ended)
            now: object = [(sample.progress(i)) for i in still]
            if now != before:
                moved_at, before = sample.at, now
            if not still or sample.at - moved_at > quiet_seconds:
                return still


@contextmanager
def site(
    folder: Path,
    *,
    seed: int,
    say: Say,
    shape: Shape | None = None,
    applications: tuple[Application, ...] = APPLICATIONS,
    start: tuple[str, ...] | None = None,
) -> Iterator[Site]:
    """A running installation; `start`: the processes to start (default: all)."""
    proxies: AbstractContextManager[Traffic | None] = (
        traffic(folder, notice=say) if SWITCHED in applications else nullcontext()
    )
    with (
        Installation(folder, shape=shape, notice=say) as installed,
        _checked_service() as port,
        proxies as moved,
    ):
        applications = tuple(each for each in applications if moved is not None or each is not SWITCHED)
        with installed.connection() as connection:
            history.record(connection)
        everyone = (*APIS, *installed.shape.workers, *BEATS, STREAM)
        installed.start(*(everyone if start is None else start))
        desk = Desk(tuple(installed.urls.values()), installed.password, Random(seed))
        for application in applications:
            desk.put_pipeline(
                application.name,
                pipeline(
                    application,
                    folder=folder,
                    port=port,
                    reached=installed.places.reached,
                    traffic=moved.settings if moved is not None else {},
                ),
            )
            for version in VERSIONS:
                file = _files(installed.store, version) if application.brings else None
                desk.release(application.name, version, file)
        observer = Observer(installed.connection, folder)
        observer.start()
        try:
            yield Site(installed, desk, observer, applications, moved)
        finally:
            desk.halted.set()
            observer.stop()


def _files(store: Path, version: str) -> Artifact:
    """The files of a release: one, which says what it is."""
    file = packed(store / f"{version}.tar.gz", {"VERSION": f"{version}\n".encode()})
    return artifact_of(file, version, store)


class _Yes(BaseHTTPRequestHandler):
    """Answers every check."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def _checked_service() -> Iterator[int]:
    """What `verify` steps look at."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Yes)
    threading.Thread(target=server.serve_forever, name="verified", daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
