"""Deployments: requesting, following, and what people do with them."""

from collections.abc import Callable
from typing import Any

from flask import Response
from sqlalchemy import Row

from api.auth import current_actor, requires
from api.extensions import session
from api.idempotency import create_once
from api.pagination import PageArgs, window, write_cursor
from api.parsing import Blueprint
from api.responses import dumps, json_response, tagged_response
from api.schemas import deployments as schemas
from api.schemas import logs as log_schemas
from api.schemas.auth import Nothing
from api.schemas.common import Reason
from orchestrator.db import transaction
from orchestrator.domain.access import Permission
from orchestrator.domain.statuses import TERMINAL, DeploymentStatus
from orchestrator.repositories import deployments as rows
from orchestrator.repositories import events, logs, steps
from orchestrator.services import deployments, execution, rollbacks

FILTERS = ("application", "environment", "status", "version")

blueprint = Blueprint(
    "deployments", __name__, url_prefix="/api/v1/deployments", description="Releases going to environments"
)


@blueprint.route("/", methods=["POST"])
@requires(Permission.DEPLOY)
@blueprint.arguments(schemas.DeploymentIn)
@blueprint.response(202, schemas.Deployment)
def request_deployment(body: dict[str, Any]) -> Response:
    """Request that a release goes to an environment. It is accepted here and carried out by the workers."""
    return _create(lambda: deployments.request(session(), **body, actor=current_actor()), body)


@blueprint.route("/", methods=["GET"])
@requires(Permission.READ)
@blueprint.arguments(schemas.DeploymentQuery, location="query")
@blueprint.response(200, schemas.DeploymentPage)
def list_deployments(query: dict[str, Any]) -> Response:
    """List deployments, the newest first."""
    part = window("deployments", query)
    filters = {name: query[name] for name in FILTERS if name in query}
    found = rows.page(session(), filters, before_id=part.after, skip=part.skip, limit=part.one_more)
    return json_response(part.answer(found, schemas.present, key=lambda row: row.id))


@blueprint.route("/<id:deployment_id>", methods=["GET"])
@requires(Permission.READ)
@blueprint.response(200, schemas.Deployment)
def get_deployment(deployment_id: int) -> Response:
    """Read one deployment, with every reason for which it waits."""
    return tagged_response(dumps(_shown(rows.get(session(), deployment_id))))


@blueprint.route("/<id:deployment_id>/steps", methods=["GET"])
@requires(Permission.READ)
@blueprint.arguments(schemas.StepQuery, location="query")
@blueprint.response(200, schemas.StepPage)
def list_steps(query: dict[str, Any], deployment_id: int) -> Response:
    """List the steps of a deployment in the order of its plan."""
    rows.get(session(), deployment_id)
    part = window(f"steps:{deployment_id}", query)
    wave, position = part.after or (-1, -1)
    found = steps.page(
        session(),
        deployment_id,
        wave=query["wave"],
        status=query["status"],
        after=(wave, position),
        skip=part.skip,
        limit=part.one_more,
    )
    return json_response(
        part.answer(found, schemas.present_step, key=lambda row: [row.wave_index, row.position])
    )


@blueprint.route("/<id:deployment_id>/logs", methods=["GET"])
@requires(Permission.READ)
@blueprint.arguments(log_schemas.LogQuery, location="query")
@blueprint.response(200, log_schemas.LogPage)
def read_logs(query: dict[str, Any], deployment_id: int) -> Response:
    """Read on in the log from a cursor. Ask again with `next_cursor` until `complete`."""
    step_id = query["step"]
    # The status first: what a deployment wrote is there before its end is.
    has_ended = DeploymentStatus(rows.get(session(), deployment_id).status) in TERMINAL
    if step_id is not None:
        steps.get(session(), deployment_id, step_id)
    part = window(f"logs:{deployment_id}:{step_id}", query)
    place = log_schemas.Place.read(part.after)
    found = logs.read(
        session(),
        deployment_id=deployment_id,
        step_id=step_id,
        after=place.after,
        limit=part.limit,
        ended=has_ended,
    )
    items, place = log_schemas.present(place, log_schemas.within_bounds(found))
    complete = has_ended and not logs.any_after(
        session(), deployment_id=deployment_id, step_id=step_id, after=place.after
    )
    if complete:
        rest, place = log_schemas.present_tails(place)
        items += rest
    cursor = write_cursor(part.scope, place.value())
    return json_response({"items": items, "next_cursor": cursor, "complete": complete})


