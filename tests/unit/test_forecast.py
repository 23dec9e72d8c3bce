"""When a deployment will start: hand calculations, and every quarter of an hour of a fortnight tried one by one."""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise

import pytest

from orchestrator import recurrence
from orchestrator.domain.access import Role
from orchestrator.domain.approvals import ApprovalRule, Approver
from orchestrator.domain.explanation import verdicts
from orchestrator.domain.forecast import forecast
from orchestrator.domain.gates import KINDS, HeldLock, Surroundings, evaluate
from orchestrator.domain.windows import Dated, Rule, RuleKind, Weekly, openings
from orchestrator.domain.windows import evaluate as judge

QUARTER = timedelta(minutes=15)
FRIDAY_18 = datetime(2026, 11, 27, 18, tzinfo=UTC)
OFFICE = Weekly(days=(0, 1, 2, 3, 4), start=time(9), end=time(17))


def rule(kind: RuleKind, schedule: Weekly | Dated, number: int = 1) -> Rule:
    return Rule(id=number, name=f"rule {number}", kind=kind, zone="UTC", schedule=schedule)


def freeze(start: datetime, end: datetime, number: int = 9) -> Rule:
    return rule(RuleKind.FREEZE, Dated(start.replace(tzinfo=None), end.replace(tzinfo=None)), number)


def around(rules: Sequence[Rule] = (), **more: object) -> Callable[[datetime], Surroundings]:
    """How things stand at an instant, where nobody does anything."""
    given = {"active_id": None, "ahead": 0, "missing_environments": (), **more}
    since = given.pop("requested_at", None)
    base = Surroundings(application="shop", version="1.0", environment="production", **given)  # type: ignore[arg-type]

    def look(at: datetime) -> Surroundings:
        locks = [lock for lock in base.locks if lock.expires_at is None or lock.expires_at > at]
        opening = judge(rules, at, occurrences=recurrence.occurrences, since=since) if rules else None  # type: ignore[arg-type]
        return replace(base, locks=locks, opening=opening)

    return look


def monday(hour: int) -> datetime:
    return datetime(2026, 11, 30, hour, tzinfo=UTC)


WINDOW = rule(RuleKind.WINDOW, OFFICE)


@pytest.mark.parametrize(
    ("look", "expected"),
    [
        (around(), FRIDAY_18),
        (around(scheduled_for=monday(3)), monday(3)),
        (around([WINDOW]), monday(9)),
        (around([WINDOW], scheduled_for=datetime(2026, 11, 28, 3, tzinfo=UTC)), monday(9)),
        (around([WINDOW], scheduled_for=monday(16)), monday(16)),
        (around([WINDOW], scheduled_for=monday(17)), monday(9) + timedelta(days=1)),
        (around([WINDOW, freeze(FRIDAY_18, monday(12))]), monday(12)),
        (around([WINDOW, freeze(FRIDAY_18, monday(17))]), monday(9) + timedelta(days=1)),
        (around([WINDOW], locks=[HeldLock(1, "x", "ada", monday(18))]), monday(9) + timedelta(days=1)),
        (around([WINDOW], override_windows=True), FRIDAY_18),
        (around([WINDOW], locks=[HeldLock(1, "x", "ada", None)]), None),
        (around(approval_rules=[ApprovalRule()]), None),
        (
            around(approval_rules=[ApprovalRule()], approvers=[Approver("ada", Role.ADMIN, FRIDAY_18)]),
            FRIDAY_18,
        ),
        (around(active_id=7), None),
        (around(ahead=2), None),
        (around(missing_environments=["staging"]), None),
        (around(soak=QUARTER, succeeded_since=FRIDAY_18, promote_after=["staging"]), FRIDAY_18 + QUARTER),
        (around(soak=QUARTER, succeeded_since=FRIDAY_18 - QUARTER, promote_after=["staging"]), FRIDAY_18),
        (
            around(
                [WINDOW], soak=QUARTER, succeeded_since=monday(16) + 3 * QUARTER, promote_after=["staging"]
            ),
            monday(9) + timedelta(days=1),
        ),
        (
            around([WINDOW], soak=QUARTER, succeeded_since=monday(16), promote_after=["staging"]),
            monday(16) + QUARTER,
        ),
        (around(soak=QUARTER, promote_after=["staging"], missing_environments=["staging"]), None),
    ],
)
def test_a_forecast_is_what_a_calendar_says(
    look: Callable[[datetime], Surroundings], expected: datetime | None
) -> None:
    assert forecast(look, FRIDAY_18, expires_at=None).starts_at == expected


