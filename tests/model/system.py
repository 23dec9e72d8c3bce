"""The system of one example: a database, processes that are puppets, messages under way, people who ask."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import count
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from kombu.exceptions import OperationalError as BrokerAwayError
from sqlalchemy.orm import Session

from orchestrator import queue
from orchestrator.config import Settings
from orchestrator.db import Database
from orchestrator.domain.access import Role
from orchestrator.domain.errors import ConflictError, RuleViolationError
from orchestrator.queue import QueueName, TaskName, node_queue
from orchestrator.repositories import users
from orchestrator.services import deployments, pipelines, releases, rollbacks
from orchestrator.services.actors import Actor
from tests.model import evidence
from tests.model.process import Process
from tests.model.puppets import Puppet
from tests.model.site import SimulatedTarget, Site
from tests.model.virtual_time import Clocks
from workers import context, driving
from workers.tasks import recovery

APPLICATION = "shop"
VERSIONS = ("1.0.0", "2.0.0")
NODES = ("east", "east", "west")
"""The node of each worker process."""
STEP_SECONDS = 3.0
"""How far time goes at once while leases are renewed."""


@dataclass(frozen=True, slots=True, order=True)
class Sent:
    """A message that the broker took."""

    task: TaskName
    subject_id: int
    queue: str


class Broker:
    """Messages under way; what `queue.send` talks to instead of Celery's producer."""

    def __init__(self) -> None:
        self.messages: list[Sent] = []
        self.away = False

    def send_task(self, name: str, args: tuple[int], *, queue: str, **_options: Any) -> None:
        """As Celery's."""
        if self.away:
            raise BrokerAwayError
        self.messages.append(Sent(TaskName(name), args[0], queue))
        self.messages.sort()  # no statement promises in which order it sends, and an example must come out the same again


class System:
    """Everything there is in one example; `running` must be entered first."""

    def __init__(self, database: Database, settings: Settings, clocks: Clocks) -> None:
        self.database = database
        self.clocks = clocks
        self.site = Site(is_over=lambda run: evidence.is_over(database.engine, run))
        self.broker = Broker()
        self._settings = settings
        self._numbers = count(1)
        self.processes = [self._process(node) for node in NODES]

    @contextmanager
    def running(self) -> Iterator[None]:
        """Put the edges in place (time, broker, targets); at the end nothing of it is left."""
        with ExitStack() as edges:
            edges.enter_context(self.clocks.everywhere())
            edges.enter_context(patch.object(queue, "_producer", lambda: self.broker))
            edges.enter_context(patch.object(queue, "_breaker", queue._Breaker()))
            edges.enter_context(patch.object(SimulatedTarget, "site", self.site))
            edges.enter_context(patch.object(driving, "time", SimpleNamespace(sleep=lambda _: None)))
            edges.callback(self._end)
            yield

    def record_application(self, pipeline: str) -> None:
        """What everything else needs: somebody, the pipeline, two releases."""
        with self.database.transaction() as session:
            user_id = users.insert(
                session, email="ada@example.com", username="ada", password_hash="x", role="admin"
            )
            assert user_id is not None
            self.actor = Actor(user_id, "ada", Role.ADMIN, "sign-in")
            pipelines.apply(session, name=APPLICATION, source=pipeline, actor=self.actor)
            for version in VERSIONS:
                releases.create(
                    session, name=APPLICATION, version=version, artifact="", changes="", actor=self.actor
                )

    # What people do. A refusal is an answer; anything else that is raised is a defect.

    def request(self, version: str, environment: str) -> None:
        """Request a deployment."""
        self._ask(
            lambda session: deployments.request(
                session,
                application=APPLICATION,
                version=version,
                environment=environment,
                reason="",
                actor=self.actor,
            )
        )

    def cancel(self, deployment_id: int) -> None:
        """Wish a deployment's end."""
        self._ask(lambda session: deployments.cancel(session, deployment_id, actor=self.actor, reason=""))

    def retry(self, deployment_id: int) -> None:
        """Ask for the same again."""
        self._ask(lambda session: deployments.retry(session, deployment_id, actor=self.actor))

    def roll_back(self, deployment_id: int) -> None:
        """Ask for what was before."""
        self._ask(lambda session: rollbacks.request(session, deployment_id, actor=self.actor, reason=""))

    def answer(self, deployment_id: int, answer: str, step_id: int | None = None) -> None:
        """Say what became of an unknown step, or of all of them."""
        self._ask(
            lambda session: deployments.answer(
                session, deployment_id, answer=answer, step_id=step_id, actor=self.actor
            )
        )

    def _ask(self, do: Callable[[Session], object]) -> None:
        try:
            with self.database.transaction() as session:
                do(session)
        except (ConflictError, RuleViolationError):
            pass

    # What the machines do.

    def tick(self) -> None:
        """One beat's tick, carried out by some worker."""
        ours = replace(self.processes[0].ours, database=self.database)
        with patch.object(context, "current", lambda: ours):
            recovery.tick()

    def takers(self, message: Sent) -> list[Process]:
        """Who may take a message."""
        return [
            process
            for process in self.processes
            if not process.stopped and message.queue in {QueueName.DEPLOYMENTS, node_queue(process.node)}
        ]

    def deliver(self, message: Sent, process: Process) -> Puppet:
        """Begin a task; it stands still before its first act."""
        subject = message.subject_id
        if message.task is TaskName.ADVANCE:
            return process.follow(f"advance {subject}", lambda follower: follower.advance(subject))
        return process.follow(f"run {subject}", lambda follower: follower.run_step(subject))

    def replace(self, process: Process) -> None:
        """Kill -9, and a new process in its place."""
        process.kill()
        self.processes[self.processes.index(process)] = self._process(process.node)

    def let_time_pass(self, seconds: float, *, renewing: bool = True) -> None:
        """Let time pass while no thread moves but those that renew leases and say that a node lives."""
        while seconds > 0:
            self.clocks.go(min(seconds, STEP_SECONDS))
            seconds -= STEP_SECONDS
            for process in self.processes:
                if renewing and not process.stopped:
                    process.renew()

    def _end(self) -> None:
        for process in self.processes:
            process.kill()

    @property
    def node_lost_seconds(self) -> float:
        return self._settings.node_lost_seconds

    def _process(self, node: str) -> Process:
        return Process(f"{node}:{next(self._numbers)}", self._settings, self.database, self.site)
