"""What deployments do that move traffic, on real Postgres whose clock moves when it is told to; the proxy is played by hand."""

from datetime import timedelta

import pytest

from orchestrator.domain.errors import ConflictError, RuleViolationError
from orchestrator.domain.statuses import Outcome
from orchestrator.presenting.deployments import present_whole
from orchestrator.presenting.explanations import present_explanation
from orchestrator.services import deployments, explaining, pipelines, rollbacks
from orchestrator.services.attempts import Claim
from tests.integration.engine_world import PIPELINE, World, worker
from tests.integration.time_travel import BEGINNING, Clocks, clocks, world

__all__ = ["clocks", "world"]

OLD = """    after: staging
    targets: [{name: web-a, kind: noop}, {name: web-b, kind: noop}, {name: web-c, kind: noop}]
    strategy: {kind: rolling, batch: 1}
    on_failure: rollback"""
SIDES = "[{name: blue, kind: noop, labels: {side: blue}}, {name: green, kind: noop, labels: {side: green}}]"
THREE = "[{name: web-a, kind: noop}, {name: web-b, kind: noop}, {name: web-c, kind: noop}]"


def use(world: World, strategy: str, *, targets: str, on_failure: str = "fail", run: str = "") -> None:
    """Have production deploy so, with the traffic behind HAProxy, and verify what it deployed."""
    with_traffic = (
        f"    targets: {targets}\n    traffic: {{haproxy: /run/haproxy.sock, backend: shop}}\n"
        f"    strategy: {strategy}\n    on_failure: {on_failure}"
    )
    source = PIPELINE.replace(OLD, with_traffic)
    assert source != PIPELINE
    actions = "deploy:\n  - run: ./install\n  - run: ./check\n    retries: 1\n"
    verified = f"deploy:\n  - run: ./install\n{run}  - verify: {{http: 'http://127.0.0.1:1/'}}\n"
    with world.database.transaction() as session:
        pipelines.apply(session, name="shop", source=source.replace(actions, verified), actor=world.actor)


def play(world: World, deployment: int, *, fail: tuple[str, str] = ("", "")) -> list[str]:
    """Play a worker until nothing is to be taken; what it did, and the step of this title on this target fails."""
    done, one = [], worker()
    claim = world.advance(deployment, one)
    while claim is not None:
        done.append(said(claim))
        title = (claim.work.target_name, claim.work.action.title)
        outcome = Outcome.FAILED if title == fail else Outcome.SUCCEEDED
        claim = world.finish(claim, outcome, one) or world.advance(deployment, one)
    return done


def said(claim: Claim) -> str:
    shift = claim.work.shift
    what = claim.work.action.title if shift is None else str(shift.weight)
    return f"{claim.work.target_name}: {what}"


def cancel(world: World, deployment: int) -> None:
    with world.database.transaction() as session:
        deployments.cancel(session, deployment, actor=world.actor, reason="")


def promote(world: World, deployment: int) -> None:
    with world.database.transaction() as session:
        deployments.promote(session, deployment, actor=world.actor, reason="looks well")


UP = ["green: 0", "green: ./install", "green: verify http", "green: 100", "blue: 0", "green: verify http"]
BACK = ["blue: 100", "green: 0"]


def test_blue_green_brings_up_the_idle_side_switches_and_keeps_the_old_one(
    world: World, clocks: Clocks
) -> None:
    use(world, "{kind: blue-green, keep: 10m}", targets=SIDES)
    first = world.request("1.0.0", "production")
    assert play(world, first) == UP
    assert world.get(first).next_wave_at == BEGINNING + timedelta(minutes=10)
    assert world.status(first) == "running"
    clocks.go(600)
    assert play(world, first) == ["green: 100", "blue: 0"]  # whatever the proxy has forgotten meanwhile
    assert world.status(first) == "succeeded"
    second = world.request("1.1.0", "production")
    assert play(world, second)[:3] == ["blue: 0", "blue: ./install", "blue: verify http"]


