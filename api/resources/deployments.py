"""Deployments: requesting, following, and what people do with them."""

from collections.abc import Callable, Mapping
from typing import Any

from flask import Response, request
from sqlalchemy import Row

from api.auth import current_actor, requires
from api.extensions import services, session
from api.idempotency import create_once
from api.pagination import PageArgs, window, write_cursor
from api.parsing import Blueprint
from api.responses import json_response, tagged_response
from api.schemas import deployments as schemas
from api.schemas import logs as log_schemas
from api.schemas.auth import Nothing
from api.schemas.common import Reason, RequiredReason
from api.schemas.explanations import Explanation
from api.schemas.foreseen import Foreseen, RequestQuery
from api.schemas.touched import Touched
from api.schemas.touched import present as present_touched
from orchestrator import log
from orchestrator.db import rehearsal, transaction
from orchestrator.domain.access import Permission
from orchestrator.domain.errors import UnavailableError
from orchestrator.domain.statuses import TERMINAL, DeploymentStatus
from orchestrator.presenting import log_pages
from orchestrator.presenting import logs as log_texts
from orchestrator.presenting.deployments import (
    present,
    present_event,
    present_step,
    present_wave,
    present_whole,
)
from orchestrator.presenting.explanations import present_explanation
from orchestrator.presenting.foreseen import present_foreseen
from orchestrator.presenting.json import dumps
from orchestrator.repositories import deployments as rows
from orchestrator.repositories import events, steps
from orchestrator.services import approvals, deployments, explaining, foreseeing, rollbacks
from orchestrator.services.cursors import log_scope


class StreamUnavailableError(UnavailableError):
    """Nobody streams here; read the deployment and its log again and again instead."""

    code = "stream_unavailable"


FILTERS = ("application", "environment", "status", "version")

blueprint = Blueprint(
    "deployments", __name__, url_prefix="/api/v1/deployments", description="Releases going to environments"
)


@blueprint.route("/", methods=["POST"])
@requires(Permission.DEPLOY)
@blueprint.arguments(schemas.DeploymentIn)
@blueprint.arguments(RequestQuery, location="query")
@blueprint.response(202, schemas.Deployment)
@blueprint.alt_response(200, schema=Foreseen, success=True)
def request_deployment(body: dict[str, Any], query: dict[str, Any]) -> Response:
    """Request that a release goes to an environment. It is accepted here and carried out by the workers."""
    if query["dry_run"]:
        return json_response(_foreseen(body))
    new: dict[int, Row[Any]] = {}

    def create() -> int:
        made = deployments.request(session(), **body, actor=current_actor())
        if not made.supersedes:  # what was written is what there is: it is not read again
            new[made.id] = made.row
        return made.id

    return _create(create, body, known=new)


@blueprint.route("/", methods=["GET"])
@requires(Permission.READ)
@blueprint.arguments(schemas.DeploymentQuery, location="query")
@blueprint.response(200, schemas.DeploymentPage)
def list_deployments(query: dict[str, Any]) -> Response:
    """List deployments, the newest first."""
    part = window("deployments", query)
    filters = {name: query[name] for name in FILTERS if name in query}
    found = rows.page(session(), filters, before_id=part.after, skip=part.skip, limit=part.one_more)
    return json_response(part.answer(found, present, key=lambda row: row.id))


@blueprint.route("/<id:deployment_id>", methods=["GET"])
@requires(Permission.READ)
@blueprint.response(200, schemas.Deployment)
def get_deployment(deployment_id: int) -> Response:
    """Read one deployment, with every reason for which it waits."""
    return tagged_response(dumps(_shown(deployment_id)))


@blueprint.route("/<id:deployment_id>/explain", methods=["GET"])
@requires(Permission.READ)
@blueprint.response(200, Explanation)
def explain_deployment(deployment_id: int) -> Response:
    """Say why a deployment waits, when it will start and what you may do about it; or why it ended as it did."""
    found = explaining.explain(session(), deployment_id, actor=current_actor())
    return json_response(present_explanation(found))


@blueprint.route("/<id:deployment_id>/touched", methods=["GET"])
@requires(Permission.READ)
@blueprint.response(200, Touched)
def read_touched(deployment_id: int) -> Response:
    """Say how far a deployment reached: how many targets it began to change, and for how long."""
    return json_response(present_touched(steps.touched(session(), deployment_id)))


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
    return json_response(part.answer(found, present_step, key=lambda row: [row.wave_index, row.position]))


@blueprint.route("/<id:deployment_id>/waves", methods=["GET"])
@requires(Permission.READ)
@blueprint.arguments(schemas.WaveQuery, location="query")
@blueprint.response(200, schemas.WavePage)
def list_waves(query: dict[str, Any], deployment_id: int) -> Response:
    """List the waves of a deployment in the order of its plan, each with how many of its steps are where."""
    rows.get(session(), deployment_id)
    part = window(f"waves:{deployment_id}", query)
    first = query["first"] if part.after is None else part.after + 1
    found = steps.page_of_waves(session(), deployment_id, first=first, skip=part.skip, limit=part.one_more)
    return json_response(part.answer(found, present_wave, key=lambda row: row.wave_index))


