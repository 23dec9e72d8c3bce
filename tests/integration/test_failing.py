"""What becomes of a deployment in which too many targets failed, where a person is asked."""

from datetime import timedelta
from typing import Any

import pytest

from orchestrator.domain.access import Role
from orchestrator.domain.errors import ConflictError, RuleViolationError
from orchestrator.domain.statuses import Outcome
from orchestrator.presenting.deployments import present_whole
from orchestrator.presenting.explanations import present_explanation
from orchestrator.presenting.pages import deployment as pages
from orchestrator.repositories import users
from orchestrator.services import deployments, diagnosis, explaining
from orchestrator.services.actors import Actor
from tests.integration.engine_world import World, worker
from tests.integration.time_travel import BEGINNING, Clocks, clocks, use_pipeline, world

__all__ = ["clocks", "world"]

BY = BEGINNING + timedelta(hours=1)
ALL = ["web-a", "web-b", "web-c"]


def fails(world: World, targets: list[str], then: str = "rollback", batch: int = 2, limits: str = "") -> int:
    """A deployment of 1.1.0 to production, after 1.0.0 succeeded there, that fails on these targets and asks."""
    before = "    after: staging\n    targets: [{name: web-a, kind: noop}, {name: web-b, kind: noop}, {name: web-c, kind: noop}]\n"
    use_pipeline(
        world,
        before + "    strategy: {kind: rolling, batch: 1}\n    on_failure: rollback",
        before.replace("    after: staging\n", "")
        + f"    strategy: {{kind: rolling, batch: {batch}{limits}}}\n    on_failure: {{pause: 1h, then: {then}}}",
    )
    assert world.run_to_end(world.request("1.0.0", "production")) == "succeeded"
    deployment = world.request("1.1.0", "production")
    world.run_to_end(deployment, dict.fromkeys(targets, Outcome.FAILED))
    return deployment


def say(world: World, deployment: int, answer: str) -> None:
    with world.database.transaction() as session:
        deployments.answer(session, deployment, answer=answer, step_id=None, actor=world.actor)


def statuses(world: World, deployment: int) -> dict[str, list[str]]:
    found = world.rows(
        "SELECT target_name, array_agg(status ORDER BY wave_index) FROM steps WHERE deployment_id = :id"
        " GROUP BY target_name",
        id=deployment,
    )
    return dict(found)


def last_answer(world: World, deployment: int) -> Any:
    return world.scalar(
        "SELECT data FROM events WHERE deployment_id = :id AND kind = 'deployment.answered'", id=deployment
    )


def test_it_pauses_and_says_who_has_to_answer_until_when_and_what_then(world: World, clocks: Clocks) -> None:
    deployment = fails(world, ["web-a"])
    row = world.get(deployment)
    assert (row.status, row.wake_at) == ("paused", BY)
    message = (
        "1 target failed; a person has to say what to do (retry, skip, rollback or fail);"
        " if nobody has by 2026-11-23 13:00:00 UTC, it is rolled back"
    )
    with world.database.reading() as session:
        assert present_whole(session, row)["waiting_for"] == [
            {"kind": "answer", "message": message, "until": BY}
        ]
        explained = present_explanation(explaining.explain(session, deployment, actor=world.actor))
        (question,) = diagnosis._questions(session)
    assert explained["because"] == message
    assert f"resume {deployment} --answer" in question.do
    clocks.go(3599)
    assert world.advance(deployment, worker()) is None
    assert world.status(deployment) == "paused"


@pytest.mark.parametrize(("then", "back"), [("rollback", 1), ("fail", 0)])
def test_when_nobody_answers_the_default_is_done(world: World, clocks: Clocks, then: str, back: int) -> None:
    deployment = fails(world, ["web-a"], then)
    clocks.go(3600)
    world.advance(deployment)
    row = world.get(deployment)
    assert row.status == "failed"
    assert "nobody said by 2026-11-23 13:00:00 UTC what to do" in str(row.failure)
    rollbacks = world.scalar("SELECT count(*) FROM deployments WHERE rolls_back_id = :id", id=deployment)
    assert rollbacks == back


def test_retry_tries_those_that_failed_and_all_that_was_left_for_them(world: World, clocks: Clocks) -> None:
    deployment = fails(world, ["web-b"])
    assert statuses(world, deployment) == {
        "web-a": ["succeeded", "waiting"],
        "web-b": ["failed", "skipped"],
        "web-c": ["waiting", "waiting"],
    }
    say(world, deployment, "retry")
    assert world.run_to_end(deployment) == "succeeded"
    assert statuses(world, deployment) == {name: ["succeeded", "succeeded"] for name in ALL}
    assert world.get(deployment).failed_targets == 0
    assert last_answer(world, deployment) == {"answer": "retry", "targets": ["web-b"]}


def test_a_retry_starts_no_more_at_a_time_than_may_run_side_by_side(world: World, clocks: Clocks) -> None:
    """Found by the model, with its seed 616014: all that had failed began at once."""
    deployment = fails(world, ALL, batch=3, limits=", max_parallel: 1, max_failures: 1")
    assert [each[0] for each in statuses(world, deployment).values()].count("failed") == 2
    say(world, deployment, "retry")
    assert len(world.open_attempts(deployment)) == 1
    assert world.run_to_end(deployment) == "succeeded"


