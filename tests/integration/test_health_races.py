"""Those who ask, those who look and those who begin at the same moment: two real connections at once."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from orchestrator.checks.base import Probe
from orchestrator.repositories import health as watches
from orchestrator.services import health
from tests.integration.engine_world import worker
from tests.integration.health_world import WELL, Site, at, site, start_by_hand
from tests.integration.time_travel import clocks, world

__all__ = ["clocks", "site", "world"]

HALF_HOUR = timedelta(minutes=30)


def at_once(*calls: Callable[[], object]) -> None:
    together = threading.Barrier(len(calls))

    def run(call: Callable[[], object]) -> None:
        together.wait()
        call()

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_two_who_ask_never_ask_the_same_target(site: Site) -> None:
    staging = site.to_staging("1.0.0")
    taken: list[list[int]] = []

    def take() -> None:
        with site.world.database.transaction() as session:
            taken.append([each.target_id for each in health.take(session, staging, limit=1)])

    at_once(take, take)
    assert sorted(len(each) for each in taken) == [1, 1]
    assert taken[0] != taken[1]


def test_an_answer_that_comes_late_counts_only_if_it_is_a_no(site: Site) -> None:
    staging = site.to_staging("1.0.0")

    def take() -> dict[int, datetime]:
        with site.world.database.transaction() as session:
            return {each.target_id: each.asked_at for each in health.take(session, staging, limit=64)}

    def record(taken: dict[int, datetime], probe: Probe) -> None:
        with site.world.database.transaction() as session:
            health.record(session, staging, {each: (asked_at, probe) for each, asked_at in taken.items()})

    def counted() -> tuple[object, object]:
        [found] = site.world.rows("SELECT checked_at, counts_from FROM health_watches")
        return found  # type: ignore[no-any-return]

    first = take()
    site.clocks.go(health.LEASE_SECONDS)
    second = take()
    assert first.keys() == second.keys()
    record(first, WELL)
    assert counted() == (at(12, 0), at(12, 0))
    record(second, WELL)
    assert counted() == (at(12, 0, 20), at(12, 0))
    record(first, Probe(False, "no answer"))
    assert counted() == (at(12, 0, 20), at(12, 0, 20))


def test_the_last_check_and_a_look_at_the_same_moment_leave_nobody_asleep(site: Site) -> None:
    """Whichever of two connections comes first, the deployment starts now or is due now."""
    site.to_staging("1.0.0")
    production = site.world.request("1.0.0", "production")
    site.go_on(timedelta(minutes=29, seconds=59))
    site.clocks.go(1)
    started: list[bool] = []

    def look() -> None:
        started.append(start_by_hand(site.world, production))

    at_once(look, site.ask)
    row = site.world.get(production)
    assert started == [True] or (row.status, row.wake_at) == ("pending", at(12, 30))


def test_a_deployment_that_begins_and_a_check_at_the_same_moment(site: Site) -> None:
    """The check counts before the beginning or not at all; the soak that was not over never is."""
    staging = site.to_staging("1.0.0")
    production = site.world.request("1.0.0", "production")
    site.go_on(timedelta(minutes=29, seconds=59))
    site.clocks.go(1)
    other = site.world.request("1.1.0", "staging")
    with site.world.database.transaction() as session:
        questions = health.take(session, staging, limit=64)

    def begin() -> None:
        assert site.world.advance(other, worker()) is not None

    def record() -> None:
        with site.world.database.transaction() as session:
            health.record(session, staging, {each.target_id: (each.asked_at, WELL) for each in questions})

    at_once(begin, record)
    [(soaked, left_by, due_at)] = site.world.rows(
        "SELECT checked_at - counts_from, left_by, due_at FROM health_watches WHERE deployment_id = :id",
        id=staging,
    )
    assert (left_by, due_at) == (other, None)
    assert start_by_hand(site.world, production) == (soaked >= HALF_HOUR)


def test_what_is_due_is_given_to_one_of_several_ticks(site: Site) -> None:
    site.to_staging("1.0.0")
    with site.world.database.transaction() as one, site.world.database.transaction() as two:
        found = [watches.take_due(each, limit=10, push_seconds=3) for each in (one, two)]
    assert [len(each) for each in found] == [1, 0]
