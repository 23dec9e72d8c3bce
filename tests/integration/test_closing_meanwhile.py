"""A gate that closes by the clock between the look at it and the COMMIT lets nothing pass."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from orchestrator.config import Settings
from orchestrator.db import Database
from orchestrator.domain.access import Role
from orchestrator.domain.errors import ClosedMeanwhileError
from orchestrator.domain.windows import RuleKind
from orchestrator.repositories import users
from orchestrator.services import approvals, attempts, deployments
from orchestrator.services.actors import Actor
from tests.integration.engine_world import World, worker
from tests.integration.time_travel import BEGINNING, Clocks, clocks, use_pipeline, window, world
from workers.context import WorkerContext
from workers.follower import Follower
from workers.leases import LeaseKeeper

__all__ = ["clocks", "world"]

HOUR = timedelta(hours=1)
CLOSES = BEGINNING + HOUR
"""When something does, in each of these tests."""


def request(world: World, **more: Any) -> int:
    given = {"version": "1.0.0", "environment": "production", "reason": "now", "actor": world.actor, **more}
    with world.database.transaction() as session:
        return deployments.request(session, application="shop", **given).id


def in_a_window(world: World) -> int:
    window(world, BEGINNING, CLOSES)
    return request(world)


def before_a_freeze(world: World) -> int:
    window(world, CLOSES, CLOSES + HOUR, kind=RuleKind.FREEZE)
    return request(world)


def before_a_freeze_with_its_windows_overridden(world: World) -> int:
    window(world, CLOSES + HOUR, CLOSES + 2 * HOUR)
    window(world, CLOSES, CLOSES + HOUR, kind=RuleKind.FREEZE)
    return request(world, override_windows=True)


def while_a_yes_counts(world: World) -> int:
    """It waits for half an hour, or the yes itself would start it."""
    use_pipeline(world, "    after: staging\n", "    approvals: [{role: deployer, expires: 1h}]\n")
    deployment = request(world, scheduled_for=CLOSES - HOUR / 2)
    with world.database.transaction() as session:
        made = users.insert(
            session, email="b@example.com", username="bob", password_hash="x", role="deployer"
        )
        assert made is not None
        bob = Actor(made, "bob", Role.DEPLOYER, "sign-in")
        approvals.approve(session, deployment, actor=bob, reason="")
    return deployment


def before_it_expires(world: World) -> int:
    return request(world, expires_at=CLOSES)


class SlowDatabase(Database):
    """Time passes before the COMMIT of one of its transactions, counted from 1."""

    def __init__(self, settings: Settings, clocks: Clocks, *, slow: int) -> None:
        super().__init__(settings)
        self._clocks = clocks
        self._slow = slow

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """As any other."""
        with super().transaction() as session:
            yield session
            self._slow -= 1
            if self._slow == 0:
                self._clocks.go(1)


@pytest.fixture(autouse=True)
def goes_anywhere(world: World) -> None:
    use_pipeline(world, "    after: staging\n", "    when_closed: pause_between_waves\n")


@pytest.mark.parametrize(
    ("ask", "then"),
    [
        (in_a_window, ("pending", "window")),
        (before_a_freeze, ("pending", "freeze")),
        (before_a_freeze_with_its_windows_overridden, ("pending", "freeze")),
        (while_a_yes_counts, ("pending", "approval")),
        (before_it_expires, ("expired", None)),
    ],
)
def test_a_start_that_is_committed_too_late_is_none(
    world: World, clocks: Clocks, ask: Callable[[World], int], then: tuple[str, str | None]
) -> None:
    deployment = ask(world)
    clocks.go(1800)
    with pytest.raises(ClosedMeanwhileError), world.database.transaction() as session:
        assert attempts.advance(session, deployment, worker()) is not None
        clocks.go(1800)
    assert world.status(deployment) == "pending"
    assert world.advance(deployment, worker()) is None
    row = world.get(deployment)
    assert (row.status, row.held_by) == then
    assert world.scalar("SELECT count(*) FROM attempts") == 0


def test_one_that_is_committed_just_in_time_counts(world: World, clocks: Clocks) -> None:
    deployment = in_a_window(world)
    clocks.go(1800)
    with world.database.transaction() as session:
        assert attempts.advance(session, deployment, worker()) is not None
        clocks.go(1799.999)
    assert world.status(deployment) == "running"


@pytest.mark.parametrize(
    ("slow", "then"),
    [
        pytest.param(1, ("pending", "window", 0), id="the start"),
        pytest.param(2, ("paused", None, 1), id="the next wave"),
    ],
)
def test_a_worker_looks_again(
    world: World, clocks: Clocks, settings: Settings, slow: int, then: tuple[str, str | None, int]
) -> None:
    deployment = in_a_window(world)
    clocks.go(3599)
    database = SlowDatabase(settings, clocks, slow=slow)
    leases = LeaseKeeper(database, lease_seconds=30)
    Follower(WorkerContext(settings, database, leases, worker())).advance(deployment)
    database.close()
    row = world.get(deployment)
    assert (row.status, row.held_by, row.n_succeeded) == then
