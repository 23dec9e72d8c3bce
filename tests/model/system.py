"""The system of one example: a database, processes that are puppets, messages under way, people who ask."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import count
from types import SimpleNamespace
from typing import TypeVar
from unittest.mock import patch

from redis.exceptions import ConnectionError as BrokerAwayError
from sqlalchemy.orm import Session

from orchestrator import queue
from orchestrator.config import Settings
from orchestrator.db import Database
from orchestrator.domain.access import Role
from orchestrator.domain.errors import ConflictError, ForbiddenError, RuleViolationError
from orchestrator.domain.windows import RuleKind
from orchestrator.repositories import users
from orchestrator.services import approvals, deployments, locks, pipelines, releases, rollbacks, windows
from orchestrator.services.actors import Actor
from orchestrator.tasks import QueueName, TaskName, node_queue
from tests.model import evidence
from tests.model.book import Book, Lock, Need, Request, Stretch
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
PEOPLE = {"ada": Role.ADMIN, "grace": Role.OPERATOR, "linus": Role.OPERATOR, "eve": Role.DEPLOYER}
"""The first asks for everything."""
STEP_SECONDS = 3.0
"""How far time goes at once while leases are renewed."""


T = TypeVar("T")


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

    def send(self, task: str, subject_id: int, *, queue: str, shown: str) -> None:
        """As `Sender`'s."""
        if self.away:
            raise BrokerAwayError
        self.messages.append(Sent(TaskName(task), subject_id, queue))
        self.messages.sort()  # no statement promises in which order it sends, and an example must come out the same again