def test_a_cancel_while_the_old_side_is_kept_goes_back_at_once(world: World, clocks: Clocks) -> None:
    use(world, "{kind: blue-green, keep: 10m}", targets=SIDES)
    deployment = world.request("1.0.0", "production")
    play(world, deployment)
    cancel(world, deployment)
    assert world.status(deployment) == "running"
    cancel(world, deployment)  # wishing twice is wishing once
    with world.database.reading() as session:
        explained = present_explanation(explaining.explain(session, deployment, actor=world.actor))
    assert str(explained["because"]).startswith("it puts back what it changed, in wave 9 of 10")
    assert play(world, deployment) == BACK
    row = world.get(deployment)
    assert (row.status, row.failure) == (
        "cancelled",
        "cancelled; nothing of it runs any more; what it changed was put back",
    )
    again = world.request("1.1.0", "production")
    assert play(world, again)[:1] == ["green: 0"]


@pytest.mark.parametrize(
    ("fail", "back"),
    [
        (("green", "no new requests"), ["green: 0"]),  # it stays where it was; nothing was changed
        (("green", "./install"), []),
        (("green", "weight 100"), ["green: 0"]),
        (("blue", "no new requests"), BACK),
    ],
)
def test_a_failure_puts_the_traffic_back_as_far_as_it_was_moved(
    world: World, clocks: Clocks, fail: tuple[str, str], back: list[str]
) -> None:
    use(world, "{kind: blue-green}", targets=SIDES, on_failure="rollback")
    deployment = world.request("1.0.0", "production")
    done = play(world, deployment, fail=fail)
    row = world.get(deployment)
    assert row.status == "failed"
    assert "the traffic is on the other side" in str(row.failure)
    assert done[
        done.index(f"{fail[0]}: {'0' if 'new' in fail[1] else fail[1].removeprefix('weight ')}") + 1 :
    ] == (back if fail != ("green", "no new requests") else [])


def test_a_canary_holds_is_promoted_by_a_person_and_the_others_follow(world: World, clocks: Clocks) -> None:
    use(
        world,
        "{kind: canary, weights: [5%, 50%], hold: 10m, promote: manual, batch: 1}",
        targets=THREE,
    )
    deployment = world.request("1.0.0", "production")
    begun = ["web-a: 0", "web-a: ./install", "web-a: verify http", "web-a: 11"]
    assert play(world, deployment) == begun
    clocks.go(600)
    assert play(world, deployment) == ["web-a: verify http", "web-a: 100", "web-b: 50", "web-c: 50"]
    clocks.go(600)
    assert play(world, deployment) == ["web-a: verify http"]
    assert world.status(deployment) == "paused"
    with world.database.reading() as session:
        asked = present_whole(session, world.get(deployment))["waiting_for"]
    assert [each["kind"] for each in asked] == ["promote"]
    clocks.go(86_400)
    assert play(world, deployment) == []
    promote(world, deployment)
    rest = [
        f"{name}: {what}" for name in ("web-b", "web-c") for what in ("0", "./install", "verify http", "100")
    ]
    assert play(world, deployment) == ["web-b: 100", "web-c: 100", "web-a: 100", *rest]
    assert world.status(deployment) == "succeeded"
    kinds = world.column("SELECT kind FROM events WHERE deployment_id = :id ORDER BY seq", id=deployment)
    assert "deployment.continued" in kinds
    with pytest.raises(RuleViolationError, match="waits for no promotion"):
        promote(world, deployment)


def test_a_smoke_test_runs_again_under_traffic(world: World, clocks: Clocks) -> None:
    smoke = "  - run: ./smoke\n    verifies: true\n"
    use(world, "{kind: canary, weights: [5%], hold: 10m}", targets=THREE, run=smoke)
    deployment = world.request("1.0.0", "production")
    play(world, deployment)
    clocks.go(600)
    assert play(world, deployment)[:3] == ["web-a: ./smoke", "web-a: verify http", "web-a: 100"]


def test_a_promotion_ends_a_hold_early(world: World, clocks: Clocks) -> None:
    use(world, "{kind: canary, weights: [5%], hold: 10m}", targets=THREE)
    deployment = world.request("1.0.0", "production")
    play(world, deployment)
    assert world.status(deployment) == "running"
    promote(world, deployment)
    assert play(world, deployment)[0] == "web-a: verify http"
    assert world.status(deployment) == "succeeded"


def test_a_canary_that_takes_nothing_from_the_others_leaves_them_as_they_are(
    world: World, clocks: Clocks
) -> None:
    use(world, "{kind: canary, weights: [5%], batch: 100%}", targets=THREE)
    deployment = world.request("1.0.0", "production")
    canary = [
        "web-a: 0",
        "web-a: ./install",
        "web-a: verify http",
        "web-a: 11",
        "web-a: verify http",
        "web-a: 100",
    ]
    assert play(world, deployment)[:8] == [*canary, "web-b: 0", "web-c: 0"]


