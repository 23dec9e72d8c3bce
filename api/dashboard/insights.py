"""How deploying goes: the measures of a period with their definitions, and the deployments behind each number."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from flask import Response, request

from api.dashboard import frame, renewal
from api.dashboard.frame import blueprint
from api.extensions import session
from api.pagination import window
from api.schemas.insights import BehindQuery, InsightsQuery, present_counted
from orchestrator.domain.access import Permission
from orchestrator.domain.durations import rough_duration
from orchestrator.domain.insights import DEFINITIONS, PRODUCTION, By, Group, Period, Spread
from orchestrator.domain.statuses import TERMINAL
from orchestrator.repositories import applications
from orchestrator.services import insights
from orchestrator.services.insights import Insights, Measures, Part

NOT_ENOUGH = "Not enough data"
COUNTED = ("pipeline.*", *(f"deployment.{status}" for status in sorted(TERMINAL)))
"""What changes numbers, and where there may be any."""
_WIDTH, _HEIGHT, _GAP = 12.0, 48.0, 2.0


@dataclass(frozen=True, slots=True)
class Bar:
    """A part of the period in a chart; `height` None: there is nothing to say of it."""

    x: float
    width: float
    height: float | None
    is_over: bool


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars from the left to the right, the highest as high as the chart."""

    bars: Sequence[Bar]
    width: float
    height: float
    greatest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A measure: what DORA says it is, what it is here, its number and what that is of, each with its deployments."""

    name: str
    dora: str
    here: str
    number: str
    beside: str = ""
    group: Group
    notes: Sequence[tuple[Group, str]]
    chart: Chart
    tone: str


@blueprint.route("/insights", methods=["GET"])
@frame.page_for(Permission.READ)
@renewal.told(*COUNTED)
def insights_page() -> Response:
    """The measures of an application, or of all of them."""
    query = frame.read_query(InsightsQuery)
    places = [row.name for row in applications.environments(session())]
    environment = query["environment"]
    if "environment" not in request.args and environment not in places:
        environment = places[-1] if places else PRODUCTION
    if not places:
        return frame.renewing("insights.html", found=None, filters={}, places=(), by=By)
    period = _period(query)
    found = insights.measure(
        session(), application=query["application"], environment=environment, period=period
    )
    filters = _filters(found.application, environment, period)
    return frame.renewing(
        "insights.html",
        about=found.application or "",
        found=found,
        filters=filters,
        places=places,
        by=By,
        cards=cards(found),
        lacking=NOT_ENOUGH,
        duration=_half(found.measures.duration),
        duration_beside=_nine_tenths(found.measures.duration),
        rough=rough_duration,
        behind=_behind(filters),
    )


@blueprint.route("/insights/deployments", methods=["GET"])
@frame.page_for(Permission.READ)
@renewal.told(*COUNTED)
def insights_deployments() -> Response:
    """The deployments behind a number, each with what it adds to it."""
    query = frame.read_query(BehindQuery)
    period, part = _period(query), window("insights", query)
    found = insights.behind(
        session(),
        application=query["application"],
        environment=query["environment"],
        period=period,
        group=query["group"],
        reason=query["reason"],
        before_id=part.after,
        skip=part.skip,
        limit=part.one_more,
    )
    shown = part.answer(found, present_counted, key=lambda row: row.id)
    filters = _filters(query["application"], query["environment"], period)
    same = filters | {"group": str(query["group"])} | ({"reason": query["reason"]} if query["reason"] else {})
    return frame.renewing(
        "insights_deployments.html",
        about=query["application"] or "",
        items=shown["items"],
        definition=DEFINITIONS[query["group"]],
        older=f"/insights/deployments?{urlencode(same | {'cursor': shown['next_cursor']})}"
        if shown["next_cursor"]
        else None,
        back=f"/insights?{urlencode(filters)}",
        query=query,
        period=period,
        rough=rough_duration,
    )


def _period(query: Mapping[str, Any]) -> Period:
    return insights.period_of(query["first"], query["until"], zone=query["zone"], by=query["by"])


def _filters(application: str | None, environment: str, period: Period) -> dict[str, str]:
    """What leads to the same numbers again, also tomorrow."""
    whole = period.whole
    filters = {
        "environment": environment,
        "from": f"{whole.first}",
        "to": f"{whole.until}",
        "zone": period.zone,
        "by": str(period.by),
    }
    return ({"application": application} if application else {}) | filters


def _behind(filters: Mapping[str, str]) -> Callable[..., str]:
    def behind(group: Group | str, part: Part | None = None, **more: str) -> str:
        """Where the deployments of a group are, of the whole period or of a part of it."""
        days = {"from": f"{part.stretch.first}", "to": f"{part.stretch.until}"} if part is not None else {}
        return f"/insights/deployments?{urlencode({**filters, **days, 'group': str(group), **more})}"

    return behind


def cards(found: Insights) -> list[Card]:
    """DORA's five measures, in its order."""
    each, parts = found.measures, found.parts
    return [
        Card(
            name="Change lead time",
            dora="The time it takes for a change to go from committed to version control to deployed in production.",
            here="From the time at which a release says that it was committed to the end of the deployment that brings it "
            "to this environment for the first time. Half of them took at most this long.",
            number=_half(each.lead),
            beside=_nine_tenths(each.lead),
            group=Group.LEAD_KNOWN,
            notes=[
                (Group.LEAD_KNOWN, f"{each.lead.count} with a commit"),
                (Group.LEAD_UNKNOWN, f"{each.lead_unknown} without"),
            ],
            chart=_chart(parts, lambda part: part.lead.p50_seconds, rough_duration),
            tone="go",
        ),
        Card(
            name="Deployment frequency",
            dora="The number of deployments over a given period.",
            here="Changes that succeeded, for each day of the period that has passed. Rollbacks are not counted.",
            number=NOT_ENOUGH if each.per_day is None else f"{each.per_day:.2f} a day",
            group=Group.DEPLOYED,
            notes=[(Group.DEPLOYED, f"{each.deployed} in {_days(each.days)}")],
            chart=_chart(parts, lambda part: part.deployed, str),
            tone="go",
        ),
        Card(
            name="Failed deployment recovery time",
            dora="The time it takes to recover from a deployment that fails and requires immediate intervention.",
            here="From the end of a change that failed, or was rolled back later, to the end of the first deployment after it "
            "that succeeded and held. Half of them took at most this long.",
            number=_half(each.recovery),
            beside=_nine_tenths(each.recovery),
            group=Group.RECOVERED,
            notes=[
                (Group.RECOVERED, f"{each.recovery.count} recovered"),
                (Group.UNRECOVERED, f"{each.unrecovered} not yet"),
            ],
            chart=_chart(parts, lambda part: part.recovery.p50_seconds, rough_duration),
            tone="warn",
        ),
        Card(
            name="Change fail rate",
            dora="The ratio of deployments that require immediate intervention following a deployment.",
            here="Changes that failed or were rolled back later, of all changes. Rollbacks are no changes.",
            number=_percent(each.fail_rate),
            group=Group.FAILED,
            notes=[(Group.FAILED, f"{each.failed} failed"), (Group.CHANGES, f"of {each.changes} changes")],
            chart=_chart(parts, lambda part: part.failed, str),
            tone="bad",
        ),
        Card(
            name="Deployment rework rate",
            dora="The ratio of deployments that are unplanned but happen as a result of an incident in production.",
            here="Rollbacks, retries of what failed, and what was requested while the last deployment there lay failed; "
            "of all deployments.",
            number=_percent(each.rework_rate),
            group=Group.REWORK,
            notes=[
                (Group.REWORK, f"{each.rework} rework"),
                (Group.FINISHED, f"of {each.finished} deployments"),
            ],
            chart=_chart(parts, lambda part: part.rework, str),
            tone="warn",
        ),
    ]


def _chart(parts: Sequence[Part], of: Callable[[Measures], float | None], say: Callable[[Any], str]) -> Chart:
    values = [of(part.measures) for part in parts]
    known = [value for value in values if value]
    greatest = max(known, default=0)
    bars = [
        Bar(
            x=number * _WIDTH + _GAP / 2,
            width=_WIDTH - _GAP,
            height=_HEIGHT * value / greatest if value else None,
            is_over=part.is_over,
        )
        for number, (part, value) in enumerate(zip(parts, values, strict=True))
    ]
    return Chart(bars, _WIDTH * len(parts), _HEIGHT, say(greatest) if greatest else "")


def _half(found: Spread) -> str:
    return NOT_ENOUGH if found.p50_seconds is None else rough_duration(found.p50_seconds)


def _nine_tenths(found: Spread) -> str:
    return "" if found.p90_seconds is None else f"90% within {rough_duration(found.p90_seconds)}"


def _days(passed: float) -> str:
    return f"{passed:.1f} days" if passed >= 1 else "less than a day"


def _percent(rate: float | None) -> str:
    return NOT_ENOUGH if rate is None else f"{rate:.1%}"