@blueprint.route("/<id:deployment_id>/events", methods=["GET"])
@requires(Permission.READ)
@blueprint.arguments(PageArgs, location="query")
@blueprint.response(200, schemas.EventPage)
def list_events(query: dict[str, Any], deployment_id: int) -> Response:
    """List what happened to a deployment, in order."""
    rows.get(session(), deployment_id)
    part = window(f"events:{deployment_id}", query)
    after = (part.after or 0) + part.skip  # events of a deployment are numbered without gaps
    found = events.of_deployment(session(), deployment_id, after=after, limit=part.one_more)
    return json_response(part.answer(found, schemas.present_event, key=lambda row: row.seq))


@blueprint.route("/<id:deployment_id>/cancel", methods=["POST"])
@requires(Permission.DEPLOY)
@blueprint.arguments(Reason)
@blueprint.response(202, schemas.Deployment)
def cancel_deployment(body: dict[str, Any], deployment_id: int) -> Response:
    """Wish for the end of a deployment; wishing twice is wishing once."""
    with transaction(session()):
        deployments.cancel(session(), deployment_id, actor=current_actor(), reason=body["reason"])
    return _accepted(deployment_id)


@blueprint.route("/<id:deployment_id>/retry", methods=["POST"])
@requires(Permission.DEPLOY)
@blueprint.arguments(Nothing)
@blueprint.response(202, schemas.Deployment)
def retry_deployment(body: dict[str, Any], deployment_id: int) -> Response:
    """Request the same once more: a new deployment of the same release to the same environment."""
    return _create(lambda: deployments.retry(session(), deployment_id, actor=current_actor()), body)


@blueprint.route("/<id:deployment_id>/rollback", methods=["POST"])
@requires(Permission.DEPLOY)
@blueprint.arguments(Reason)
@blueprint.response(202, schemas.Deployment)
def roll_back_deployment(body: dict[str, Any], deployment_id: int) -> Response:
    """Request a deployment of the release that was there before."""
    reason = body["reason"]
    return _create(
        lambda: rollbacks.request(session(), deployment_id, actor=current_actor(), reason=reason), body
    )


@blueprint.route("/<id:deployment_id>/resume", methods=["POST"])
@requires(Permission.DEPLOY)
@blueprint.arguments(schemas.Answer)
@blueprint.response(202, schemas.Deployment)
def resume_deployment(body: dict[str, Any], deployment_id: int) -> Response:
    """Say what became of steps whose targets cannot: try again, count as done, or count as failed."""
    with transaction(session()):
        deployments.answer(session(), deployment_id, **body, actor=current_actor())
    return _accepted(deployment_id)


def _create(create: Callable[[], int], body: dict[str, Any]) -> Response:
    made = create_once(session(), create, user_id=current_actor().id, body=body)
    return _accepted(made.id, made.headers)


def _accepted(deployment_id: int, headers: dict[str, str] | None = None) -> Response:
    shown = _shown(rows.get(session(), deployment_id))
    location = {"Location": f"/api/v1/deployments/{deployment_id}"}
    return json_response(shown, 202, headers=location | (headers or {}))


def _shown(row: Row[Any]) -> dict[str, Any]:
    pending = row.status == DeploymentStatus.PENDING
    return schemas.present(row, execution.blockers(session(), row) if pending else ())
