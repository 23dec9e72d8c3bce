"""Starting a deployment: choose, see what will happen, and only then let it."""

import secrets
from typing import Any

from flask import Response, request

from api.auth import current_actor
from api.dashboard import frame
from api.dashboard.frame import blueprint
from api.extensions import session
from api.idempotency import create_once
from api.schemas.deployments import DeploymentIn
from orchestrator.db import rehearsal
from orchestrator.domain.access import Permission
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

MOST_CHOICES = 200
CHOICES = ("application", "version", "environment")
_REFUSALS = (ConflictError, ForbiddenError, InvalidInputError, NotFoundError, RuleViolationError)


@blueprint.route("/deploy", methods=["GET"])
@frame.page_for(Permission.DEPLOY)
def deploy_page() -> Response:
    """Choose a release and an environment; with all of it chosen, what would happen."""
    chosen = {name: request.args.get(name, "").strip().replace("\0", "") for name in CHOICES}
    plan: dict[str, Any] | None = None
    refusal = ""
    if all(chosen.values()):
        try:
            plan = _foresee(frame.read_query(DeploymentIn))
        except _REFUSALS as error:
            refusal = error.message
    return frame.render(
        "deploy.html",
        chosen=chosen,
        asked=request.args,
        plan=plan,
        refusal=refusal,
        once=secrets.token_urlsafe(16),
        **_choices(chosen["application"]),
    )


@blueprint.route("/deploy", methods=["POST"])
@frame.page_for(Permission.DEPLOY)
def deploy() -> Response:
    """Request it; a form that is sent twice requests it once."""
    body = frame.read_form(DeploymentIn)
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


def _foresee(body: dict[str, Any]) -> dict[str, Any]:
    with rehearsal(session()):
        return present_foreseen(foreseeing.foresee(session(), **body, actor=current_actor()))


def _choices(application: str) -> dict[str, Any]:
    names = [row.name for row in applications.page(session(), after="", skip=0, limit=MOST_CHOICES)]
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
