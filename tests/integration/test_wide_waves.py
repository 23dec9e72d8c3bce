"""Many steps side by side, on real Postgres: what the end of one costs, and what happens to two that end at the same moment."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import Engine, event

from orchestrator.db import Database
from orchestrator.domain.statuses import Outcome
from orchestrator.services import attempts, execution, pipelines
from orchestrator.services.attempts import Claim, Ended
from orchestrator.tasks import QueueName
from tests.acceptance.fleet import eventually
from tests.integration.engine_world import World, worker

SUCCEEDED = Ended(Outcome.SUCCEEDED, 0)
WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
)


@pytest.fixture
def world(database: Database) -> World:
    made = World(database)
    made.release("1.0.0")
    return made


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    """The broker, with nothing in it."""
    with Redis.from_url(redis_url) as made:
        made.flushdb()
        yield made


def wide(world: World, targets: int, *, parallel: int = 100) -> int:
    """A deployment of one wave."""
    source = f"""
application: shop
environments:
  staging:
    strategy: {{kind: all-at-once, max_parallel: {parallel}}}
    targets: [{", ".join(f"{{name: t{n:03}, kind: noop}}" for n in range(targets))}]
deploy:
  - run: ./install
"""
    with world.database.transaction() as session:
        pipelines.apply(session, name="shop", source=source, actor=world.actor)
    return world.request("1.0.0")


def take_all(world: World, deployment: int) -> list[Claim]:
    """Every attempt that is open, claimed."""
    taken = [world.claim(int(str(each)), worker()) for each in world.open_attempts(deployment)]
    return [claim for claim in taken if claim is not None]


def while_it_is_held(world: World, held: Claim, act: Callable[[], object]) -> None:
    """Record the end of an attempt, and commit that only once `act` waits for it in another thread."""
    other = threading.Thread(target=act)
    with world.database.transaction() as session:
        attempts.finish(session, held, SUCCEEDED, None)
        other.start()
        eventually(lambda: world.scalar(WAITING) == 1, "the other waits")
    other.join()


def statuses(world: World, deployment: int) -> dict[str, int]:
    return dict(
        world.rows("SELECT status, count(*) FROM steps WHERE deployment_id = :id GROUP BY 1", id=deployment)
    )


def test_two_that_end_at_the_same_moment_hand_out_two_steps(world: World) -> None:
    deployment = wide(world, 5, parallel=2)
    world.advance(deployment)
    one, other = take_all(world, deployment)
    while_it_is_held(world, one, lambda: world.finish(other))
    assert statuses(world, deployment) == {"succeeded": 2, "ready": 2, "waiting": 1}


def test_one_whose_wave_ends_while_somebody_waits_for_it_is_still_found(world: World) -> None:
    deployment = world.request("1.0.0", "staging")
    world.advance(deployment)
    (last,) = take_all(world, deployment)
    found: list[int] = []

    def look() -> None:
        with world.database.transaction() as session:
            held = execution.lock(session, deployment)
            found.append(held.wave.index if held is not None else -1)

    while_it_is_held(world, last, look)
    assert found == [1]


def test_an_end_nudges_nothing_that_is_under_way(world: World, redis: Redis) -> None:
    deployment = wide(world, 40, parallel=20)
    redis.flushdb()  # the message of the request
    claim = world.advance(deployment, worker())
    assert redis.llen(QueueName.DEPLOYMENTS) == 19
    for _ in range(10):
        assert claim is not None
        claim = world.finish(claim, by=worker())
    assert redis.llen(QueueName.DEPLOYMENTS) == 19
    assert statuses(world, deployment) == {"succeeded": 10, "running": 1, "ready": 19, "waiting": 10}


def test_what_an_end_leaves_to_the_timer_is_nudged_when_its_time_has_come(world: World, redis: Redis) -> None:
    deployment = wide(world, 9, parallel=3)
    claim = world.advance(deployment, worker())
    assert claim is not None
    redis.flushdb()  # the two messages are lost
    woken = "SELECT wake_at FROM deployments WHERE id = :id"
    before = world.scalar(woken, id=deployment)
    following = world.finish(claim, by=worker())
    assert world.scalar(woken, id=deployment) == before
    assert world.advance(deployment, worker()) is not None  # as the tick has it done at that time
    assert redis.llen(QueueName.DEPLOYMENTS) == 1
    assert following is not None


@pytest.mark.parametrize("targets", [10, 60])
def test_an_end_in_a_wide_wave_takes_two_statements(world: World, targets: int) -> None:
    deployment = wide(world, targets, parallel=targets // 2)
    world.advance(deployment)
    claim, *_ = take_all(world, deployment)
    seen: list[str] = []

    def note(_conn: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(statement.split(maxsplit=1)[0])

    event.listen(Engine, "before_cursor_execute", note)
    try:
        assert world.finish(claim, by=worker()) is not None
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    # One locks the deployment and ends the attempt, the other hands out the next and takes it.
    assert seen == ["WITH", "WITH"]
