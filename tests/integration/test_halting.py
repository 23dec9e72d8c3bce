"""A rollback that fails stops the train: nothing starts in its slot by itself until somebody says so."""

from typing import Any

import pytest

from orchestrator.db import Database
from orchestrator.domain.access import Role
from orchestrator.domain.errors import ForbiddenError
from orchestrator.domain.statuses import Outcome
from orchestrator.presenting.explanations import present_explanation
from orchestrator.presenting.pages import inbox
from orchestrator.repositories import users
from orchestrator.services import deployments, explaining, locks, rollbacks
from orchestrator.services.actors import Actor
from tests.integration.engine_world import World, worker


@pytest.fixture
def world(database: Database) -> World:
    made = World(database)
    made.release("1.0.0")
    made.release("1.1.0")
    return made


def person(world: World, name: str, role: Role) -> Actor:
    with world.database.transaction() as session:
        user_id = users.insert(
            session, email=f"{name}@example.com", username=name, password_hash="x", role=role
        )
    assert user_id is not None
    return Actor(user_id, name, role, "sign-in")


def going_back(world: World) -> tuple[int, int]:
    """A deployment that failed, and the rollback that follows from it by itself."""
    for version in ("1.0.0", "1.1.0"):
        assert world.run_to_end(world.request(version)) == "succeeded"
    assert world.run_to_end(world.request("1.0.0", "production")) == "succeeded"
    bad = world.request("1.1.0", "production")
    assert world.run_to_end(bad, {"web-a": Outcome.FAILED}) == "failed"
    return bad, rollback_of(world, bad)


def rollback_of(world: World, deployment: int) -> int:
    found = world.scalar("SELECT max(id) FROM deployments WHERE rolls_back_id = :id", id=deployment)
    assert isinstance(found, int)
    return found


def roll_back(world: World, deployment: int) -> int:
    with world.database.transaction() as session:
        return rollbacks.request(session, deployment, actor=world.actor, reason="")


def held_locks(world: World) -> list[tuple[int, str]]:
    return world.rows("SELECT id, reason FROM locks WHERE created_by IS NULL AND released_at IS NULL")


def release(world: World, lock_id: int, by: Actor) -> None:
    with world.database.transaction() as session:
        locks.release(session, lock_id, actor=by)


def explained(world: World, deployment: int, actor: Actor) -> dict[str, Any]:
    with world.database.reading() as session:
        return present_explanation(explaining.explain(session, deployment, actor=actor))


def inbox_of(world: World, actor: Actor) -> str:
    with world.database.reading() as session:
        return inbox.read(session, actor=actor).pieces["items"]


def test_nothing_starts_after_a_rollback_that_failed_until_somebody_says_so(world: World) -> None:
    bad, rollback = going_back(world)
    queued = world.request("1.1.0", "production")
    assert world.run_to_end(rollback, {"web-a": Outcome.FAILED}) == "failed"
    ((lock, reason),) = held_locks(world)
    assert reason == (
        f"deployment {rollback}, the rollback of deployment {bad}, failed:"
        " look at what its targets have, then release this lock"
    )
    assert str(world.get(rollback).failure).endswith(
        f"; NOTHING MORE STARTS of shop in production until somebody releases lock {lock}"
    )
    assert world.advance(queued, worker()) is None
    assert world.get(queued).held_by == "lock"
    eve = person(world, "eve", Role.DEPLOYER)
    why = explained(world, queued, eve)
    (gate,) = [each for each in why["gates"] if each["kind"] == "lock"]
    assert gate["evidence"] == f"the orchestrator locked it (lock {lock}): {reason}"
    assert gate["changed_by"] == "whoever may deploy there, by releasing it"
    assert {"action": f"release lock {lock}", "enough": True} in why["remedies"]
    release(world, lock, eve)
    assert world.scalar("SELECT wake_at <= clock_timestamp() FROM deployments WHERE id = :id", id=queued)
    assert world.run_to_end(queued) == "succeeded"


def test_the_slot_and_no_other_stands_still(world: World) -> None:
    _, rollback = going_back(world)
    world.run_to_end(rollback, {"web-a": Outcome.FAILED})
    assert world.run_to_end(world.request("1.1.0")) == "succeeded"


