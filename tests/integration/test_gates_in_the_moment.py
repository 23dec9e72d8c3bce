"""A gate that opens or closes in the very moment in which somebody decides by it."""

from collections.abc import Callable

from sqlalchemy.orm import Session

from orchestrator.domain.statuses import Outcome
from orchestrator.domain.windows import RuleKind
from orchestrator.services import attempts, pipelines, windows
from orchestrator.services.attempts import Claim, Ended
from tests.integration.engine_world import PIPELINE, World, worker
from tests.integration.gates_world import (
    during,
    freeze_for_days,
    is_due,
    looks_again_soon,
    remove,
    request,
    world,
)

__all__ = ["world"]


def in_waves(world: World) -> tuple[int, Claim]:
    """A deployment to `staging` that begins no wave while it is closed, with its first wave under way."""
    source = PIPELINE.replace("  staging:\n", "  staging:\n    when_closed: pause_between_waves\n")
    with world.database.transaction() as session:
        pipelines.apply(session, name="shop", source=source, actor=world.actor)
    deployment = request(world, "staging")
    claim = world.advance(deployment, worker())
    assert claim is not None
    return deployment, claim


def end(claim: Claim) -> Callable[[Session], Claim | None]:
    return lambda session: attempts.finish(session, claim, Ended(Outcome.SUCCEEDED, 0), worker())


def test_who_freezes_is_answered_only_when_no_wave_can_begin_that_did_not_see_it(world: World) -> None:
    _, claim = in_waves(world)
    following, waited = during(world, end(claim), lambda: freeze_for_days(world))
    assert (following is not None, waited) == (True, True)


def test_a_freeze_that_is_removed_while_the_next_wave_is_put_off_is_not_overlooked(world: World) -> None:
    deployment, claim = in_waves(world)
    freeze = freeze_for_days(world)
    following, _ = during(world, end(claim), lambda: remove(world, freeze))
    assert following is None
    assert (world.status(deployment), is_due(world, deployment)) == ("paused", True)
    assert world.run_to_end(deployment) == "succeeded"


def test_who_comes_while_a_freeze_is_being_removed_looks_again_soon(world: World) -> None:
    """Neither transaction sees the other: the removal finds nobody whom the freeze holds, the look finds the freeze."""
    freeze = freeze_for_days(world)
    with world.database.transaction() as session:
        windows.remove(session, RuleKind.FREEZE, freeze, actor=world.actor)
        deployment = request(world, "staging")
        assert world.advance(deployment, worker()) is None
    looks_again_soon(world, deployment, "freeze")


def test_who_comes_while_its_release_is_succeeding_looks_again_soon(world: World) -> None:
    claim = world.advance(request(world, "staging"), worker())
    assert claim is not None
    last = world.finish(claim, by=worker())
    assert last is not None
    with world.database.transaction() as session:
        attempts.finish(session, last, Ended(Outcome.SUCCEEDED, 0), worker())
        deployment = request(world, "production")
        assert world.advance(deployment, worker()) is None
    looks_again_soon(world, deployment, "promotion")