def test_starts_after_an_opening_are_spread_for_those_that_waited_for_it() -> None:
    look = around([WINDOW], jitter=timedelta(minutes=10), requested_at=FRIDAY_18)
    found = forecast(look, FRIDAY_18, expires_at=None)
    # printf shop/production | sha256sum: 903fef0d5516b093..., modulo 600,000,000 us.
    assert found.starts_at == monday(9) + timedelta(microseconds=0x903FEF0D5516B093 % 600_000_000)
    assert "starts are spread over 10m" in found.because
    assert found.starts_at is not None
    assert [each.kind for each in evaluate(look(monday(9)), monday(9))] == ["window"]
    assert evaluate(look(found.starts_at), found.starts_at) == ()


def test_what_was_requested_while_it_was_open_is_not_kept_waiting() -> None:
    look = around([WINDOW], jitter=timedelta(minutes=10), requested_at=monday(9) + timedelta(seconds=1))
    assert evaluate(look(monday(9) + timedelta(seconds=2)), monday(9) + timedelta(seconds=2)) == ()


def test_what_is_given_up_before_it_may_start_has_no_forecast() -> None:
    look = around([WINDOW])
    assert forecast(look, FRIDAY_18, expires_at=monday(9)).starts_at is None
    assert "given up at 2026-11-30 09:00:00" in forecast(look, FRIDAY_18, expires_at=monday(9)).because
    assert forecast(look, FRIDAY_18, expires_at=monday(10)).starts_at == monday(9)


def test_a_forecast_that_depends_on_somebody_says_on_what() -> None:
    look = around([WINDOW], locks=[HeldLock(4, "moving", "ada", None)])
    assert forecast(look, FRIDAY_18, expires_at=None).because == "ada locked it (lock 4): moving"


@pytest.mark.parametrize("seed", range(40))
def test_openings_are_the_quarters_of_an_hour_that_are_open(seed: int) -> None:
    rules, now = rules_of(random.Random(seed))
    end = now + timedelta(days=10)
    found = list(openings(rules, now, end, occurrences=recurrence.occurrences))
    tried = [now + QUARTER * n for n in range(96 * 10)]
    expected = [
        at for at in tried if not rules or judge(rules, at, occurrences=recurrence.occurrences).is_open
    ]
    assert [at for at in tried if any(each.covers(at) for each in found)] == expected
    assert all(one.end < following.start for one, following in pairwise(found))
    assert all(now <= each.start < each.end <= end for each in found)


def rules_of(draw: random.Random) -> tuple[list[Rule], datetime]:
    """Windows and freezes at quarters of an hour, and a moment among them."""
    now = FRIDAY_18 + QUARTER * draw.randrange(96)

    def clock_time() -> time:
        return time(draw.randrange(24), 15 * draw.randrange(4))

    rules = [
        rule(
            RuleKind.WINDOW,
            Weekly(tuple(sorted(draw.sample(range(7), draw.randrange(1, 4)))), clock_time(), clock_time()),
            number,
        )
        for number in range(draw.randrange(3))
    ]
    for number in range(10, 10 + draw.randrange(4)):
        begins = moment_after(now, draw) - timedelta(days=2)
        rules.append(freeze(begins, begins + QUARTER * draw.randrange(1, 96), number))
    return rules, now


def moment_after(now: datetime, draw: random.Random) -> datetime:
    return now + QUARTER * draw.randrange(1, 96 * 5)


def busy(seed: int) -> tuple[Callable[[datetime], Surroundings], datetime]:
    """A calendar with windows, freezes, locks and a schedule at quarters of an hour, and a moment in it."""
    draw = random.Random(seed)
    rules, now = rules_of(draw)
    more: dict[str, object] = {
        "locks": [HeldLock(1, "x", "ada", moment_after(now, draw)) for _ in range(draw.randrange(3))]
    }
    if draw.random() < 0.5:
        more["scheduled_for"] = moment_after(now, draw)
    return around(rules, **more), now


@pytest.mark.parametrize("seed", range(40))
def test_a_forecast_is_the_first_instant_at_which_every_gate_lets_it_pass(seed: int) -> None:
    look, now = busy(seed)
    tried = (now + QUARTER * n for n in range(96 * 21))
    expected = next(at for at in tried if not evaluate(look(at), at))
    found = forecast(look, now, expires_at=None).starts_at
    assert found == expected
    assert evaluate(look(expected - timedelta(microseconds=1)), expected - timedelta(microseconds=1)) or (
        expected == now
    )


@pytest.mark.parametrize("seed", range(20))
def test_a_verdict_is_what_decides(seed: int) -> None:
    look, now = busy(seed)
    shown = verdicts(look(now), now)
    assert [(v.kind, v.evidence) for v in shown if not v.passes] == [
        (each.kind, each.message) for each in evaluate(look(now), now)
    ]
    assert {each.kind for each in shown} == set(KINDS)
