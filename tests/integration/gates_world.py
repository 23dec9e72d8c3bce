"""What tests of gates share: locks, freezes, and what is done in the moment in which something else is being decided."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import datetime, timedelta
from typing import Any, TypeVar

import pytest
from sqlalchemy.orm import Session

from orchestrator import clock
from orchestrator.db import Database
from orchestrator.domain.access import Role
from orchestrator.domain.windows import RuleKind
from orchestrator.repositories import users
from orchestrator.services import attempts, deployments, locks, windows
from orchestrator.services.actors import Actor
from tests.integration.engine_world import World, worker

WAITS = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)

T = TypeVar("T")


@pytest.fixture
def world(database: Database) -> World:
    made = World(database)
    made.release("1.0.0")
    return made


def request(world: World, environment: str, **more: Any) -> int:
    with world.database.transaction() as session:
        return deployments.request(
            session,
            application="shop",
            version="1.0.0",
            environment=environment,
            reason="",
            actor=world.actor,
            **more,
        ).id


def lock_until(world: World, until: datetime) -> None:
    """By somebody else: whoever locks passes their own lock."""
    with world.database.transaction() as session:
        user_id = users.insert(
            session, email="b@example.com", username="bob", password_hash="x", role="admin"
        )
        assert user_id is not None
        locks.create(
            session,
            application="shop",
            environment=None,
            reason="moving",
            warning_only=False,
            expires_at=until,
            actor=Actor(user_id, "bob", Role.ADMIN, "sign-in"),
        )


def freeze_for_days(world: World) -> int:
    now = clock.now()
    dated = {
        "from": f"{now - timedelta(days=2):%Y-%m-%dT%H:%M}",
        "to": f"{now + timedelta(days=7):%Y-%m-%dT%H:%M}",
    }
    document = {"name": "holidays", "zone": "UTC", "dated": dated}
    with world.database.transaction() as session:
        return windows.create(
            session, RuleKind.FREEZE, environment="staging", document=document, actor=world.actor
        )


def remove(world: World, freeze: int) -> None:
    with world.database.transaction() as session:
        windows.remove(session, RuleKind.FREEZE, freeze, actor=world.actor)


def during(world: World, decide: Callable[[Session], T], do: Callable[[], object]) -> tuple[T, bool]:
    """`do` ends, or waits for the row, while something has been decided and is not committed: what, and whether `do` waited."""
    with ThreadPoolExecutor(1) as other:
        with world.database.transaction() as session:
            decided = decide(session)
            done = other.submit(do)
            while not done.done() and not world.scalar(WAITS):
                wait([done], timeout=0.02)
            waited = not done.done()
        done.result()
    return decided, waited


def during_a_look(world: World, deployment: int, do: Callable[[], object]) -> None:
    """As `during`, for a look at a deployment that does not start."""
    looked, _ = during(world, lambda session: attempts.advance(session, deployment, worker()), do)
    assert looked is None


def not_due(world: World) -> None:
    """Whoever looks now does so for a message that is a double, or late."""
    world.execute("UPDATE deployments SET wake_at = clock_timestamp() + interval '1 hour'")


def is_due(world: World, deployment: int) -> object:
    return world.scalar("SELECT wake_at <= clock_timestamp() FROM deployments WHERE id = :id", id=deployment)


def looks_again_soon(world: World, deployment: int, held_by: str) -> None:
    row = world.get(deployment)
    assert (row.status, row.held_by) == ("pending", held_by)
    assert row.wake_at <= clock.now() + timedelta(seconds=3)
    assert world.run_to_end(deployment) == "succeeded"
