"""Starting a deployment: choose, see what will happen, and only then let it."""

import re
import secrets
from collections.abc import Mapping
from typing import Any

from flask import Response, request

from api.auth import current_actor
from api.dashboard import choices, frame, renewal
from api.dashboard.choices import MOST_CHOICES
from api.dashboard.frame import blueprint
from api.dashboard.moments import in_zones, read_instant
from api.extensions import session
from api.idempotency import create_once
from api.schemas.deployments import DeploymentIn
from orchestrator import clock
from orchestrator.db import rehearsal
from orchestrator.domain.access import Permission, allows
from orchestrator.domain.errors import (
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    RuleViolationError,
)
from orchestrator.presenting.foreseen import present_foreseen
from orchestrator.repositories import applications, releases
from orchestrator.services import deployments, foreseeing, pipelines

CHOICES = ("application", "version", "environment")
OPTIONS = ("allow_downgrade", "scheduled_for", "zone", "override_windows", "reason")
DECIDES = (
    "deployment.*",
    "release.*",
    "pipeline.*",
    "environment.*",
    "lock.*",
    "window.*",
    "freeze.*",
    "health.*",
    "grant.*",
)
"""What may make another plan, or let it start at another time."""
_WALL_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d")
_REFUSALS = (ConflictError, ForbiddenError, InvalidInputError, NotFoundError, RuleViolationError)


@blueprint.route("/deploy", methods=["GET"])
@frame.page_for(Permission.DEPLOY)
@renewal.noted(*DECIDES)
def deploy_page() -> Response:
    """Choose a release and an environment; with all of it chosen, what would happen."""
    chosen = {name: request.args.get(name, "").strip().replace("\0", "") for name in CHOICES}
    plan: dict[str, Any] | None = None
    refusal = ""
    lacks_reason = bool(request.args.get("override_windows")) and not request.args.get("reason", "").strip()
    if all(chosen.values()) and not lacks_reason:
        try:
            plan = _foresee(_order(request.args))
        except _REFUSALS as error:
            refusal = error.message
    offered = _choices(chosen["application"])
    return frame.renewing(
        "deploy.html",
        about=chosen["application"],
        seen=(*offered.values(), refusal, plan and _lasting(plan)),
        chosen=chosen,
        asked={name: request.args.get(name, "") for name in OPTIONS},
        zone=in_zones(request.args.get("zone")) or "UTC",
        may_override=_may_override(chosen),
        plan=plan,
        now=clock.now(),
        most_releases=foreseeing.MOST_RELEASES,
        refusal=refusal,
        lacks_reason=lacks_reason,
        once=secrets.token_urlsafe(16),
        most_choices=MOST_CHOICES,
        **offered,
    )


@blueprint.route("/deploy", methods=["POST"])
@frame.page_for(Permission.DEPLOY)
def deploy() -> Response:
    """Request it; a form that is sent twice requests it once."""
    body = _order(request.form)
    session().rollback()
    made = create_once(
        session(),
        lambda: deployments.request(session(), **body, actor=current_actor()).id,
        user_id=current_actor().id,
        body=body,
        show=lambda _id: {},
        key=request.form.get("once") or None,
    )
    return frame.see(f"/deployments/{made.id}")


def _order(sent: Mapping[str, str]) -> dict[str, Any]:
    """What is to be deployed; its time is on the clocks of `zone`, or of UTC."""
    at, utc = sent.get("scheduled_for", ""), {}
    if _WALL_TIME.fullmatch(at):
        zone = in_zones(sent.get("zone")) or "UTC"
        utc = {"scheduled_for": read_instant("scheduled_for", at, zone).isoformat()}
    return frame.read(DeploymentIn, {**sent, **utc})


def _may_override(chosen: Mapping[str, str]) -> bool:
    if not chosen["environment"]:
        return False
    role = current_actor().role_in(chosen["application"], chosen["environment"])
    return allows(role, Permission.OPERATE)


def _foresee(body: dict[str, Any]) -> dict[str, Any]:
    with rehearsal(session()):
        return present_foreseen(foreseeing.foresee(session(), **body, actor=current_actor()))


def _lasting(plan: Mapping[str, Any]) -> dict[str, Any]:
    """What of a plan stays so while nothing happens: when it starts and how long it takes are guessed anew each time."""
    gates = [(gate["kind"], gate["verdict"], gate["evidence"]) for gate in plan["gates"]]
    return {name: plan[name] for name in ("plan_hash", "replaces", "changed_variables")} | {"gates": gates}


def _choices(application: str) -> dict[str, Any]:
    names = choices.of_applications()
    found = applications.find(session(), application) if application else None
    if found is None:
        return {"applications": names, "releases": [], "environments": []}
    filters = {"name": application, "status": "available"}
    pipeline = pipelines.current(found) if found.document is not None else None
    return {
        "applications": names,
        "releases": releases.page(session(), filters, before_id=None, skip=0, limit=MOST_CHOICES),
        "environments": [each.name for each in pipeline.environments] if pipeline else [],
    }