def test_neither_the_owner_nor_a_rollback_by_itself_passes(world: World) -> None:
    """A person's rollback is first; by priority the one that follows by itself comes after it, and has to stand still too."""
    bad, by_itself = going_back(world)
    by_hand = roll_back(world, bad)
    world.execute("UPDATE deployments SET priority = priority + 1 WHERE id = :id", id=by_hand)
    assert world.run_to_end(by_hand, {"web-a": Outcome.FAILED}) == "failed"
    assert world.advance(by_itself, worker()) is None
    assert (world.status(by_itself), world.get(by_itself).held_by) == ("pending", "lock")
    assert len(held_locks(world)) == 1


def test_a_rollback_that_a_person_asks_for_starts_once_they_have_released_the_lock(world: World) -> None:
    bad, rollback = going_back(world)
    world.run_to_end(rollback, {"web-a": Outcome.FAILED})
    again = roll_back(world, bad)
    assert world.advance(again, worker()) is None
    ((lock, _),) = held_locks(world)
    release(world, lock, world.actor)
    assert world.run_to_end(again) == "succeeded"
    assert held_locks(world) == []


def test_a_rollback_in_doubt_holds_the_slot_and_locks_it_when_it_is_given_up(world: World) -> None:
    _, rollback = going_back(world)
    claim = world.advance(rollback, worker())
    assert claim is not None
    world.finish(claim, Outcome.LOST)
    assert world.status(rollback) == "paused"
    assert held_locks(world) == []
    with world.database.transaction() as session:
        deployments.cancel(session, rollback, actor=world.actor, reason="by hand then")
    assert world.status(rollback) == "cancelled"
    ((_, reason),) = held_locks(world)
    assert "was cancelled, and nobody knows what became of it" in reason


def test_a_rollback_that_somebody_cancels_ends_as_they_wanted(world: World) -> None:
    _, rollback = going_back(world)
    with world.database.transaction() as session:
        deployments.cancel(session, rollback, actor=world.actor, reason="not needed")
    assert world.status(rollback) == "cancelled"
    assert held_locks(world) == []


def test_a_rollback_that_cannot_even_be_requested_locks_too(world: World) -> None:
    for version in ("1.0.0", "1.1.0"):
        assert world.run_to_end(world.request(version)) == "succeeded"
    assert world.run_to_end(world.request("1.0.0", "production")) == "succeeded"
    bad = world.request("1.1.0", "production")
    claim = world.advance(bad, worker())
    assert claim is not None
    world.execute("UPDATE releases SET status = 'withdrawn' WHERE version = '1.0.0'")
    world.finish(claim, Outcome.FAILED)
    assert world.status(bad) == "failed"
    ((lock, reason),) = held_locks(world)
    assert reason.startswith(f"deployment {bad} failed and could not be rolled back:")
    assert str(world.get(bad).failure).endswith(
        "shop 1.0.0 is withdrawn and cannot be deployed;"
        f" NOTHING MORE STARTS of shop in production until somebody releases lock {lock}"
    )


def test_a_first_deployment_that_fails_locks_nothing(world: World) -> None:
    assert world.run_to_end(world.request("1.0.0")) == "succeeded"
    first = world.request("1.0.0", "production")
    assert world.run_to_end(first, {"web-a": Outcome.FAILED}) == "failed"
    assert "not rolled back: no other release" in str(world.get(first).failure)
    assert held_locks(world) == []


def test_events_and_the_inbox_say_so(world: World) -> None:
    _, rollback = going_back(world)
    world.run_to_end(rollback, {"web-a": Outcome.FAILED})
    ((lock, _),) = held_locks(world)
    kinds = "SELECT kind FROM events WHERE subject = :subject ORDER BY seq"
    assert world.column(kinds, subject=f"deployment:{rollback}")[-2:] == [
        "deployment.failed",
        "deployment.halted",
    ]
    assert world.column(kinds, subject=f"lock:{lock}") == ["lock.created"]
    ada, sue = inbox_of(world, world.actor), inbox_of(world, person(world, "sue", Role.VIEWER))
    for shown, heading, button in ((ada, "Waits for you", True), (sue, "Waits for others", False)):
        assert "Nothing more starts of shop in production" in shown.partition(heading)[2]
        assert ('href="/locks"' in shown) is button
    with pytest.raises(ForbiddenError):
        release(world, lock, person(world, "tom", Role.VIEWER))
    release(world, lock, world.actor)
    assert "Nothing more starts" not in inbox_of(world, world.actor)