def test_a_retry_that_fails_again_asks_again(world: World, clocks: Clocks) -> None:
    deployment = fails(world, ["web-b"])
    clocks.go(600)
    say(world, deployment, "retry")
    assert world.run_to_end(deployment, {"web-b": Outcome.FAILED}) == "paused"
    assert world.get(deployment).answer_by == BY + timedelta(minutes=10)


def test_skip_goes_on_without_it_and_the_deployment_still_ends_as_failed(
    world: World, clocks: Clocks
) -> None:
    deployment = fails(world, ["web-b"])
    say(world, deployment, "skip")
    assert world.run_to_end(deployment) == "failed"
    assert world.get(deployment).failure == "1 target failed, within the budget of 1, so all others were done"
    assert statuses(world, deployment)["web-c"] == ["succeeded", "succeeded"]
    assert world.scalar("SELECT count(*) FROM deployments WHERE rolls_back_id = :id", id=deployment) == 0


def test_after_a_skip_the_next_failure_is_asked_about_again(world: World, clocks: Clocks) -> None:
    deployment = fails(world, ["web-b"])
    say(world, deployment, "skip")
    assert world.run_to_end(deployment, {"web-c": Outcome.FAILED}) == "paused"


@pytest.mark.parametrize(("answer", "back"), [("rollback", 1), ("fail", 0)])
def test_a_person_may_go_back_or_leave_it(world: World, clocks: Clocks, answer: str, back: int) -> None:
    deployment = fails(world, ["web-b"], "rollback" if answer == "fail" else "fail")
    say(world, deployment, answer)
    assert world.status(deployment) == "failed"
    targets = world.column(
        "SELECT DISTINCT s.target_name FROM steps s JOIN deployments d ON d.id = s.deployment_id"
        " WHERE d.rolls_back_id = :id ORDER BY 1",
        id=deployment,
    )
    assert targets == ["web-a", "web-b"] * back


def test_only_the_first_answer_counts(world: World, clocks: Clocks) -> None:
    deployment = fails(world, ["web-b"])
    say(world, deployment, "fail")
    with pytest.raises(RuleViolationError, match="asks nothing"):
        say(world, deployment, "retry")


def test_who_claims_it_is_the_one_who_answers_until_somebody_else_claims_it(
    world: World, clocks: Clocks
) -> None:
    deployment = fails(world, ["web-a"])
    with world.database.transaction() as session:
        ben_id = users.insert(
            session, email="ben@example.com", username="ben", password_hash="x", role="admin"
        )
        assert ben_id is not None
    ben = Actor(ben_id, "ben", Role.ADMIN, "sign-in")

    def claim(actor: Actor) -> str:
        with world.database.transaction() as session:
            deployments.claim(session, deployment, actor=actor)
        with world.database.reading() as session:
            (asked,) = present_whole(session, world.get(deployment))["waiting_for"]
        return str(asked["message"])

    assert claim(ben).endswith("it is rolled back; ben has claimed it")
    claim(ben)
    with pytest.raises(ConflictError, match=f"ben has claimed deployment {deployment} and answers it"):
        say(world, deployment, "skip")
    assert claim(world.actor).endswith("; ada has claimed it")
    say(world, deployment, "skip")
    assert world.get(deployment).claimed_by is None
    kinds = "SELECT kind FROM events WHERE deployment_id = :id AND kind LIKE '%ed' ORDER BY seq"
    assert world.column(kinds, id=deployment)[-4:] == [
        "deployment.paused",
        "deployment.claimed",
        "deployment.claimed",
        "deployment.answered",
    ]
    with pytest.raises(RuleViolationError, match="asks nothing"):
        claim(ben)


def test_a_rollback_that_fails_asks_too_but_is_never_rolled_back(world: World, clocks: Clocks) -> None:
    deployment = fails(world, ["web-b"])
    say(world, deployment, "rollback")
    rollback = world.scalar("SELECT id FROM deployments WHERE rolls_back_id = :id", id=deployment)
    assert isinstance(rollback, int)
    assert world.run_to_end(rollback, {"web-a": Outcome.FAILED}) == "paused"
    with pytest.raises(RuleViolationError, match="a rollback already"):
        say(world, rollback, "rollback")
    clocks.go(3600)
    world.advance(rollback)
    assert world.status(rollback) == "failed"
    assert world.scalar("SELECT count(*) FROM deployments WHERE rolls_back_id = :id", id=rollback) == 0


def test_one_that_asks_can_be_cancelled(world: World, clocks: Clocks) -> None:
    deployment = fails(world, ["web-b"])
    with world.database.transaction() as session:
        deployments.cancel(session, deployment, actor=world.actor, reason="")
    assert world.status(deployment) == "cancelled"


def test_its_page_lets_people_choose_what_to_do(world: World, clocks: Clocks) -> None:
    deployment = fails(world, ["web-a"])
    with world.database.reading() as session:
        _, view = pages.read(session, deployment, actor=world.actor)
    asked = [
        each for each in ("retry", "skip", "rollback", "fail") if f'value="{each}"' in view.pieces["why"]
    ]
    assert asked == ["retry", "skip", "rollback", "fail"]
    say(world, deployment, "skip")
    with world.database.reading() as session:
        _, view = pages.read(session, deployment, actor=world.actor)
    assert 'value="rollback"' not in view.pieces["why"]
