"""What the engine's tests share: an application with a pipeline, and a worker played by hand."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text

from orchestrator.db import Database
from orchestrator.domain.access import Role
from orchestrator.domain.statuses import Outcome
from orchestrator.repositories import deployments as rows
from orchestrator.repositories import users
from orchestrator.services import attempts, deployments, pipelines, releases
from orchestrator.services.actors import Actor
from orchestrator.services.attempts import Claim, Ended, Worker

PIPELINE = """
application: shop
environments:
  staging:
    targets: [{name: web-a, kind: noop}]
  production:
    after: staging
    targets: [{name: web-a, kind: noop}, {name: web-b, kind: noop}, {name: web-c, kind: noop}]
    strategy: {kind: rolling, batch: 1}
    on_failure: rollback
  lab:
    targets: [{name: lab-a, kind: noop}, {name: lab-b, kind: noop}, {name: lab-c, kind: noop}]
    strategy: {kind: all-at-once, max_failures: 1}
deploy:
  - run: ./install
  - run: ./check
    retries: 1
"""


def between(start: datetime, end: datetime) -> dict[str, Any]:
    """A window, or a freeze, of two instants, as its author would write it."""
    moments = {"from": f"{start:%Y-%m-%dT%H:%M:%S}", "to": f"{end:%Y-%m-%dT%H:%M:%S}"}
    return {"name": "the rule", "zone": "UTC", "dated": moments}


def worker(name: str = "one", *, node: str = "node-1", lease_seconds: float = 30) -> Worker:
    return Worker(name, node, lease_seconds, node_lost_seconds=900, unreachable_seconds=30)


@dataclass
class World:
    """An application `shop`, recorded through the services as a person would."""

    database: Database
    actor: Actor = field(init=False)

    def __post_init__(self) -> None:
        with self.database.transaction() as session:
            user_id = users.insert(
                session, email="ada@example.com", username="ada", password_hash="x", role="admin"
            )
            assert user_id is not None
            self.actor = Actor(user_id, "ada", Role.ADMIN, "sign-in")
            pipelines.apply(session, name="shop", source=PIPELINE, actor=self.actor)

    def release(self, version: str) -> None:
        with self.database.transaction() as session:
            releases.create(session, name="shop", version=version, artifact="", changes="", actor=self.actor)

    def request(self, version: str, environment: str = "staging") -> int:
        with self.database.transaction() as session:
            return deployments.request(
                session,
                application="shop",
                version=version,
                environment=environment,
                reason="",
                actor=self.actor,
            ).id

    def advance(self, deployment_id: int, by: Worker | None = None) -> Claim | None:
        with self.database.transaction() as session:
            return attempts.advance(session, deployment_id, by)

    def held(self, deployment_id: int) -> Row[tuple[object, ...]]:
        """A deployment that does not start, after its second look, which comes soon after that which found it held."""
        for _ in range(2):
            assert self.advance(deployment_id, worker()) is None
        return self.get(deployment_id)

    def claim(self, attempt_id: int, by: Worker) -> Claim | None:
        with self.database.transaction() as session:
            deployment_id = attempts.deployment_of(session, attempt_id)
            if deployment_id is None:
                return None
            return attempts.claim(session, attempt_id, by, deployment_id=deployment_id)

    def finish(
        self, claim: Claim, outcome: Outcome = Outcome.SUCCEEDED, by: Worker | None = None
    ) -> Claim | None:
        ended = Ended(outcome, 0 if outcome is Outcome.SUCCEEDED else 1, None)
        with self.database.transaction() as session:
            return attempts.finish(session, claim, ended, by)

    def run_to_end(self, deployment_id: int, outcomes: dict[str, Outcome] | None = None) -> str:
        """Play one worker until nothing is left to take; `outcomes` by target, success where none is said."""
        one = worker()
        claim = self.advance(deployment_id, one)
        while claim is not None:
            outcome = (outcomes or {}).get(claim.work.target_name, Outcome.SUCCEEDED)
            claim = self.finish(claim, outcome, one) or self.advance(deployment_id, one)
        return self.status(deployment_id)

    def status(self, deployment_id: int) -> str:
        return str(self.get(deployment_id).status)

    def get(self, deployment_id: int) -> Row[tuple[object, ...]]:
        with self.database.reading() as session:
            return rows.get(session, deployment_id)

    def scalar(self, statement: str, **params: object) -> object:
        with self.database.reading() as session:
            return session.execute(text(statement), params).scalar()

    def column(self, statement: str, **params: object) -> list[object]:
        with self.database.reading() as session:
            return list(session.execute(text(statement), params).scalars())

    def rows(self, statement: str, **params: object) -> list[Any]:
        with self.database.reading() as session:
            return [tuple(row) for row in session.execute(text(statement), params)]

    def execute(self, statement: str, **params: object) -> None:
        with self.database.transaction() as session:
            session.execute(text(statement), params)

    def stored_log(self, deployment_id: int) -> bytes:
        """All that is stored, also what readers do not see yet because another transaction is under way."""
        order = "SELECT data FROM log_chunks WHERE deployment_id = :id ORDER BY attempt_id, start_byte"
        return b"".join(bytes(data) for data in self.column(order, id=deployment_id))  # type: ignore[arg-type]

    def open_attempts(self, deployment_id: int) -> list[object]:
        return self.column(
            "SELECT id FROM attempts WHERE deployment_id = :id AND ended_at IS NULL ORDER BY id",
            id=deployment_id,
        )
