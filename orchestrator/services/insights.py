"""How deploying goes: the measures of DORA, durations, waits and busy slots of a period, and the deployments behind each number."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Row
from sqlalchemy.orm import Session

from orchestrator import clock
from orchestrator.domain import insights
from orchestrator.domain.insights import NOTHING, By, Group, Period, Spread, Stretch
from orchestrator.repositories import applications
from orchestrator.repositories import insights as rows
from orchestrator.repositories.insights import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """What is counted over a stretch of time. None is said instead of a number where there is not enough data."""

    finished: int = 0
    changes: int = 0
    deployed: int = 0
    failed: int = 0
    rework: int = 0
    arrivals: int = 0
    succeeded: int = 0
    lead: Spread = NOTHING
    recovery: Spread = NOTHING
    duration: Spread = NOTHING
    days: float = 0.0
    """How much of it has passed since there was something to deploy."""

    @property
    def per_day(self) -> float | None:
        """Deployment frequency."""
        return insights.per_day(self.deployed, self.days)

    @property
    def fail_rate(self) -> float | None:
        """Change fail rate."""
        return insights.ratio(self.failed, self.changes)

    @property
    def rework_rate(self) -> float | None:
        """Deployment rework rate."""
        return insights.ratio(self.rework, self.finished)

    @property
    def unrecovered(self) -> int:
        """Failed changes from which nothing has recovered yet."""
        return self.failed - self.recovery.count

    @property
    def lead_unknown(self) -> int:
        """Releases that came for the first time and do not say when they were committed."""
        return self.arrivals - self.lead.count


@dataclass(frozen=True, slots=True)
class Part:
    """A day, week or month of the period; `is_over`: nothing can be added to it any more."""

    stretch: Stretch
    measures: Measures
    is_over: bool


@dataclass(frozen=True, slots=True)
class Wait:
    """How long deployments were held by one kind of gate (`slot`: by others in their slot) before they started."""

    reason: str
    spread: Spread
    total_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Insights:
    """What there is to say of a period."""

    application: str | None
    environment: str
    period: Period
    measures: Measures
    parts: Sequence[Part]
    waits: Sequence[Wait]
    slots: Sequence[Row[Any]]


def period_of(first: date | None, until: date | None, *, zone: str, by: By | None) -> Period:
    """What is asked for; the last thirty days with today, where nothing is. Raises InvalidInputError."""
    today = insights.today(clock.now(), zone)
    if until is None:
        days = timedelta(days=insights.DEFAULT_DAYS)
        until = today + timedelta(days=1) if first is None or first + days > today else first + days
    return insights.period(first or until - timedelta(days=insights.DEFAULT_DAYS), until, zone=zone, by=by)


def measure(session: Session, *, application: str | None, environment: str, period: Period) -> Insights:
    """Count everything. Raises NotFoundError for an application or an environment that there is not."""
    now, scope = clock.now(), _scope(session, application, environment, period)
    seen = rows.seen_from(session, scope)
    rows.prepare(session)
    found = rows.sums(session, scope, [each.start for each in period.buckets])
    by_bucket = {row.bucket: row for row in found}
    parts = [
        Part(each, _measures(by_bucket.get(number), _days(period, each, seen, now)), each.end <= now)
        for number, each in enumerate(period.buckets, 1)
    ]
    return Insights(
        application=application,
        environment=environment,
        period=period,
        measures=_measures(by_bucket.get(None), _days(period, period.whole, seen, now)),
        parts=parts,
        waits=[
            Wait(row.kind, insights.spread(row.n, row.spread), row.total_seconds)
            for row in rows.waits(session, scope)
        ],
        slots=rows.slots(session, scope),
    )


def behind(
    session: Session,
    *,
    application: str | None,
    environment: str,
    period: Period,
    group: Group,
    reason: str | None,
    before_id: int | None,
    skip: int,
    limit: int,
) -> list[Row[Any]]:
    """The deployments behind a number, the newest first. Raises NotFoundError."""
    scope = _scope(session, application, environment, period)
    rows.prepare(session)
    return rows.page(session, scope, group, reason=reason, before_id=before_id, skip=skip, limit=limit)


def _scope(session: Session, application: str | None, environment: str, period: Period) -> Scope:
    applications.get_environment(session, environment)
    application_id = None if application is None else applications.get(session, application).id
    return Scope(application_id, environment, period.whole.start, period.whole.end)


def _days(period: Period, stretch: Stretch, seen: datetime | None, now: datetime) -> float:
    if seen is None:
        return 0.0
    start, end = max(stretch.start, seen), min(stretch.end, now)
    return period.days(start, end) if start < end else 0.0


def _measures(row: Row[Any] | None, days: float) -> Measures:
    if row is None:
        return Measures(days=days)
    return Measures(
        finished=row.finished,
        changes=row.changes,
        deployed=row.deployed,
        failed=row.failed,
        rework=row.rework,
        arrivals=row.arrivals,
        succeeded=row.succeeded,
        lead=insights.spread(row.leads, row.lead),
        recovery=insights.spread(row.recovered, row.recovery),
        duration=insights.spread(row.succeeded, row.duration),
        days=days,
    )
