"""Releases."""

from typing import Any

from flask import Response

from api.auth import current_actor, requires
from api.extensions import services, session
from api.idempotency import create_once
from api.pagination import DEFAULT_LIMIT, Window, window
from api.parsing import Blueprint
from api.responses import json_response, raw_response, tagged_response
from api.schemas import releases as schemas
from orchestrator import cache
from orchestrator.db import after_commit
from orchestrator.domain.access import Permission
from orchestrator.presenting.json import dumps
from orchestrator.repositories import releases as rows
from orchestrator.services import releases

FILTERS = ("name", "version", "status")

blueprint = Blueprint("releases", __name__, url_prefix="/api/v1/releases", description="What may be shipped")


@blueprint.route("/", methods=["POST"])
@requires(Permission.CREATE_RELEASE)
@blueprint.arguments(schemas.ReleaseIn)
@blueprint.response(201, schemas.Release)
def create_release(body: dict[str, Any]) -> Response:
    """Record a release of an application. It never changes; another version is another release."""
    actor = current_actor()

    def create() -> int:
        release_id = releases.create(session(), **body, actor=actor)
        after_commit(session(), lambda: forget(release_id))
        return release_id

    def show(release_id: int) -> dict[str, Any]:
        return schemas.present(rows.get(session(), release_id))

    made = create_once(session(), create, user_id=actor.id, body=body, show=show)
    return json_response(made.shown, 201, headers={"Location": f"/api/v1/releases/{made.id}", **made.headers})


def forget(release_id: int) -> None:
    """Lists lack it, and somebody may have asked for it before it was there."""
    services().cache.forget(cache.RELEASE_LISTS)
    services().cache.forget_one(cache.release_key(release_id), namespace=cache.RELEASES)


@blueprint.route("/", methods=["GET"])
@requires(Permission.READ)
@blueprint.arguments(schemas.ReleaseQuery, location="query")
@blueprint.response(200, schemas.ReleasePage)
def list_releases(query: dict[str, Any]) -> Response:
    """List releases, the newest first."""
    part = window("releases", query)
    filters = {name: query[name] for name in FILTERS if name in query}
    if filters or part.after is not None or part.skip or part.limit != DEFAULT_LIMIT:
        return json_response(_page(part, filters))
    body = services().cache.read(
        cache.RELEASE_LIST_KEY,
        namespace=cache.RELEASE_LISTS,
        seconds=cache.RELEASE_SECONDS,
        load=lambda: dumps(_page(part, {})),
    )
    return raw_response(body)


def _page(part: Window, filters: dict[str, str]) -> dict[str, Any]:
    found = rows.page(session(), filters, before_id=part.after, skip=part.skip, limit=part.one_more)
    return part.answer(found, schemas.present, key=lambda row: row.id)


@blueprint.route("/<id:release_id>", methods=["GET"])
@requires(Permission.READ)
@blueprint.response(200, schemas.Release)
def get_release(release_id: int) -> Response:
    """Read one release."""
    body = services().cache.read(
        cache.release_key(release_id),
        namespace=cache.RELEASES,
        seconds=cache.RELEASE_SECONDS,
        load=lambda: dumps(schemas.present(rows.get(session(), release_id))),
    )
    return tagged_response(body)
