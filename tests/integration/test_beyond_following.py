"""A step over which all end or fail who follow it, as with a broken plugin, is explained, and a person is asked at last."""

import pytest

from orchestrator.config import Settings
from orchestrator.db import Database
from orchestrator.domain.statuses import Outcome
from orchestrator.services import attempts, diagnosis, explaining
from orchestrator.services.attempts import MOST_LAPSES, Claim
from orchestrator.targets.noop import NoopTarget
from tests.integration.engine_world import World, worker
from workers.context import WorkerContext
from workers.follower import Follower
from workers.leases import LeaseKeeper

LATE = "2 hours"


@pytest.fixture
def world(database: Database) -> World:
    made = World(database)
    made.release("1.0.0")
    return made


@pytest.fixture
def claim(world: World) -> Claim:
    """One that was taken, and whose worker is gone."""
    taken = world.advance(world.request("1.0.0"), worker("w0"))
    assert taken is not None
    lapse(world)
    return taken


def lapse(world: World, *, started_ago: str = "1 second") -> None:
    """Let the lease run out, of an attempt that was started so long ago."""
    world.execute(
        "UPDATE attempts SET lease_until = clock_timestamp(), started_at = clock_timestamp() - CAST(:ago AS interval)"
        " WHERE ended_at IS NULL",
        ago=started_ago,
    )


def taken_by(world: World, claim: Claim, names: range, *, started_ago: str) -> list[Claim | None]:
    """What workers get that take it one after the other, each of which is gone then."""
    found = []
    for number in names:
        found.append(world.claim(claim.attempt_id, worker(f"w{number}")))
        lapse(world, started_ago=started_ago)
    return found


def test_one_that_is_late_is_left_to_a_person_when_all_are_gone_who_followed_it(
    world: World, claim: Claim
) -> None:
    found = taken_by(world, claim, range(1, MOST_LAPSES), started_ago=LATE)
    assert None not in found
    assert world.claim(claim.attempt_id, worker("last")) is None
    deployment = claim.work.deployment_id
    assert world.status(deployment) == "paused"
    (found_out,) = world.rows(
        "SELECT s.status, a.outcome, a.failure FROM attempts a JOIN steps s ON s.id = a.step_id WHERE a.id = :id",
        id=claim.attempt_id,
    )
    why = "its end cannot be known: its worker ended or failed 5 times in a row; see the log of the last, w4"
    assert found_out == ("unknown", "lost", why)


def test_one_that_is_not_late_is_taken_by_everybody(world: World, claim: Claim) -> None:
    found = taken_by(world, claim, range(1, 4 * MOST_LAPSES), started_ago="1 second")
    assert None not in found


def test_who_gives_it_back_in_good_order_shows_that_it_can_be_followed(world: World, claim: Claim) -> None:
    taken_by(world, claim, range(1, MOST_LAPSES), started_ago="1 second")
    handed_on = world.claim(claim.attempt_id, worker("well"))
    assert handed_on is not None
    with world.database.transaction() as session:
        attempts.release(session, handed_on)
    lapse(world, started_ago=LATE)
    found = taken_by(world, claim, range(MOST_LAPSES), started_ago=LATE)
    assert None not in found
    assert world.claim(claim.attempt_id, worker("last")) is None


def test_the_first_who_comes_after_all_were_away_says_how_it_ended(world: World, claim: Claim) -> None:
    lapse(world, started_ago=LATE)
    again = world.claim(claim.attempt_id, worker("back"))
    assert again is not None
    world.finish(again, by=worker("back"), outcome=Outcome.TIMED_OUT)
    assert world.status(claim.work.deployment_id) == "failed"


def test_a_plugin_that_raises_what_it_must_not_is_explained_and_ends_with_a_question(
    world: World, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment = world.request("1.0.0")
    world.advance(deployment)
    (attempt,) = world.open_attempts(deployment)
    assert isinstance(attempt, int)

    def broken(*_: object, **__: object) -> None:
        raise AttributeError("a defect of the plugin")

    for call in ("start", "poll", "abort"):
        monkeypatch.setattr(NoopTarget, call, broken)

    def follow(name: str) -> None:
        leases = LeaseKeeper(world.database, lease_seconds=30)
        ours = WorkerContext(settings, world.database, leases, worker(name))
        with pytest.raises(AttributeError, match="a defect of the plugin"):
            Follower(ours).run_step(attempt)
        lapse(world, started_ago=LATE)

    for number in range(3):
        follow(f"w{number}")
    says = "its worker ended or failed 2 times in a row, the last time w1"
    with world.database.reading() as session:
        explained = explaining.explain(session, deployment, actor=world.actor)
        found = diagnosis.examine(session, settings, is_migrated=lambda revision: revision is not None)
    assert [each.trouble for each in explained.troubles] == [says]
    assert any(says in each.says for each in found)

    for number in range(3, 5):
        follow(f"w{number}")
    Follower(
        WorkerContext(settings, world.database, LeaseKeeper(world.database, lease_seconds=30), worker("last"))
    ).run_step(attempt)
    assert world.status(deployment) == "paused"
    assert world.column("SELECT status FROM steps WHERE deployment_id = :id ORDER BY id", id=deployment)[
        0
    ] == ("unknown")
