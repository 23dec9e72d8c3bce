"""Targets that go through every action each by itself, so many at a time, on real Postgres."""

from datetime import timedelta

from orchestrator.domain.statuses import Outcome
from orchestrator.presenting.foreseen import present_foreseen
from orchestrator.services import deployments, foreseeing, rollbacks
from orchestrator.services.attempts import Claim
from tests.integration.engine_world import World, worker
from tests.integration.test_rolling import TARGETS, rolling, started, through
from tests.integration.time_travel import BEGINNING, Clocks, clocks, use_pipeline, world

__all__ = ["clocks", "world"]

FOUR = "[{name: web-a, kind: noop}, {name: web-b, kind: noop}, {name: web-c, kind: noop}, {name: web-d, kind: noop}]"


def said(claim: Claim | None) -> str:
    return "nothing" if claim is None else f"{claim.work.target_name}: {claim.work.action.title}"


def go_on(world: World, claim: Claim | None) -> Claim | None:
    assert claim is not None
    return world.finish(claim, by=worker())


def asked_in_production(world: World, *, batch: int) -> None:
    """Four that slide, and a person who is asked when one has failed."""
    use_pipeline(
        world,
        f"    after: staging\n    targets: {TARGETS}\n    strategy: {{kind: rolling, batch: 1}}\n    on_failure: rollback",
        f"    targets: {FOUR}\n    strategy: {{kind: rolling, batch: {batch}, mode: sliding}}\n    on_failure: {{pause: 1h}}",
    )


def statuses(world: World, deployment: int) -> dict[str, list[str]]:
    return dict(
        world.rows(
            "SELECT target_name, array_agg(status ORDER BY wave_index, position) FROM steps"
            " WHERE deployment_id = :id GROUP BY target_name",
            id=deployment,
        )
    )


def test_the_next_begins_when_one_was_through_every_action_and_waits_for_no_other(
    world: World, clocks: Clocks
) -> None:
    """Four, three at a time, of which the first takes 5 and the others 1: the fourth ends at 2, behind a barrier at 6."""
    deployment = rolling(world, "batch: 3, mode: sliding", targets=FOUR)
    a, b, c = (world.advance(deployment, worker()) for _ in range(3))
    assert [said(each) for each in (a, b, c)] == ["web-a: ./install", "web-b: ./install", "web-c: ./install"]
    assert world.advance(deployment, worker()) is None
    b, c = go_on(world, b), go_on(world, c)
    assert [said(each) for each in (b, c)] == ["web-b: ./check", "web-c: ./check"]
    clocks.go(1)
    d = go_on(world, b)
    assert said(d) == "web-d: ./install"
    assert go_on(world, c) is None
    d = go_on(world, d)
    assert said(d) == "web-d: ./check"
    clocks.go(1)
    assert go_on(world, d) is None
    ended = world.scalar("SELECT max(ended_at) FROM steps WHERE deployment_id = :id", id=deployment)
    assert ended == BEGINNING + timedelta(seconds=2)
    assert statuses(world, deployment)["web-a"] == ["running", "waiting"]
    clocks.go(3)
    a = go_on(world, a)
    assert said(a) == "web-a: ./check"
    assert go_on(world, a) is None
    assert world.status(deployment) == "succeeded"


def test_one_that_fails_makes_room_and_counts_once(world: World, clocks: Clocks) -> None:
    deployment = rolling(world, "batch: 2, mode: sliding, max_failures: 1", targets=FOUR)
    assert world.run_to_end(deployment, {"web-a": Outcome.FAILED}) == "failed"
    assert world.get(deployment).failure == "1 target failed, within the budget of 1, so all others were done"
    assert statuses(world, deployment) == {
        "web-a": ["failed", "skipped"],
        **{name: ["succeeded", "succeeded"] for name in ("web-b", "web-c", "web-d")},
    }


def test_past_the_budget_nothing_more_begins_and_a_rollback_goes_to_those_that_were_touched(
    world: World, clocks: Clocks
) -> None:
    good = rolling(world, "batch: 1, mode: sliding", targets=FOUR)
    assert world.run_to_end(good) == "succeeded"
    bad = world.request("1.1.0", "production")
    assert world.run_to_end(bad, {"web-b": Outcome.FAILED}) == "failed"
    assert statuses(world, bad)["web-c"] == ["skipped", "skipped"]
    rollback = world.scalar("SELECT id FROM deployments WHERE rolls_back_id = :id", id=bad)
    assert isinstance(rollback, int)
    assert world.run_to_end(rollback) == "succeeded"
    assert started(world, rollback) == ["web-b", "web-a"]