def test_who_stops_a_canary_takes_its_traffic_and_gives_it_to_the_others(
    world: World, clocks: Clocks
) -> None:
    use(world, "{kind: canary, weights: [50%], hold: 10m}", targets=THREE)
    deployment = world.request("1.0.0", "production")
    play(world, deployment)
    cancel(world, deployment)
    assert play(world, deployment) == ["web-b: 100", "web-c: 100", "web-a: 0"]
    assert world.status(deployment) == "cancelled"


def test_a_failed_canary_is_rolled_back_where_it_was_and_gets_its_traffic_again(
    world: World, clocks: Clocks
) -> None:
    use(world, "{kind: canary, weights: [5%], batch: 100%}", targets=THREE, on_failure="rollback")
    good = world.request("1.0.0", "production")
    play(world, good)
    assert world.status(good) == "succeeded"
    bad = world.request("1.1.0", "production")
    done = play(world, bad, fail=("web-a", "verify http"))
    assert done == ["web-a: 0", "web-a: ./install", "web-a: verify http"]
    assert world.status(bad) == "failed"
    rollback = world.scalar("SELECT id FROM deployments WHERE rolls_back_id = :id", id=bad)
    assert isinstance(rollback, int)
    assert play(world, rollback) == ["web-a: 0", "web-a: ./install", "web-a: verify http", "web-a: 100"]
    assert world.status(rollback) == "succeeded"


def test_rolling_takes_each_batch_out_of_the_traffic_and_a_target_that_fails_stays_out(
    world: World, clocks: Clocks
) -> None:
    use(world, "{kind: rolling, batch: 1}", targets=THREE)
    deployment = world.request("1.0.0", "production")
    done = play(world, deployment, fail=("web-b", "./install"))
    assert done == [
        "web-a: 0",
        "web-a: ./install",
        "web-a: verify http",
        "web-a: 100",
        "web-b: 0",
        "web-b: ./install",
    ]
    assert world.status(deployment) == "failed"


def test_where_it_slides_each_target_is_taken_out_and_given_back_by_itself(
    world: World, clocks: Clocks
) -> None:
    use(world, "{kind: rolling, batch: 2, mode: sliding}", targets=THREE)
    deployment = world.request("1.0.0", "production")
    through = ["0", "./install", "verify http", "100"]
    assert play(world, deployment) == [
        f"{name}: {what}" for name in ("web-a", "web-c", "web-b") for what in through
    ]
    assert world.status(deployment) == "succeeded"
    bad = world.request("1.1.0", "production")
    done = play(world, bad, fail=("web-c", "no new requests"))
    assert done == [f"web-a: {what}" for what in through] + ["web-c: 0", "web-c: 100"]
    assert world.status(bad) == "failed"


def test_a_target_that_was_only_taken_out_is_given_back(world: World, clocks: Clocks) -> None:
    use(world, "{kind: rolling, batch: 2}", targets=THREE)
    deployment = world.request("1.0.0", "production")
    done = play(world, deployment, fail=("web-b", "no new requests"))
    assert done == ["web-a: 0", "web-b: 0", "web-a: 100", "web-b: 100"]
    assert world.status(deployment) == "failed"


def test_putting_back_that_fails_is_loud(world: World, clocks: Clocks) -> None:
    use(world, "{kind: canary, weights: [50%], hold: 10m}", targets=THREE, on_failure="rollback")
    deployment = world.request("1.0.0", "production")
    play(world, deployment)
    cancel(world, deployment)
    play(world, deployment, fail=("web-c", "put back: weight 100"))
    row = world.get(deployment)
    assert row.status == "cancelled"
    assert "PUTTING BACK FAILED in 1 step" in str(row.failure)


def test_scripts_are_undone_newest_first_before_a_rollback(world: World, clocks: Clocks) -> None:
    use(world, "{kind: rolling, batch: 1}", targets=THREE, on_failure="rollback")
    good = world.request("1.0.0", "production")
    play(world, good)
    use(
        world,
        "{kind: rolling, batch: 1}",
        targets=THREE,
        on_failure="rollback",
        run="    undo: ./uninstall\n  - run: ./migrate\n    undo: ./unmigrate\n",
    )
    bad = world.request("1.1.0", "production")
    done = play(world, bad, fail=("web-b", "verify http"))
    assert done[-4:] == [
        "web-b: undo ./migrate",
        "web-a: undo ./migrate",
        "web-b: undo ./install",
        "web-a: undo ./install",
    ]
    row = world.get(bad)
    assert row.status == "failed"
    assert "what it changed was put back; shop 1.0.0 is put back by deployment" in str(row.failure)


