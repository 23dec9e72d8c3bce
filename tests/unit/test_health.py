"""What health checks mean for a soak: calculated by hand, and against the words of the rule, second by second."""

import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from orchestrator.domain.gates import Surroundings, evaluate
from orchestrator.domain.health import Answer, Health, Known, longest_gap, next_check, settle

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
HALF_HOUR = timedelta(minutes=30)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


@pytest.mark.parametrize(("every", "gap"), [(1, 30), (10, 30), (11, 33), (30, 90), (3600, 10800)])
def test_a_gap_is_three_times_every_and_half_a_minute_at_least(every: int, gap: int) -> None:
    assert longest_gap(timedelta(seconds=every)) == timedelta(seconds=gap)


def answered(known: Known, *, ok: bool, asked: float, took: float = 0) -> tuple[Known, str]:
    answer = Answer(ok, "status 500, not 200", after(asked), after(asked + took))
    return settle(known, answer, what="web-a in staging", every=30 * SECOND)


def test_a_yes_counts_from_when_it_was_asked() -> None:
    known, why = answered(Known(NOON, NOON), ok=True, asked=30, took=4)
    assert (known, why) == (Known(NOON, after(30)), "")


def test_a_no_counts_from_when_it_was_known() -> None:
    known, why = answered(Known(NOON, NOON), ok=False, asked=30, took=5)
    assert known == Known(after(35), after(35))
    assert (
        why == "the health check of web-a in staging failed at 2026-11-23 12:00:35 UTC (status 500, not 200)"
    )


@pytest.mark.parametrize(("asked", "counts_from"), [(90, 0), (90.001, 90.001)])
def test_a_gap_counts_anew(asked: float, counts_from: float) -> None:
    known, why = answered(Known(NOON, NOON), ok=True, asked=asked)
    assert known == Known(after(counts_from), after(asked))
    assert bool(why) == (counts_from > 0)


def test_an_older_yes_takes_nothing_back() -> None:
    known, _ = answered(Known(NOON, after(60)), ok=True, asked=30)
    assert known == Known(NOON, after(60))


@pytest.mark.parametrize(
    ("asked", "due"),
    [(0, 30), (570, 600), (580, 600), (600, 630), (1790, 1800), (1800, 1830)],
)
def test_the_end_of_each_soak_is_asked_about(asked: float, due: float) -> None:
    assert next_check(after(asked), NOON, every=30 * SECOND, soaks=[600, 1800]) == after(due)


def test_nothing_has_soaked_that_failed_or_was_not_looked_at() -> None:
    """Whatever is asked when: every stretch that counts holds no failure and no gap."""
    draw = random.Random(7)
    for _ in range(300):
        known, history = Known(NOON, NOON), [(NOON, True)]
        at = NOON
        for _ in range(60):
            at += timedelta(seconds=draw.choice([1, 29, 30, 31, 89, 90, 91, 400]))
            ok = draw.random() < 0.8
            history.append((at, ok))
            known, _ = settle(known, Answer(ok, "", at, at), what="x", every=30 * SECOND)
            inside = [(when, well) for when, well in history if known.counts_from <= when <= known.checked_at]
            assert all(well for when, well in inside if when > known.counts_from)
            times = [when for when, _ in inside]
            assert all(b - a <= 90 * SECOND for a, b in pairwise(times))
            assert times[0] == known.counts_from
            assert times[-1] == known.checked_at == at


def around(*health: Health, since: datetime = NOON) -> Surroundings:
    return Surroundings(
        application="shop",
        version="1.0",
        environment="production",
        active_id=None,
        ahead=0,
        missing_environments=(),
        promote_after=["staging"],
        succeeded_since=since,
        soak=HALF_HOUR,
        health=health,
    )


def health(*, counts_from: float = 0, checked: float, **more: object) -> Health:
    given = {"environment": "staging", "every": 30 * SECOND, **more}
    return Health(counts_from=after(counts_from), checked_at=after(checked), **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("found", "now", "until"),
    [
        (health(checked=1770), 1775, 1800),
        (health(checked=600, counts_from=600, because="it failed"), 601, 2400),
        (health(checked=600, counts_from=600, because="it failed", failing=True), 601, None),
        (health(checked=600), 691, None),
        (health(checked=1790), 1801, None),
        (health(checked=1700, left_by=7), 1701, None),
    ],
)
def test_what_holds_a_soak(found: Health, now: float, until: float | None) -> None:
    (blocker,) = evaluate(around(found), after(now))
    assert (blocker.kind, blocker.until) == ("soak", None if until is None else after(until))


def test_a_check_from_the_end_on_ends_it_for_good() -> None:
    assert evaluate(around(health(checked=1800)), after(1800)) == ()
    assert evaluate(around(health(checked=1800, failing=True, left_by=7)), after(9999)) == ()


def test_the_time_since_the_success_counts_beside_it() -> None:
    """Another environment may have had its success later."""
    (blocker,) = evaluate(around(health(checked=1800), since=after(600)), after(1800))
    assert blocker.until == after(2400)


def test_several_environments_say_each_their_own() -> None:
    lab = health(checked=60, counts_from=60, because="lab failed", failing=True, environment="lab")
    found = evaluate(around(health(checked=60, left_by=7), lab), after(61))
    assert [each.message for each in found] == [
        "shop 1.0 had not been well in staging for 30m when deployment 7 began there: it has to succeed there again",
        "lab failed; its 30m count anew when it is well again",
    ]
