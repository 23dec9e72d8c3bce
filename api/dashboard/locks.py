"""Locks: who said no to what, saying it, and taking it back."""

from datetime import timedelta

from flask import Response
from marshmallow import fields, validate

from api.auth import current_actor
from api.dashboard import choices, frame, renewal
from api.dashboard.frame import blueprint
from api.extensions import session
from api.pagination import window
from api.parsing import Text
from api.schemas import locks as schemas
from api.schemas.common import APPLICATION
from orchestrator import clock
from orchestrator.db import transaction
from orchestrator.domain.access import Permission
from orchestrator.repositories import gates as rows
from orchestrator.services import locks

EVERYTHING = "*"
HOURS = (1, 4, 24, 72, 168)


class LockForm(schemas.LockIn):
    """As the API's, but people say for how long, and that they mean everything where they do."""

    class Meta:
        exclude = ("expires_at",)

    application = Text(required=True, longest=63, pattern=rf"\*|{APPLICATION}")
    hours = fields.Integer(load_default=None, validate=validate.OneOf(HOURS))


@blueprint.route("/locks", methods=["GET"])
@frame.page_for(Permission.READ)
@renewal.told("lock.*")
def lock_list() -> Response:
    """Those that are held, or all there were."""
    query = frame.read_query(schemas.LockQuery)
    part = window("locks", query)
    found = rows.page_of_locks(
        session(), held_only=not query["all"], before_id=part.after, skip=part.skip, limit=part.one_more
    )
    shown = part.answer(found, lambda row: row, key=lambda row: row.id)
    actor = current_actor()
    return frame.renewing(
        "locks.html",
        found=shown["items"],
        next_cursor=shown["next_cursor"],
        shows_all=query["all"],
        releasable={each.id for each in shown["items"] if locks.may_release(each, actor)},
        now=clock.now(),
        hours=HOURS,
        applications=choices.of_applications,
        environments=choices.of_environments,
    )


@blueprint.route("/locks", methods=["POST"])
@frame.page_for(Permission.DEPLOY)
def lock() -> Response:
    """Say no."""
    body = frame.read_form(LockForm)
    if body["application"] == EVERYTHING:
        body["application"] = None
    hours = body.pop("hours")
    until = clock.now() + timedelta(hours=hours) if hours else None
    session().rollback()
    with transaction(session()):
        locks.create(session(), **body, expires_at=until, actor=current_actor())
    return frame.see("/locks")


@blueprint.route("/locks/<id:lock_id>/release", methods=["POST"])
@frame.page_for(Permission.DEPLOY)
def release(lock_id: int) -> Response:
    """Take it back; who waited for it goes on."""
    session().rollback()
    with transaction(session()):
        locks.release(session(), lock_id, actor=current_actor())
    return frame.see("/locks")
