"""How deploying goes: measures of a period, and the deployments behind each number."""

from typing import Any

from flask import Response

from api.auth import requires
from api.extensions import session
from api.pagination import window
from api.parsing import Blueprint
from api.responses import json_response
from api.schemas import insights as schemas
from orchestrator.domain.access import Permission
from orchestrator.services import insights

blueprint = Blueprint(
    "insights",
    __name__,
    url_prefix="/api/v1/insights",
    description="How deploying goes: the measures of DORA",
)


@blueprint.route("", methods=["GET"])
@requires(Permission.READ)
@blueprint.arguments(schemas.InsightsQuery, location="query")
@blueprint.response(200, schemas.InsightsOut)
def read_insights(query: dict[str, Any]) -> Response:
    """Measure a period: the five measures of DORA, durations, what was waited for, and the busiest slots."""
    asked = _asked(query)
    return json_response(schemas.present(insights.measure(session(), **asked)))


@blueprint.route("/deployments", methods=["GET"])
@requires(Permission.READ)
@blueprint.arguments(schemas.BehindQuery, location="query")
@blueprint.response(200, schemas.CountedPage)
def list_counted(query: dict[str, Any]) -> Response:
    """List the deployments behind a number, the newest first, each with what it adds to the number."""
    part = window("insights", query)
    found = insights.behind(
        session(),
        **_asked(query),
        group=query["group"],
        reason=query["reason"],
        before_id=part.after,
        skip=part.skip,
        limit=part.one_more,
    )
    return json_response(part.answer(found, schemas.present_counted, key=lambda row: row.id))


def _asked(query: dict[str, Any]) -> dict[str, Any]:
    period = insights.period_of(query["first"], query["until"], zone=query["zone"], by=query["by"])
    return {"application": query["application"], "environment": query["environment"], "period": period}