def test_a_person_who_says_retry_gets_all_that_was_left_for_it(world: World, clocks: Clocks) -> None:
    asked_in_production(world, batch=2)
    deployment = world.request("1.0.0", "production")
    world.run_to_end(deployment, {"web-a": Outcome.FAILED})
    assert world.status(deployment) == "paused"
    with world.database.transaction() as session:
        deployments.answer(session, deployment, answer="retry", step_id=None, actor=world.actor)
    through(world, deployment)
    assert world.status(deployment) == "succeeded"
    assert set(map(tuple, statuses(world, deployment).values())) == {("succeeded", "succeeded")}


def test_what_a_person_said_had_happened_is_not_done_again_when_what_follows_is(
    world: World, clocks: Clocks
) -> None:
    asked_in_production(world, batch=1)
    deployment = world.request("1.0.0", "production")
    install = world.advance(deployment, worker())
    assert install is not None
    world.finish(install, Outcome.LOST)
    with world.database.transaction() as session:
        deployments.answer(session, deployment, answer="skip", step_id=None, actor=world.actor)
    for _ in range(2):  # `./check` has one more try
        check = world.advance(deployment, worker())
        assert said(check) == "web-a: ./check"
        assert check is not None
        world.finish(check, Outcome.FAILED)
        clocks.go(60)
    assert world.status(deployment) == "paused"
    with world.database.transaction() as session:
        deployments.answer(session, deployment, answer="retry", step_id=None, actor=world.actor)
    assert statuses(world, deployment)["web-a"] == ["skipped", "ready"]
    assert world.run_to_end(deployment) == "succeeded"
    assert statuses(world, deployment)["web-a"] == ["skipped", "succeeded"]


def test_a_cancel_ends_it_with_what_ran(world: World, clocks: Clocks) -> None:
    deployment = rolling(world, "batch: 2, mode: sliding", targets=FOUR)
    first, second = world.advance(deployment, worker()), world.advance(deployment, worker())
    with world.database.transaction() as session:
        deployments.cancel(session, deployment, actor=world.actor, reason="")
    assert first is not None
    assert second is not None
    assert world.finish(first, Outcome.ABORTED) is None
    assert world.finish(second) is None
    assert world.status(deployment) == "cancelled"
    assert statuses(world, deployment)["web-b"] == ["succeeded", "cancelled"]


def test_one_zone_is_done_before_the_next_and_bakes(world: World, clocks: Clocks) -> None:
    zoned = FOUR.replace("web-b, kind: noop", "web-b, kind: noop, labels: {zone: north}")
    deployment = rolling(world, "batch: 2, mode: sliding, zone: zone, bake: 1h", targets=zoned)
    through(world, deployment)
    assert started(world, deployment) == ["web-b"]
    assert world.get(deployment).next_wave_at == BEGINNING + timedelta(hours=1)
    clocks.go(3600)
    assert world.run_to_end(deployment) == "succeeded"


def test_the_plan_says_so_before_anything_is_made(world: World, clocks: Clocks) -> None:
    rolling(world, "batch: 2, mode: sliding", targets=FOUR)
    with world.database.transaction() as session:
        found = foreseeing.foresee(
            session,
            actor=world.actor,
            application="shop",
            version="1.1.0",
            environment="production",
            reason="",
        )
        shown = present_foreseen(found)
    assert (shown["max_parallel"], shown["steps"]) == (2, 8)
    (wave,) = shown["waves"]
    assert (wave["action"], wave["total"]) == ("every action, target by target", 4)
    assert [each["script"] for each in shown["scripts"]] == ["./install", "./check"]
    assert wave["targets"] == ["web-a", "web-b", "web-c", "web-d"]


def test_a_rollback_of_what_has_ended_slides_too(world: World, clocks: Clocks) -> None:
    first = rolling(world, "batch: 2, mode: sliding", targets=FOUR)
    assert world.run_to_end(first) == "succeeded"
    second = world.request("1.1.0", "production")
    assert world.run_to_end(second) == "succeeded"
    with world.database.transaction() as session:
        back = rollbacks.request(session, second, actor=world.actor, reason="")
    assert world.run_to_end(back) == "succeeded"
    assert started(world, back) == ["web-d", "web-c", "web-b", "web-a"]
