"""People and pipelines at work: one driver a slot, which asks over HTTP until it is answered, with the same key."""

import json
import random
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from orchestrator import clock
from orchestrator.client import API, Answer, ApiError, Client, MemoryTokens, Patience, UnreachableError
from orchestrator.domain.artifacts import Artifact
from tests.chaos.applications import APPLICATIONS, BEHAVIOURS, ENVIRONMENTS, Application
from tests.chaos.observer import Observer

_AGAIN_SECONDS = 0.3
_LOOK_SECONDS = 0.25
_REFUSED_SECONDS = 1.0
"""How long a slot that rests does so after a no: what it waits for may come at any moment."""
_WEIGHTS = {"quick": 30, "noisy": 12, "long": 20, "flaky": 10, "fails": 12, "leaves": 6, "stubborn": 10}
_FROM_AGAIN = {429, 500, 502, 503, 504}
_LIFTED = ("lock", "freeze")
"""What holds a deployment that goes away by somebody's doing, so that it need not be cancelled."""


class StoppedError(RuntimeError):
    """The load ends, so nothing more is asked."""


@dataclass
class Desk:
    """Asks one of the APIs, and another when that does not answer; writes down each 202."""

    urls: tuple[str, ...]
    password: str
    rng: random.Random
    username: str = "admin"
    accepted: dict[str, set[int]] = field(default_factory=dict)
    """The ids that were answered for each key."""
    accepted_at: dict[int, float] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    """Answers that nobody could expect."""
    answers: int = 0
    repeated: int = 0
    halted: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._tokens = MemoryTokens()
        patience = Patience(connect_seconds=2.0, read_seconds=8.0, tries=1)
        self._clients = [Client(url, self._tokens, patience=patience) for url in self.urls]
        self._login = threading.Lock()

    def ask(self, method: str, path: str, *, body: Any = None, key: str | None = None) -> Answer:
        """Ask until there is an answer that is not trouble. Raises StoppedError."""
        headers = {"Content-Type": "application/json"} | ({"Idempotency-Key": key} if key else {})
        sent = None if body is None else json.dumps(body).encode()
        while not self.halted.is_set():
            client = self.rng.choice(self._clients)
            try:
                answer = client.request(method, API + path, body=sent, headers=headers, repeatable=False)
                if answer.status == 401:
                    self._log_in(client)
                elif answer.status not in _FROM_AGAIN:
                    self.answers += 1
                    return answer
            except (UnreachableError, ApiError):
                self.repeated += 1
            self.halted.wait(_AGAIN_SECONDS)
        raise StoppedError

    def create(self, path: str, body: Any, *, key: str) -> int | None:
        """Ask for a deployment; its id, None where the answer was a no that the load has to expect."""
        answer = self.ask("POST", path, body=body, key=key)
        if answer.status == 202:
            made = int(answer.json()["id"])
            self.accepted.setdefault(key, set()).add(made)
            self.accepted_at.setdefault(made, datetime.now(UTC).timestamp())
            return made
        if answer.status not in {400, 409}:
            self.refused.append(f"POST {path}: {answer.status} {answer.body[:200]!r}")
        return None

    def put_pipeline(self, application: str, source: bytes) -> None:
        """Apply a pipeline, while everything is well."""
        self._log_in(self._clients[0])
        self._clients[0].apply_pipeline(application, source)

    def release(self, application: str, version: str, file: Artifact | None = None) -> None:
        """Record a release, while everything is well."""
        brought = {"artifact": file.url, "artifact_sha256": file.sha256} if file else {}
        self._clients[0].create("/releases/", {"name": application, "version": version, **brought})

    def register(self, username: str, *, role: str) -> None:
        """Add somebody, who has the same password, while everything is well."""
        somebody = {"email": f"{username}@example.com", "username": username, "role": role}
        self._clients[0].create("/users/", somebody | {"password": self.password})

    def access_token(self) -> str:
        """One that is good now. Raises StoppedError."""
        self.ask("GET", "/auth/me")
        tokens = self._tokens.load()
        assert tokens is not None
        return tokens.access

    def _log_in(self, client: Client) -> None:
        with self._login:
            client.login(self.username, self.password)


@dataclass
class Mix:
    """What drivers ask for."""

    weights: dict[str, int] = field(default_factory=lambda: dict(_WEIGHTS))
    cancels: float = 0.12
    retries: float = 0.15
    rollbacks: float = 0.06
    twins: float = 0.1
    """How often two APIs are asked at once with the same key."""
    deep: int = 2
    """How many deployments of a slot are open at a time."""
    rest_seconds: float = 0.0
    """How long a slot asks for no more after one that was accepted."""


STEADY = Mix(
    weights={"quick": 60, "noisy": 10, "long": 30},
    cancels=0.0,
    retries=0.0,
    rollbacks=0.0,
    twins=0.0,
    rest_seconds=10.0,
)
"""A load in which every step is to succeed at its first attempt, and which leaves some of the processors' time to others."""


