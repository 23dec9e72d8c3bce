"""What people do with a deployment: each a form that is sent, done by the services the API uses, and then looked at."""

from collections.abc import Callable

from flask import Response, request

from api.auth import current_actor
from api.dashboard import frame
from api.dashboard.frame import blueprint
from api.extensions import session
from api.schemas.common import Reason, RequiredReason
from api.schemas.deployments import Approve
from orchestrator.db import transaction
from orchestrator.domain.access import Permission
from orchestrator.domain.errors import FieldProblem, InvalidInputError
from orchestrator.repositories import deployments as rows
from orchestrator.services import acting, approvals, deployments, rollbacks

_ANSWERS = deployments.ANSWERS
MOST_DIGITS = 18
"""Of an id in a form."""


@blueprint.route("/deployments/<id:deployment_id>/approve", methods=["POST"])
@frame.page_for(Permission.READ)
def approve(deployment_id: int) -> Response:
    """Say yes to the plan that was shown."""
    body = frame.read_form(Approve)
    return _do(
        deployment_id,
        lambda: approvals.approve(session(), deployment_id, actor=current_actor(), **body),
    )


@blueprint.route("/deployments/<id:deployment_id>/reject", methods=["POST"])
@frame.page_for(Permission.READ)
def reject(deployment_id: int) -> Response:
    """Say no."""
    reason = frame.read_form(RequiredReason)["reason"]
    return _do(
        deployment_id,
        lambda: approvals.reject(session(), deployment_id, actor=current_actor(), reason=reason),
    )


@blueprint.route("/deployments/<id:deployment_id>/cancel", methods=["POST"])
@frame.page_for(Permission.DEPLOY)
def cancel(deployment_id: int) -> Response:
    """Wish for its end."""
    _check_confirmed(deployment_id, acting.CANCEL)
    reason = frame.read_form(Reason)["reason"]
    return _do(
        deployment_id,
        lambda: deployments.cancel(session(), deployment_id, actor=current_actor(), reason=reason),
    )


@blueprint.route("/deployments/<id:deployment_id>/answer", methods=["POST"])
@frame.page_for(Permission.DEPLOY)
def answer(deployment_id: int) -> Response:
    """Say what became of steps of which their targets cannot: of one, or of all."""
    said, step = request.form.get("answer", ""), request.form.get("step", "")
    if said not in _ANSWERS:
        raise InvalidInputError(problems=[FieldProblem("/answer", f"is one of {', '.join(_ANSWERS)}")])
    if step and not (step.isascii() and step.isdecimal() and len(step) <= MOST_DIGITS):
        raise InvalidInputError(problems=[FieldProblem("/step", "is no step; nothing was said")])
    step_id = int(step) if step else None
    return _do(
        deployment_id,
        lambda: deployments.answer(
            session(), deployment_id, answer=said, step_id=step_id, actor=current_actor()
        ),
    )


@blueprint.route("/deployments/<id:deployment_id>/claim", methods=["POST"])
@frame.page_for(Permission.DEPLOY)
def claim(deployment_id: int) -> Response:
    """Take it on to answer what it asks."""
    return _do(deployment_id, lambda: deployments.claim(session(), deployment_id, actor=current_actor()))


@blueprint.route("/deployments/<id:deployment_id>/promote", methods=["POST"])
@frame.page_for(Permission.DEPLOY)
def promote(deployment_id: int) -> Response:
    """Say that it goes on: a canary to the other targets, or whatever waits between two waves at once."""
    reason = frame.read_form(Reason)["reason"]
    return _do(
        deployment_id,
        lambda: deployments.promote(session(), deployment_id, actor=current_actor(), reason=reason),
    )


@blueprint.route("/deployments/<id:deployment_id>/retry", methods=["POST"])
@frame.page_for(Permission.DEPLOY)
def retry(deployment_id: int) -> Response:
    """Request the same once more."""
    return _make(lambda: deployments.retry(session(), deployment_id, actor=current_actor()))


@blueprint.route("/deployments/<id:deployment_id>/rollback", methods=["POST"])
@frame.page_for(Permission.DEPLOY)
def roll_back(deployment_id: int) -> Response:
    """Put back what was there before."""
    _check_confirmed(deployment_id, acting.ROLL_BACK)
    reason = frame.read_form(Reason)["reason"]
    return _make(lambda: rollbacks.request(session(), deployment_id, actor=current_actor(), reason=reason))


def _check_confirmed(deployment_id: int, verb: str) -> None:
    row = rows.get(session(), deployment_id)
    if not acting.has_to_confirm(row, verb, current_actor()):
        return
    if request.form.get("confirm", "").strip() != row.environment:
        raise InvalidInputError(
            problems=[FieldProblem("/confirm", f"type {row.environment} to confirm; nothing was done")]
        )


def _do(deployment_id: int, act: Callable[[], None]) -> Response:
    session().rollback()
    with transaction(session()):
        act()
    return frame.see(f"/deployments/{deployment_id}")


def _make(create: Callable[[], int]) -> Response:
    session().rollback()
    with transaction(session()):
        made = create()
    return frame.see(f"/deployments/{made}")
