"""A gate that goes away is noticed, also beside another gate, and while the deployment is looking at the gate as it was."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import timedelta
from threading import Barrier

import pytest

from orchestrator import clock
from orchestrator.domain.access import Role
from orchestrator.domain.errors import ConflictError
from orchestrator.domain.windows import RuleKind
from orchestrator.repositories import users
from orchestrator.services import approvals, attempts, deployments, execution, locks, pipelines, windows
from orchestrator.services.actors import Actor
from tests.integration.engine_world import PIPELINE, World, between, worker
from tests.integration.gates_world import (
    WAITS,
    during,
    during_a_look,
    freeze_for_days,
    is_due,
    lock_until,
    looks_again_soon,
    not_due,
    remove,
    request,
    world,
)

__all__ = ["world"]


def look_if_due(world: World, deployment: int) -> None:
    """As the tick: what is not due is not looked at."""
    if is_due(world, deployment):
        world.advance(deployment)


def test_a_promotion_that_comes_before_the_schedule_does_not_delay_it(world: World) -> None:
    at = clock.now() + timedelta(minutes=10)
    later = request(world, "production", scheduled_for=at)
    assert world.advance(later, worker()) is None
    assert world.run_to_end(request(world, "staging")) == "succeeded"
    look_if_due(world, later)
    assert world.get(later).wake_at == at


def test_a_promotion_that_comes_before_a_lock_expires_does_not_delay_it(world: World) -> None:
    staging = request(world, "staging")
    claim = world.advance(staging, one := worker())
    until = clock.now() + timedelta(minutes=10)
    lock_until(world, until)
    later = request(world, "production")
    assert world.advance(later, worker()) is None
    while claim is not None:
        claim = world.finish(claim, by=one)
    assert world.status(staging) == "succeeded"
    look_if_due(world, later)
    assert world.get(later).wake_at == until


def test_a_freeze_that_is_removed_before_a_lock_expires_is_forgotten(world: World) -> None:
    until = clock.now() + timedelta(minutes=10)
    lock_until(world, until)
    freeze = freeze_for_days(world)
    held = request(world, "staging")
    assert world.advance(held, worker()) is None
    with world.database.transaction() as session:
        windows.remove(session, RuleKind.FREEZE, freeze, actor=world.actor)
    look_if_due(world, held)
    assert world.get(held).wake_at == until


def test_a_release_that_succeeds_during_a_look_at_its_promotion_is_not_overlooked(world: World) -> None:
    one = worker()
    claim = world.advance(request(world, "staging"), one)
    assert claim is not None
    last = world.finish(claim, by=one)
    assert last is not None
    later = request(world, "production")
    during_a_look(world, later, lambda: world.finish(last))
    assert is_due(world, later)
    assert world.run_to_end(later) == "succeeded"


def release(world: World) -> None:
    with world.database.transaction() as session:
        locks.release(session, 1, actor=world.actor)


def test_a_freeze_that_is_removed_during_the_first_look_at_it_is_not_overlooked(world: World) -> None:
    freeze = freeze_for_days(world)
    held = request(world, "staging")
    not_due(world)
    during_a_look(world, held, lambda: remove(world, freeze))
    looks_again_soon(world, held, "freeze")


def test_a_lock_that_is_released_during_the_first_look_at_it_is_not_overlooked(world: World) -> None:
    lock_until(world, clock.now() + timedelta(days=2))
    held = request(world, "staging")
    not_due(world)
    during_a_look(world, held, lambda: release(world))
    looks_again_soon(world, held, "lock")


def test_a_gate_that_goes_away_during_a_later_look_at_it_is_noticed_at_once(world: World) -> None:
    freeze = freeze_for_days(world)
    held = request(world, "staging")
    world.held(held)
    during_a_look(world, held, lambda: remove(world, freeze))
    assert is_due(world, held)
    assert world.run_to_end(held) == "succeeded"


def test_who_releases_does_not_wait_for_a_look_at_another_one(world: World) -> None:
    """A worker may stand still just then."""
    lock_until(world, clock.now() + timedelta(days=2))
    held, looked_at = request(world, "staging"), request(world, "staging")
    world.held(held)
    _, waited = during(world, lambda session: execution.lock(session, looked_at), lambda: release(world))
    assert (is_due(world, held), waited) == (True, False)


@pytest.mark.parametrize(
    "close",
    [lambda world: lock_until(world, clock.now() + timedelta(days=2)), freeze_for_days],
    ids=["lock", "freeze"],
)
def test_who_closes_is_answered_only_when_no_start_can_come_that_did_not_see_it(
    world: World, close: Callable[[World], object]
) -> None:
    deployment = request(world, "staging")
    not_due(world)
    started, waited = during(
        world, lambda session: attempts.advance(session, deployment, worker()), lambda: close(world)
    )
    assert (started is not None, waited) == (True, True)
    assert world.status(deployment) == "running"


def test_who_locks_and_who_wakes_those_behind_it_in_the_queue_do_not_wait_for_each_other(
    world: World,
) -> None:
    """The first in the queue was requested last, is looked at, held, and lets the other one go on."""
    behind, first = (
        request(world, "staging"),
        request(world, "staging", scheduled_for=clock.now() + timedelta(hours=1)),
    )
    world.execute("UPDATE deployments SET priority = 10 WHERE id = :id", id=first)
    not_due(world)
    with ThreadPoolExecutor(1) as other:
        with world.database.transaction() as session:
            assert execution.lock(session, first) is not None
            locked = other.submit(lock_until, world, clock.now() + timedelta(days=2))
            while not locked.done() and not world.scalar(WAITS):
                wait([locked], timeout=0.02)
            assert attempts.advance(session, first, worker()) is None
        locked.result()
    assert world.get(first).held_by == "schedule"
    assert is_due(world, behind)


def test_who_gets_in_line_while_the_one_before_is_ending_looks_again_soon(world: World) -> None:
    """Neither transaction sees the other: the end finds nobody in line, the look finds the slot taken."""
    first = world.request("1.0.0")
    claim = world.advance(first, worker())
    assert claim is not None
    second = request(world, "staging", scheduled_for=clock.now() + timedelta(hours=1))
    world.advance(second)
    assert world.get(second).held_by == "schedule"
    world.execute(
        "UPDATE deployments SET scheduled_for = clock_timestamp(), held_until = clock_timestamp() + interval '1 hour'"
        " WHERE id = :id",
        id=second,
    )
    with world.database.transaction() as session:
        assert attempts.advance(session, second, worker()) is None
        while claim is not None:
            claim = world.finish(claim, by=worker())
        assert world.status(first) == "succeeded"
    row = world.get(second)
    assert (row.status, row.held_by) == ("pending", None)
    assert row.wake_at <= clock.now() + timedelta(seconds=3)
    assert world.run_to_end(second) == "succeeded"


def test_those_of_one_opening_start_in_the_order_of_their_queue(world: World) -> None:
    opens = clock.now() + timedelta(hours=1)
    first, second = (request(world, "staging", scheduled_for=opens) for _ in range(2))
    for each in (first, second):
        world.advance(each)
    world.execute("UPDATE deployments SET scheduled_for = clock_timestamp(), held_until = clock_timestamp()")
    assert world.advance(second, worker()) is None
    assert world.get(second).ahead == 1
    assert world.run_to_end(first) == "succeeded"
    assert world.get(second).wake_at <= clock.now()
    assert world.run_to_end(second) == "succeeded"


def test_one_that_is_held_again_lets_those_behind_it_go_on(world: World) -> None:
    opens = clock.now() + timedelta(hours=1)
    first, second = (request(world, "staging", scheduled_for=opens) for _ in range(2))
    for each in (first, second):
        world.advance(each)
    world.execute("UPDATE deployments SET held_until = clock_timestamp()")
    world.execute("UPDATE deployments SET scheduled_for = NULL WHERE id = :id", id=second)
    assert world.advance(second, worker()) is None
    assert world.advance(first, worker()) is None
    assert world.get(first).held_by == "schedule"
    assert world.get(second).wake_at <= clock.now()
    assert world.run_to_end(second) == "succeeded"


def approver(world: World, name: str) -> Actor:
    with world.database.transaction() as session:
        user_id = users.insert(session, email=f"{name}@b", username=name, password_hash="x", role="operator")
    assert user_id is not None
    return Actor(user_id, name, Role.OPERATOR, "sign-in")


@pytest.mark.parametrize(("names", "counted"), [(("ben", "cleo"), 2), (("ben", "ben"), 1)])
def test_two_yeses_at_the_same_moment(world: World, names: tuple[str, str], counted: int) -> None:
    source = PIPELINE.replace("  staging:\n", "  staging:\n    approvals: [{count: 2, role: operator}]\n")
    with world.database.transaction() as session:
        pipelines.apply(session, name="shop", source=source, actor=world.actor)
    deployment = world.request("1.0.0")
    people = {name: approver(world, name) for name in set(names)}
    together = Barrier(2)

    def approve(name: str) -> None:
        together.wait()
        with world.database.transaction() as session:
            approvals.approve(session, deployment, actor=people[name], reason="")

    with ThreadPoolExecutor(2) as threads:
        for done in [threads.submit(approve, name) for name in names]:
            done.result()
    events = "SELECT count(*) FROM events WHERE deployment_id = :id AND kind = 'deployment.approved'"
    assert world.scalar(events, id=deployment) == counted
    assert world.status(deployment) == ("running" if counted == 2 else "pending")


def test_a_freeze_stops_all_that_were_queued_for_a_window_before(world: World) -> None:
    opens = (clock.now() + timedelta(hours=1)).replace(microsecond=0)
    document = between(opens, opens + timedelta(days=1))
    with world.database.transaction() as session:
        windows.create(session, RuleKind.WINDOW, environment="staging", document=document, actor=world.actor)
    queued = [request(world, "staging") for _ in range(50)]
    for each in queued:
        assert world.advance(each, worker()) is None
    freeze_for_days(world)
    world.execute("UPDATE deployments SET wake_at = clock_timestamp(), held_until = clock_timestamp()")
    for each in queued:
        assert world.advance(each, worker()) is None
    assert world.column("SELECT DISTINCT held_by FROM deployments") == ["freeze"]
    assert world.column("SELECT DISTINCT status FROM deployments") == ["pending"]


def test_of_two_who_replan_in_one_moment_one_does(world: World) -> None:
    deployment = request(world, "staging")

    def replan_too() -> None:
        with world.database.transaction() as session:
            deployments.replan(session, deployment, actor=world.actor)

    with ThreadPoolExecutor(1) as other:
        with world.database.transaction() as session:
            made = deployments.replan(session, deployment, actor=world.actor)
            done = other.submit(replan_too)
            while not done.done() and not world.scalar(WAITS):
                wait([done], timeout=0.02)
        with pytest.raises(ConflictError):
            done.result()
    assert world.column("SELECT id FROM deployments WHERE status = 'pending'") == [made]