class System:
    """Everything there is in one example; `running` must be entered first."""

    def __init__(self, database: Database, settings: Settings, clocks: Clocks) -> None:
        self.database = database
        self.clocks = clocks
        self.site = Site(is_over=lambda run: evidence.is_over(database.engine, run))
        self.broker = Broker()
        self.book = Book()
        self.people: list[Actor] = []
        self._settings = settings
        self._numbers = count(1)
        self.processes = [self._process(node) for node in NODES]

    @contextmanager
    def running(self) -> Iterator[None]:
        """Put the edges in place (time, broker, targets); at the end nothing of it is left."""
        with ExitStack() as edges:
            edges.enter_context(self.clocks.everywhere())
            edges.enter_context(patch.object(queue, "_sender", lambda: self.broker))
            edges.enter_context(patch.object(queue, "_breaker", queue._Breaker()))
            edges.enter_context(patch.object(SimulatedTarget, "site", self.site))
            edges.enter_context(patch.object(driving, "time", SimpleNamespace(sleep=lambda _: None)))
            edges.callback(self._end)
            yield

    def record_application(self, pipeline: str) -> None:
        """What everything else needs: people, the pipeline, two releases."""
        with self.database.transaction() as session:
            for name, role in PEOPLE.items():
                user_id = users.insert(
                    session, email=f"{name}@example.com", username=name, password_hash="x", role=role
                )
                assert user_id is not None
                self.people.append(Actor(user_id, name, role, "sign-in"))
            pipelines.apply(session, name=APPLICATION, source=pipeline, actor=self.actor)
            for version in VERSIONS:
                releases.create(
                    session, name=APPLICATION, version=version, artifact="", changes="", actor=self.actor
                )

        operators = frozenset(each.id for each in self.people if each.role is not Role.DEPLOYER)
        for name, environment in json.loads(pipeline)["environments"].items():
            self.book.needs[name] = [
                Need(rule["count"], operators, _seconds(rule.get("expires", "")))
                for rule in environment.get("approvals", [])
            ]

    @property
    def actor(self) -> Actor:
        """Who asks for everything."""
        return self.people[0]

    # What people do. A refusal is an answer; anything else that is raised is a defect.

    def request(self, version: str, environment: str, *, overrides: bool = False) -> None:
        """Request a deployment."""
        made = self._ask(
            lambda session: (
                deployments.request(
                    session,
                    application=APPLICATION,
                    version=version,
                    environment=environment,
                    reason="now",
                    override_windows=overrides,
                    actor=self.actor,
                ).id
            )
        )
        self._note(made, overrides=overrides)

    def cancel(self, deployment_id: int) -> None:
        """Wish a deployment's end."""
        self._ask(lambda session: deployments.cancel(session, deployment_id, actor=self.actor, reason=""))

    def retry(self, deployment_id: int) -> None:
        """Ask for the same again."""
        self._note(self._ask(lambda session: deployments.retry(session, deployment_id, actor=self.actor)))

    def roll_back(self, deployment_id: int) -> None:
        """Ask for what was before."""
        made = self._ask(
            lambda session: rollbacks.request(session, deployment_id, actor=self.actor, reason="")
        )
        self._note(made, goes_back=True)

    def answer(self, deployment_id: int, answer: str, step_id: int | None = None) -> None:
        """Say what became of an unknown step, or of all of them."""
        self._ask(
            lambda session: deployments.answer(
                session, deployment_id, answer=answer, step_id=step_id, actor=self.actor
            )
        )

    def lock(self, person: Actor, environment: str | None, seconds: float | None) -> None:
        """Say no, for so long by the clocks of the processes."""
        until = None if seconds is None else self.clocks.now + timedelta(seconds=seconds)
        made = self._ask(
            lambda session: locks.create(
                session,
                application=APPLICATION,
                environment=environment,
                reason="",
                warning_only=False,
                expires_at=until,
                actor=person,
            )
        )
        if made is not None:
            self.book.locks[made] = Lock(person.id, environment, until)

    def unlock(self, lock_id: int) -> None:
        """Say it no more."""
        self._ask(lambda session: locks.release(session, lock_id, actor=self.actor))
        del self.book.locks[lock_id]

    def let_go_on(self, halt: SimpleNamespace) -> None:
        """Release what the orchestrator locked itself."""
        self._ask(lambda session: locks.release(session, halt.id, actor=self.actor))
        self.book.halted.remove(halt.environment)

    def allow(self, kind: RuleKind, environment: str, *, begins: int, lasts: int) -> None:
        """Make a window or a freeze that begins in so many seconds by Postgres' clock, and lasts for so many."""
        start = self.clocks.postgres.replace(microsecond=0) + timedelta(seconds=begins)
        end = start + timedelta(seconds=lasts)
        wall = {"from": f"{start:%Y-%m-%dT%H:%M:%S}", "to": f"{end:%Y-%m-%dT%H:%M:%S}"}
        document = {"name": "once", "zone": "UTC", "dated": wall}
        made = self._ask(
            lambda session: windows.create(
                session, kind, environment=environment, document=document, actor=self.actor
            )
        )
        assert made is not None
        self.book.stretches[made] = Stretch(kind is RuleKind.FREEZE, environment, start, end)

    def allow_no_more(self, rule_id: int) -> None:
        """Remove a window or a freeze."""
        kind = RuleKind.FREEZE if self.book.stretches[rule_id].freezes else RuleKind.WINDOW
        self._ask(lambda session: windows.remove(session, kind, rule_id, actor=self.actor))
        del self.book.stretches[rule_id]

    def approve(self, deployment_id: int, person: Actor) -> None:
        """Say yes. It counts from the commit at which it is answered."""

        def say(session: Session) -> bool:
            approvals.approve(session, deployment_id, actor=person, reason="")
            return True

        at = self.clocks.postgres
        if self._ask(say):
            self.book.yeses[deployment_id, person.id] = at

    def _note(self, made: int | None, *, overrides: bool = False, goes_back: bool = False) -> None:
        if made is not None:
            self.book.requests[made] = Request(self.actor.id, overrides, goes_back)

    def _ask(self, do: Callable[[Session], T]) -> T | None:
        try:
            with self.database.transaction() as session:
                return do(session)
        except (ConflictError, ForbiddenError, RuleViolationError):
            return None

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
        return Process(f"{node}:{next(self._numbers)}", self._settings, self.database, self.site, self.clocks)


def _seconds(text: str) -> timedelta | None:
    """What the shapes write."""
    return timedelta(seconds=int(text.removesuffix("s"))) if text else None