@blueprint.route("/<id:deployment_id>/logs", methods=["GET"])
@requires(Permission.READ)
@blueprint.arguments(log_schemas.LogQuery, location="query")
@blueprint.response(200, log_schemas.LogPage)
def read_logs(query: dict[str, Any], deployment_id: int) -> Response:
    """Read on in the log from a cursor, or its last lines. Ask again with `next_cursor` until `complete`."""
    row = rows.get(session(), deployment_id)
    if query["step"] is not None:
        steps.get(session(), deployment_id, query["step"])
    part = window(log_scope(deployment_id, query["step"]), query)
    # The status was read first: what a deployment wrote is there before its end is.
    page = log_pages.Reading(
        session(), deployment_id, query["step"], has_ended=DeploymentStatus(row.status) in TERMINAL
    )
    lines, place = query["tail"], log_texts.Place.read(part.after)
    shown = page.last(lines) if lines else page.after(place, limit=part.limit)
    cursor = write_cursor(part.scope, shown.place.value())
    return json_response(
        {"items": shown.items, "next_cursor": cursor, "complete": shown.complete, "pruned": shown.pruned}
    )


@blueprint.route("/<id:deployment_id>/stream", methods=["GET"])
@requires(Permission.READ)
@blueprint.arguments(log_schemas.StreamQuery, location="query")
@blueprint.response(
    200, description="The events, from the process this leads to.", content_type="text/event-stream"
)
@blueprint.alt_response(307, description="Where the events are.")
def follow_deployment(query: dict[str, Any], deployment_id: int) -> Response:
    """Follow a deployment: `status`, `steps` and `log` as Server-Sent Events until `end`. Leads to the stream process."""
    elsewhere = services().settings.stream_url.rstrip("/")
    if not elsewhere:
        raise StreamUnavailableError
    asked = request.query_string.decode("ascii", "replace")
    location = f"{elsewhere}{request.path}{f'?{asked}' if query else ''}"
    return Response(status=307, headers={"Location": location})


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
    return json_response(part.answer(found, present_event, key=lambda row: row.seq))


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


@blueprint.route("/<id:deployment_id>/replan", methods=["POST"])
@requires(Permission.DEPLOY)
@blueprint.arguments(Nothing)
@blueprint.response(202, schemas.Deployment)
def replan_deployment(body: dict[str, Any], deployment_id: int) -> Response:
    """Replace one that has not started by one after the pipeline as it is now, which nobody has approved yet."""
    return _create(lambda: deployments.replan(session(), deployment_id, actor=current_actor()), body)


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
    """Answer what a paused deployment asks: what became of steps whose targets cannot say, or what to do after failures."""
    with transaction(session()):
        deployments.answer(session(), deployment_id, **body, actor=current_actor())
    return _accepted(deployment_id)


@blueprint.route("/<id:deployment_id>/claim", methods=["POST"])
@requires(Permission.DEPLOY)
@blueprint.arguments(Nothing)
@blueprint.response(202, schemas.Deployment)
def claim_deployment(body: dict[str, Any], deployment_id: int) -> Response:
    """Take it on to answer what a paused deployment asks: nobody else is heard until somebody else claims it."""
    del body
    with transaction(session()):
        deployments.claim(session(), deployment_id, actor=current_actor())
    return _accepted(deployment_id)


@blueprint.route("/<id:deployment_id>/promote", methods=["POST"])
@requires(Permission.DEPLOY)
@blueprint.arguments(Reason)
@blueprint.response(202, schemas.Deployment)
def promote_deployment(body: dict[str, Any], deployment_id: int) -> Response:
    """Say that a canary goes to the other targets, or end a wait between two waves."""
    with transaction(session()):
        deployments.promote(session(), deployment_id, actor=current_actor(), reason=body["reason"])
    return _accepted(deployment_id)


@blueprint.route("/<id:deployment_id>/approve", methods=["POST"])
@requires(Permission.READ)
@blueprint.arguments(schemas.Approve)
@blueprint.response(202, schemas.Deployment)
def approve_deployment(body: dict[str, Any], deployment_id: int) -> Response:
    """Say yes to a deployment that asks for it; its rules say who may, and never who requested it."""
    with transaction(session()):
        approvals.approve(session(), deployment_id, actor=current_actor(), **body)
    return _accepted(deployment_id)


@blueprint.route("/<id:deployment_id>/reject", methods=["POST"])
@requires(Permission.READ)
@blueprint.arguments(RequiredReason)
@blueprint.response(202, schemas.Deployment)
def reject_deployment(body: dict[str, Any], deployment_id: int) -> Response:
    """Say no to a deployment that asks for approval, which ends it. Who may approve may reject."""
    with transaction(session()):
        approvals.reject(session(), deployment_id, actor=current_actor(), reason=body["reason"])
    return _accepted(deployment_id)


def _create(
    create: Callable[[], int], body: dict[str, Any], *, known: Mapping[int, Row[Any]] | None = None
) -> Response:
    def show(deployment_id: int) -> dict[str, Any]:
        row = (known or {}).get(deployment_id)
        return _shown(deployment_id) if row is None else present_whole(session(), row)

    made = create_once(session(), create, user_id=current_actor().id, body=body, show=show)
    log.bind(deployment=made.id)
    return json_response(made.shown, 202, headers=_location(made.id) | made.headers)


def _foreseen(body: dict[str, Any]) -> dict[str, Any]:
    """Nothing of it is ever committed, so nobody sees it and nothing is sent."""
    with rehearsal(session()):
        return present_foreseen(foreseeing.foresee(session(), **body, actor=current_actor()))


def _accepted(deployment_id: int) -> Response:
    return json_response(_shown(deployment_id), 202, headers=_location(deployment_id))


def _location(deployment_id: int) -> dict[str, str]:
    return {"Location": f"/api/v1/deployments/{deployment_id}"}


def _shown(deployment_id: int) -> dict[str, Any]:
    return present_whole(session(), rows.get(session(), deployment_id))
