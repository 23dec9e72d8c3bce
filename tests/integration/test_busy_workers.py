"""What goes on in a process whose connections are all in use, or one of whose threads met what nobody expected."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace

import pytest
from sqlalchemy import Connection, text

from orchestrator import clock
from orchestrator.config import Settings
from orchestrator.db import Database, Lookups
from tests.acceptance.fleet import eventually
from tests.integration.engine_world import World
from workers import chores, context
from workers.context import WorkerContext


@pytest.fixture
def ours(settings: Settings) -> Iterator[WorkerContext]:
    """A worker process's parts, as it makes them itself."""
    made = context.make(settings)
    yield made
    made.leases.end_slices()
    made.database.close()


def test_leases_are_renewed_while_every_connection_waits_for_something(
    database: Database, ours: WorkerContext
) -> None:
    world = World(database)
    world.release("1.0.0")
    claimed_at = clock.monotonic()
    claim = world.advance(world.request("1.0.0"), ours.worker)
    assert claim is not None
    until = "SELECT lease_until FROM attempts WHERE id = :id"
    first = world.scalar(until, id=claim.attempt_id)
    with ExitStack() as stack:
        for _ in range(ours.settings.db_pool_size):
            stack.enter_context(ours.database.engine.connect())
        hold = ours.leases.hold(claim, claimed_at=claimed_at)
        ours.leases.start()
        eventually(
            lambda: world.scalar(until, id=claim.attempt_id) > first,  # type: ignore[operator]
            "the lease was prolonged",
            within_seconds=ours.settings.lease_seconds,
        )
    assert hold.is_valid()
    ours.leases.drop(hold)


def test_a_chore_that_fails_for_a_reason_nobody_thought_of_is_done_again(ours: WorkerContext) -> None:
    calls: list[int] = []
    done = threading.Event()

    def fail_first() -> None:
        calls.append(len(calls))
        if len(calls) == 1:
            raise RuntimeError("can't start new thread")
        done.set()

    chores.start(ours, "a chore", fail_first, every_seconds=0.01)
    assert done.wait(30)


def test_who_finds_all_lookups_in_use_gets_the_first_that_is_free(settings: Settings) -> None:
    lookups = Lookups(replace(settings, db_pool_size=1))
    looking, asked = threading.Event(), threading.Event()

    def slow(connection: Connection) -> object:
        looking.set()
        asked.wait(30)
        return connection.execute(text("SELECT 1 FROM pg_sleep(0.3)")).scalar()

    def second() -> object:
        asked.set()
        return lookups(lambda connection: connection.execute(text("SELECT 2")).scalar())

    with ThreadPoolExecutor(2) as threads:
        one = threads.submit(lookups, slow)
        looking.wait(30)
        two = threads.submit(second)
        assert (one.result(), two.result()) == (1, 2)
    lookups.close()
