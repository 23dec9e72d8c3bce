"""Locks: a person's no."""

from typing import Any

from flask import Response

from api.auth import current_actor, requires
from api.conditional import if_match
from api.extensions import session
from api.idempotency import create_once
from api.pagination import window
from api.parsing import Blueprint
from api.responses import changed_response, json_response, tagged_response
from api.schemas import locks as schemas
from orchestrator.db import transaction
from orchestrator.domain.access import Permission
from orchestrator.presenting.json import dumps
from orchestrator.repositories import gates as rows
from orchestrator.services import locks

blueprint = Blueprint("locks", __name__, url_prefix="/api/v1/locks", description="A person's no")


@blueprint.route("/", methods=["POST"])
@requires(Permission.DEPLOY)
@blueprint.arguments(schemas.LockIn)
@blueprint.response(201, schemas.Lock)
def create_lock(body: dict[str, Any]) -> Response:
    """Lock an application, an environment, one in the other, or everything. What runs goes on; nothing more starts."""
    actor = current_actor()
    made = create_once(
        session(),
        lambda: locks.create(session(), **body, actor=actor),
        user_id=actor.id,
        body=body,
        show=lambda lock_id: schemas.present(rows.get_lock(session(), lock_id)),
    )
    return json_response(made.shown, 201, headers={"Location": f"/api/v1/locks/{made.id}", **made.headers})


@blueprint.route("/", methods=["GET"])
@requires(Permission.READ)
@blueprint.arguments(schemas.LockQuery, location="query")
@blueprint.response(200, schemas.LockPage)
def list_locks(query: dict[str, Any]) -> Response:
    """List the locks that are held, the newest first; with `all` also those that were."""
    part = window("locks", query)
    found = rows.page_of_locks(
        session(), held_only=not query["all"], before_id=part.after, skip=part.skip, limit=part.one_more
    )
    return json_response(part.answer(found, schemas.present, key=lambda row: row.id))


@blueprint.route("/<id:lock_id>", methods=["GET"])
@requires(Permission.READ)
@blueprint.response(200, schemas.Lock)
def get_lock(lock_id: int) -> Response:
    """Read one lock."""
    return tagged_response(dumps(schemas.present(rows.get_lock(session(), lock_id))))


@blueprint.route("/<id:lock_id>", methods=["DELETE"])
@requires(Permission.DEPLOY)
@blueprint.response(200, schemas.Lock)
def release_lock(lock_id: int) -> Response:
    """Release a lock; releasing it twice is releasing it once. Whoever waited for it goes on."""
    with transaction(session()):
        locks.release(session(), lock_id, actor=current_actor(), precondition=if_match(schemas.present))
        shown = schemas.present(rows.get_lock(session(), lock_id))
    return changed_response(shown)