class Driver(threading.Thread):
    """Keeps one slot busy."""

    def __init__(
        self, desk: Desk, observer: Observer, *, application: str, environment: str, seed: int, mix: Mix
    ) -> None:
        super().__init__(name=f"drives {application} {environment}", daemon=True)
        self._desk = desk
        self._observer = observer
        self._application = application
        self._environment = environment
        self._rng = random.Random(f"{seed} {application} {environment}")
        self._mix = mix
        self._open: dict[int, float | None] = {}
        """Deployments that were asked for, and when each is to be cancelled."""
        self._given_up: set[int] = set()
        """Those that are to be cancelled only because they wait for so long."""
        self._rests_until = 0.0
        self.stopping = threading.Event()

    def run(self) -> None:
        try:
            while not self.stopping.wait(_LOOK_SECONDS):
                self._ask_for_more()
                self._cancel_what_is_due()
                self._take_leave()
            while self._open:
                self._cancel_what_is_due()
                self._take_leave(more=False)
                if self._desk.halted.wait(_LOOK_SECONDS):
                    return
        except StoppedError:
            return

    def _ask_for_more(self) -> None:
        if len(self._open) >= self._mix.deep or clock.monotonic() < self._rests_until:
            return
        behaviour = self._rng.choices(list(self._mix.weights), list(self._mix.weights.values()))[0]
        assert behaviour in BEHAVIOURS
        version = f"{self._rng.choice('12')}-{behaviour}"
        key = str(uuid.UUID(int=self._rng.getrandbits(128)))
        body = {"application": self._application, "version": version, "environment": self._environment}
        body["reason"] = key
        cancel = behaviour == "stubborn" or self._rng.random() < self._mix.cancels
        cancel_after = self._rng.uniform(1.0, 6.0) if cancel else None
        if self._rng.random() < self._mix.twins:
            with ThreadPoolExecutor(2) as hands:
                twins = [hands.submit(self._desk.create, "/deployments/", body, key=key) for _ in range(2)]
            made = twins[0].result()
        else:
            made = self._desk.create("/deployments/", body, key=key)
        rest = self._mix.rest_seconds
        self._rests_until = clock.monotonic() + (min(rest, _REFUSED_SECONDS) if made is None else rest)
        if made is not None:
            self._open[made] = None if cancel_after is None else clock.monotonic() + cancel_after

    def _cancel_what_is_due(self) -> None:
        now = clock.monotonic()
        for deployment_id, at in tuple(self._open.items()):
            found = self._observer.last.deployments.get(deployment_id) if self._observer.last else None
            waits_in_line = found is not None and found.status == "pending" and found.held_by is None
            if deployment_id in self._given_up and found is not None and found.status != "pending":
                self._given_up.discard(deployment_id)
                self._open[deployment_id] = None
            elif at is not None and at <= now and not waits_in_line:
                self._desk.ask("POST", f"/deployments/{deployment_id}/cancel", body={"reason": "chaos"})
                self._open[deployment_id] = None

    def _take_leave(self, *, more: bool = True) -> None:
        for deployment_id in tuple(self._open):
            status = self._observer.ended.get(deployment_id)
            found = self._observer.last.deployments.get(deployment_id) if self._observer.last else None
            waits_for_long = found is not None and found.held_by not in {None, *_LIFTED}
            if status is None and waits_for_long and self._open[deployment_id] is None:
                self._open[deployment_id] = clock.monotonic() + self._rng.uniform(2.0, 8.0)
                self._given_up.add(deployment_id)
            if status is None:
                continue
            del self._open[deployment_id]
            if more:
                self._go_on_from(deployment_id, status)

    def _go_on_from(self, deployment_id: int, status: str) -> None:
        key = str(uuid.UUID(int=self._rng.getrandbits(128)))
        draw = self._rng.random()
        made: int | None = None
        if status in {"failed", "cancelled"} and draw < self._mix.retries:
            made = self._desk.create(f"/deployments/{deployment_id}/retry", {}, key=key)
        elif draw > 1 - self._mix.rollbacks:
            made = self._desk.create(f"/deployments/{deployment_id}/rollback", {"reason": key}, key=key)
        if made is not None:
            # A retry may be of one that only ends when it is killed.
            self._open[made] = clock.monotonic() + self._rng.uniform(2.0, 8.0)


class Operator(threading.Thread):
    """The person who is asked about runs whose end nobody can know, and lets a slot go on in which a rollback failed."""

    def __init__(self, desk: Desk, observer: Observer, *, seed: int) -> None:
        super().__init__(name="operator", daemon=True)
        self._desk = desk
        self._observer = observer
        self._rng = random.Random(seed)
        self.answers = 0

    def run(self) -> None:
        try:
            while not self._desk.halted.wait(_LOOK_SECONDS):
                sample = self._observer.last
                for found in sample.deployments.values() if sample else ():
                    if found.status == "paused":
                        self._answer(found.id)
                if sample and any(found.held_by == "lock" for found in sample.deployments.values()):
                    self._release_locks()
        except StoppedError:
            return

    def _release_locks(self) -> None:
        """The orchestrator's own: others release theirs."""
        for lock in self._desk.ask("GET", "/locks/").json()["items"]:
            if lock["created_by"] is None:
                self._desk.ask("DELETE", f"/locks/{lock['id']}")

    def _answer(self, deployment_id: int) -> None:
        said = {"answer": self._rng.choice(["retry", "skip", "fail"])}
        answer = self._desk.ask("POST", f"/deployments/{deployment_id}/resume", body=said)
        self.answers += answer.status == 202


def drivers(
    desk: Desk,
    observer: Observer,
    *,
    seed: int,
    mix: Mix,
    applications: tuple[Application, ...] = APPLICATIONS,
) -> list[Driver]:
    """One for each slot."""
    return [
        Driver(
            desk,
            observer,
            application=each.name,
            environment=environment,
            seed=seed,
            mix=replace(mix, deep=1) if each.alone else mix,
        )
        for each in applications
        for environment in ENVIRONMENTS
    ]
