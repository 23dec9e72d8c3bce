"""When deploying to an environment is allowed, and what will start there when."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row
from sqlalchemy.orm import Session

from orchestrator import clock, recurrence
from orchestrator.domain import windows
from orchestrator.domain.errors import RuleViolationError
from orchestrator.domain.forecast import Forecast
from orchestrator.domain.intervals import Interval
from orchestrator.domain.windows import Opening, Rule
from orchestrator.icalendar import write_feed
from orchestrator.repositories import applications, deployments
from orchestrator.repositories import schedules as recurring
from orchestrator.repositories import windows as rules_of
from orchestrator.services import explaining, openings, pipelines, schedules, standing
from orchestrator.services.standing import Successes

LONGEST = timedelta(days=92)
MOST_DEPLOYMENTS = 100
MOST_RECURRING = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """What is known about [start, end) of an environment, as it was at `at`."""

    environment: str
    start: datetime
    end: datetime
    at: datetime
    openings: Sequence[Interval]
    occurrences: Sequence[tuple[Rule, Interval]]
    """Of windows and freezes, in the order of their starts, uncut."""
    deployments: Sequence[tuple[Row[Any], Forecast]]
    """Those that wait, with what is foretold; only those that are scheduled or foretold for this time."""
    recurring: Sequence[tuple[Row[Any], datetime]]
    """Schedules, with each time at which they will request a deployment, in the order of the times; the first of them."""
    warnings: Sequence[str]
    """What is probably not meant of all the rules together, in plain sentences."""


def calendar(
    session: Session, environment: str, *, application: str | None, start: datetime, end: datetime
) -> Calendar:
    """The calendar of an environment: for an application with its labels, else for one without any.

    Raises NotFoundError, and RuleViolationError for a time that is empty or longer than `LONGEST`.
    """
    rules = _rules(session, environment, application)
    _check_range(start, end)
    now = clock.now()
    found = [(rule, each) for rule in rules for each in recurrence.occurrences(rule, start, end)]
    pending = deployments.pending_in(session, environment, application=application, limit=MOST_DEPLOYMENTS)
    been = standing.successes(session, pending)
    return Calendar(
        environment=environment,
        start=start,
        end=end,
        at=now,
        openings=list(windows.openings(rules, start, end, occurrences=recurrence.occurrences)),
        occurrences=sorted(found, key=lambda pair: (pair[1].start, pair[0].id)),
        deployments=[
            (row, forecast)
            for row in pending
            if _within(row, forecast := _foretell(been, row, now), start, end)
        ],
        recurring=_recurring(session, environment, application, start=max(start, now), end=end),
        warnings=windows.lint_together(
            rules,
            now,
            occurrences=recurrence.occurrences,
            soak=_soak(session, environment, application=application),
        ),
    )


def feed(
    session: Session, environment: str, *, application: str | None, start: datetime, end: datetime
) -> bytes:
    """Windows and freezes as an iCalendar file. Raises as `calendar` does."""
    rules = _rules(session, environment, application)
    _check_range(start, end)
    return write_feed(rules, start=start, end=end, occurrences=recurrence.occurrences)


def opening(session: Session, environment: str, *, application: str | None, at: datetime) -> Opening:
    """What windows and freezes say of an instant. Raises NotFoundError."""
    rules = _rules(session, environment, application)
    return windows.evaluate(rules, at, occurrences=recurrence.occurrences)


def _rules(session: Session, environment: str, application: str | None) -> list[Rule]:
    name = applications.get_environment(session, environment).name
    if application is not None:
        applications.get(session, application)
    found = rules_of.of_environment(session, name, application=application)
    return openings.rules_for({"rules": found.rules or [], "labels": found.labels})


def _check_range(start: datetime, end: datetime) -> None:
    if not start < end <= start + LONGEST:
        raise RuleViolationError(f"`to` must lie after `from`, by at most {LONGEST.days} days")


def _foretell(been: Successes, row: Row[Any], now: datetime) -> Forecast:
    return explaining.foretell(row, standing.standing_with(been, row, row, now), now)


def _recurring(
    session: Session, environment: str, application: str | None, *, start: datetime, end: datetime
) -> list[tuple[Row[Any], datetime]]:
    rows = recurring.of_environment(session, environment, application=application, limit=MOST_DEPLOYMENTS)
    found = [(row, at) for row in rows for at in schedules.times(row.cron, row.zone, start, end)]
    return sorted(found, key=lambda pair: (pair[1], pair[0].id))[:MOST_RECURRING]


def _soak(session: Session, environment: str, *, application: str | None) -> timedelta:
    """How long releases of an application soak before this environment."""
    row = applications.get(session, application) if application is not None else None
    if row is None or row.document is None:
        return timedelta(0)
    found = pipelines.current(row).find_environment(environment)
    return timedelta(seconds=found.soak_seconds if found else 0)


def _within(row: Row[Any], forecast: Forecast, start: datetime, end: datetime) -> bool:
    times = (forecast.starts_at, row.scheduled_for)
    return any(at is not None and start <= at < end for at in times)
