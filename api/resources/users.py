"""Users: who there is, and what each may do."""

from typing import Any

from flask import Response

from api.auth import current_actor, optional_actor, requires
from api.conditional import if_match
from api.extensions import services, session
from api.idempotency import Made, create_once
from api.pagination import PageArgs, window
from api.parsing import Blueprint
from api.responses import changed_response, json_response, raw_response, tagged_response
from api.schemas import users as schemas
from orchestrator import cache
from orchestrator.db import after_commit, transaction
from orchestrator.domain.access import Permission
from orchestrator.presenting.json import dumps
from orchestrator.repositories import users as rows
from orchestrator.security import check_password
from orchestrator.services import users

blueprint = Blueprint("users", __name__, url_prefix="/api/v1/users", description="Who there is")


@blueprint.route("/", methods=["POST"])
@requires(Permission.PUBLIC)
@blueprint.arguments(schemas.UserIn)
@blueprint.response(201, schemas.User)
def register_user(body: dict[str, Any]) -> Response:
    """Register a user. The first one becomes admin; after that admins add users, unless registration is open."""
    actor, is_open = optional_actor(), services().settings.open_registration
    users.check_registration(session(), actor=actor, role=body["role"], is_open=is_open)
    session().rollback()  # hashing takes long, and nothing slow is done inside a transaction
    password = body.pop("password")
    check_password(password)
    new = users.NewUser(**body, password_hash=services().passwords.hash(password))

    def create() -> int:
        user_id = users.register(session(), new, actor=actor, is_open=is_open)
        after_commit(session(), lambda: services().cache.forget(cache.USERS))
        return user_id

    def show(user_id: int) -> dict[str, Any]:
        return schemas.present(rows.get(session(), user_id))

    if actor is None:  # keys are kept by user, and there is none yet
        with transaction(session()):
            user_id = create()
            made = Made(user_id, show(user_id), replayed=False)
    else:
        made = create_once(session(), create, user_id=actor.id, body=body, show=show)
    return json_response(made.shown, 201, headers={"Location": f"/api/v1/users/{made.id}", **made.headers})


@blueprint.route("/", methods=["GET"])
@requires(Permission.READ)
@blueprint.arguments(PageArgs, location="query")
@blueprint.response(200, schemas.UserPage)
def list_users(query: dict[str, Any]) -> Response:
    """List users, the oldest first."""
    part = window("users", query)
    if part.after is not None:
        return json_response(_page(query))
    body = services().cache.read(
        cache.user_list_key(part.skip, part.limit),
        namespace=cache.USERS,
        seconds=cache.USER_SECONDS,
        load=lambda: dumps(_page(query)),
    )
    return raw_response(body)


def _page(query: dict[str, Any]) -> dict[str, Any]:
    part = window("users", query)
    found = rows.page(session(), after_id=part.after or 0, skip=part.skip, limit=part.one_more)
    return part.answer(found, schemas.present, key=lambda row: row.id)


@blueprint.route("/<id:user_id>", methods=["GET"])
@requires(Permission.READ)
@blueprint.response(200, schemas.User)
def get_user(user_id: int) -> Response:
    """Read one user."""
    body = services().cache.read(
        cache.user_key(user_id),
        namespace=cache.USERS,
        seconds=cache.USER_SECONDS,
        load=lambda: dumps(schemas.present(rows.get(session(), user_id))),
    )
    return tagged_response(body)


@blueprint.route("/<id:user_id>", methods=["PATCH"])
@requires(Permission.SELF)
@blueprint.arguments(schemas.UserChanges)
@blueprint.response(200, schemas.User)
def change_user(body: dict[str, Any], user_id: int) -> Response:
    """Change a user: people their own e-mail address, admins everything. Who is deactivated is logged out at once."""
    with transaction(session()):
        users.change(
            session(),
            user_id,
            users.Changes(**body),
            actor=current_actor(),
            precondition=if_match(schemas.present),
        )
        after_commit(session(), lambda: services().cache.forget(cache.USERS))
    return changed_response(schemas.present(rows.get(session(), user_id)))