def test_a_rollback_of_what_has_ended_runs_no_undo_and_says_which(world: World, clocks: Clocks) -> None:
    use(world, "{kind: rolling, batch: 1}", targets=THREE)
    play(world, world.request("1.0.0", "production"))
    use(world, "{kind: rolling, batch: 1}", targets=THREE, run="    undo: ./uninstall\n")
    ended = world.request("1.1.0", "production")
    play(world, ended)
    with world.database.transaction() as session:
        back = rollbacks.request(session, ended, actor=world.actor, reason="")
    assert not any("undo" in each for each in play(world, back))
    assert world.status(back) == "succeeded"
    told = (
        "SELECT data -> 'not_undone' FROM events WHERE deployment_id = :id AND kind = 'deployment.requested'"
    )
    assert world.scalar(told, id=back) == ["undo ./install"]


@pytest.mark.parametrize("fails", [("", ""), ("blue", "no new requests")])
def test_a_side_whose_traffic_alone_is_moved_has_what_it_had(
    world: World, clocks: Clocks, fails: tuple[str, str]
) -> None:
    use(world, "{kind: blue-green}", targets=SIDES)
    play(world, world.request("1.0.0", "production"))
    play(world, world.request("1.0.0", "production"))
    play(world, world.request("1.1.0", "production"), fail=fails)
    assert installed(world) == ["blue 1.0.0", "green 1.1.0"]


def test_a_target_that_was_only_taken_out_of_the_traffic_has_what_it_had(
    world: World, clocks: Clocks
) -> None:
    use(world, "{kind: rolling, batch: 1}", targets=THREE)
    play(world, world.request("1.0.0", "production"))
    play(world, world.request("1.1.0", "production"), fail=("web-a", "./install"))
    assert installed(world) == ["web-a 1.0.0", "web-b 1.0.0", "web-c 1.0.0"]


def installed(world: World) -> list[object]:
    return world.column("""
        SELECT t.name || ' ' || r.version FROM installations i JOIN targets t ON t.id = i.target_id
        JOIN releases r ON r.id = i.release_id WHERE t.environment = 'production' ORDER BY t.name
    """)


def test_behind_what_is_irreversible_nobody_goes_back_without_being_told_to(
    world: World, clocks: Clocks
) -> None:
    use(world, "{kind: rolling, batch: 1}", targets=THREE, on_failure="rollback")
    play(world, world.request("1.0.0", "production"))
    use(
        world,
        "{kind: rolling, batch: 1}",
        targets=THREE,
        on_failure="rollback",
        run="    irreversible: true\n",
    )
    bad = world.request("1.1.0", "production")
    play(world, bad, fail=("web-b", "verify http"))
    assert world.status(bad) == "paused"
    with world.database.transaction() as session:
        deployments.answer(session, bad, answer="rollback", step_id=None, actor=world.actor)
    assert world.status(bad) == "failed"
    assert world.scalar("SELECT status FROM deployments WHERE rolls_back_id = :id", id=bad) == "pending"


def test_what_is_put_back_cannot_be_cancelled(world: World, clocks: Clocks) -> None:
    use(world, "{kind: blue-green}", targets=SIDES)
    deployment = world.request("1.0.0", "production")
    one = worker()
    claim = world.advance(deployment, one)
    while claim is not None and said(claim) != "blue: 0":
        claim = world.finish(claim, Outcome.SUCCEEDED, one)
    assert claim is not None
    putting_back = world.finish(claim, Outcome.FAILED, one)
    assert putting_back is not None
    assert said(putting_back) == "blue: 100"
    with pytest.raises(ConflictError, match="is putting back what it changed"):
        cancel(world, deployment)


def test_blue_green_without_two_sides_is_refused(world: World, clocks: Clocks) -> None:
    use(world, "{kind: blue-green}", targets=THREE)
    with pytest.raises(RuleViolationError, match="needs targets on two sides"):
        world.request("1.0.0", "production")
