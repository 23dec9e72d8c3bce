"""What goes on in a process whose connections are all in use, or one of whose threads met what nobody expected."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session

from orchestrator import clock
from orchestrator.config import Settings
from orchestrator.db import Database, Lookups
from orchestrator.repositories import attempts
from orchestrator.services.attempts import Claim
from tests.acceptance.fleet import eventually
from tests.chaos.proxy import Proxy
from tests.integration.engine_world import World, worker
from tests.integration.test_keeping_still import through
from workers import chores, context
from workers.context import WorkerContext
from workers.follower import Follower
from workers.tasks.shell import at_the_edge
from workers.turns import AT_ONCE


@pytest.fixture
def ours(settings: Settings) -> Iterator[WorkerContext]:
    """A worker process's parts, as it makes them itself."""
    made = context.make(settings)
    yield made
    made.leases.end_slices()
    made.database.close()


@pytest.fixture
def world(database: Database) -> World:
    made = World(database)
    made.release("1.0.0")
    return made


def lease_of(world: World, claim: Claim) -> datetime:
    found = world.scalar("SELECT lease_until FROM attempts WHERE id = :id", id=claim.attempt_id)
    assert isinstance(found, datetime)
    return found


def is_kept(world: World, ours: WorkerContext, claim: Claim) -> None:
    """Fail unless its lease is prolonged from now on."""
    now = lease_of(world, claim)
    within = ours.settings.lease_seconds
    eventually(lambda: lease_of(world, claim) > now, "the lease was prolonged", within_seconds=within)


def test_leases_are_renewed_while_every_connection_waits_for_something(
    world: World, ours: WorkerContext
) -> None:
    claimed_at = clock.monotonic()
    claim = world.advance(world.request("1.0.0"), ours.worker)
    assert claim is not None
    with ExitStack() as stack:
        for _ in range(ours.settings.db_pool_size):
            stack.enter_context(ours.database.engine.connect())
        hold = ours.leases.hold(claim, claimed_at=claimed_at)
        ours.leases.start(at_the_edge)
        is_kept(world, ours, claim)
    assert hold.is_valid()
    ours.leases.drop(hold)


def test_leases_are_renewed_while_the_connection_for_them_says_nothing(
    world: World, settings: Settings
) -> None:
    with Proxy() as proxy:
        url = through(proxy, "postgres", settings.database_url)
        ours = context.make(replace(settings, database_url=url))
        claimed_at = clock.monotonic()
        claim = world.advance(world.request("1.0.0"), ours.worker)
        assert claim is not None
        hold = ours.leases.hold(claim, claimed_at=claimed_at)
        ours.leases.start(at_the_edge)
        is_kept(world, ours, claim)
        proxy.forget("postgres")
        is_kept(world, ours, claim)
        is_kept(world, ours, claim)
        assert hold.is_valid()
        ours.leases.drop(hold)
        ours.leases.end_slices()


def test_a_row_that_somebody_has_keeps_no_other_lease_from_being_renewed(
    world: World, ours: WorkerContext, settings: Settings
) -> None:
    first, second = (world.advance(world.request("1.0.0", place), worker()) for place in ("staging", "lab"))
    assert first is not None
    assert second is not None
    before = lease_of(world, first), lease_of(world, second)
    held = {claim.attempt_id: claim.token for claim in (first, second)}
    with world.database.engine.connect() as other:
        other.execute(text("SELECT 1 FROM attempts WHERE id = :id FOR UPDATE"), {"id": first.attempt_id})
        with ours.database.transaction() as session:
            found = attempts.renew(session, held, lease_seconds=60)
    assert found == {
        first.attempt_id: attempts.Renewed(cancelling=False, called_back=0, is_prolonged=False),
        second.attempt_id: attempts.Renewed(cancelling=False, called_back=0, is_prolonged=True),
    }
    assert lease_of(world, first) == before[0]
    assert lease_of(world, second) > before[1]


def test_of_many_who_claim_steps_of_one_deployment_few_hold_a_connection_while_they_wait(
    world: World, settings: Settings
) -> None:
    ours = context.make(replace(settings, db_pool_size=AT_ONCE + 1))
    deployment = world.request("1.0.0", "lab")
    world.advance(deployment)
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with ThreadPoolExecutor(3) as threads:
        with world.database.engine.connect() as holder:
            holder.execute(text("SELECT 1 FROM deployments WHERE id = :id FOR UPDATE"), {"id": deployment})
            open_attempts = world.open_attempts(deployment)
            assert len(open_attempts) > AT_ONCE
            claims = [threads.submit(Follower(ours).run_step, each) for each in open_attempts]  # type: ignore[arg-type]
            eventually(lambda: world.scalar(waiting) == AT_ONCE, "they wait for its row")
            with ours.database.transaction() as session:
                assert session.execute(text("SELECT 1")).scalar() == 1
        for each in claims:
            each.result()
    taken = "SELECT bool_and(token > 0) FROM attempts WHERE id = ANY(:ids)"
    assert world.scalar(taken, ids=open_attempts)
    ours.database.close()


@pytest.mark.parametrize("last", ["SELECT 2", "COMMIT"])
def test_who_waits_for_an_answer_that_never_comes_is_let_go(settings: Settings, last: str) -> None:
    with Proxy() as proxy, ThreadPoolExecutor(1) as other:
        url = through(proxy, "postgres", settings.database_url)
        database = Database(replace(settings, database_url=url, db_pool_size=1))
        asked = threading.Event()

        def ask_twice() -> None:
            with database.transaction() as session:
                session.execute(text("SELECT 1"))
                proxy.forget("postgres")
                asked.set()
                if last != "COMMIT":
                    session.execute(text(last))

        waits = other.submit(ask_twice)
        assert asked.wait(30)
        assert database.cut_still(30) == 0
        eventually(lambda: database.cut_still(0.1), "it has waited for long")
        with pytest.raises(DBAPIError) as caught:
            waits.result(30)
        assert caught.value.connection_invalidated
        with database.transaction() as session:
            assert session.execute(text("SELECT 3")).scalar() == 3
        database.close()


def test_a_renewal_that_fails_for_a_reason_nobody_thought_of_is_not_the_last(
    world: World, ours: WorkerContext
) -> None:
    claimed_at = clock.monotonic()
    claim = world.advance(world.request("1.0.0"), ours.worker)
    assert claim is not None
    hold = ours.leases.hold(claim, claimed_at=claimed_at)
    hold.trouble = "half of a pair: \ud800"  # which `troubled` would have replaced
    failed = threading.Event()

    def guard(what: str, subject_id: int, do: Callable[[], object]) -> None:
        try:
            do()
        except UnicodeEncodeError:
            hold.trouble = ""
            failed.set()

    ours.leases.start(guard)
    assert failed.wait(30)
    is_kept(world, ours, claim)
    ours.leases.drop(hold)


def test_who_is_shutting_down_gives_back_what_it_has_as_soon_as_postgres_is_there_again(
    world: World, ours: WorkerContext
) -> None:
    """It tried a thousand times in a second, and the lease had to run out."""
    fails_at: list[float] = []

    class Ailing(Database):
        @contextmanager
        def transaction(self) -> Iterator[Session]:
            if ours.leases.stopping and len(fails_at) < 4:
                fails_at.append(clock.monotonic())
                raise OperationalError("UPDATE", {}, Exception("server closed the connection"))
            with super().transaction() as session:
                yield session

    claim = world.advance(world.request("1.0.0"), ours.worker)
    assert claim is not None
    ours.leases.end_slices()
    follower = Follower(replace(ours, database=Ailing(ours.settings)))
    follower._follow_all(clock.monotonic(), claim)
    assert len(fails_at) == 4
    assert fails_at[-1] - fails_at[0] > 0.5  # 0.1 and 0.2 and 0.4
    assert world.rows("SELECT worker, outcome FROM attempts WHERE id = :id", id=claim.attempt_id) == [
        (None, None)
    ]


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
