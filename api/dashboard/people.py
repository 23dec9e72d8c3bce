"""Users, and the API tokens of whoever looks."""

import secrets
from typing import Any

from flask import Response, request

from api import logins
from api.auth import current_actor
from api.dashboard import frame, renewal
from api.dashboard.frame import blueprint
from api.extensions import services, session
from api.pagination import PageArgs, window
from api.schemas import tokens as token_schemas
from api.schemas import users as schemas
from api.schemas.auth import NewPassword
from orchestrator import cache
from orchestrator.db import after_commit, transaction
from orchestrator.domain.access import Permission
from orchestrator.domain.errors import ForbiddenError, InvalidInputError, TooManyRequestsError
from orchestrator.domain.limits import SCOPES
from orchestrator.presenting.problems import status_of
from orchestrator.repositories import api_tokens as token_rows
from orchestrator.repositories import users as rows
from orchestrator.security import check_password
from orchestrator.services import api_tokens, users

PASSWORD_BYTES = 15


@blueprint.route("/users", methods=["GET"])
@frame.page_for(Permission.READ)
@renewal.told("user.registered", "user.changed", "user.linked")
def user_list() -> Response:
    """Who there is."""
    query = frame.read_query(PageArgs)
    part = window("users", query)
    found = rows.page(session(), after_id=part.after or 0, skip=part.skip, limit=part.one_more)
    shown = part.answer(found, schemas.present, key=lambda row: row.id)
    return frame.renewing(
        "users.html", found=shown["items"], next_cursor=shown["next_cursor"], roles=schemas.ROLES, made=None
    )


@blueprint.route("/users", methods=["POST"])
@frame.page_for(Permission.ADMINISTER)
def add_user() -> Response:
    """Add somebody, with a password that is drawn here and shown this once."""
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    body = frame.load(schemas.UserIn, {**frame.filled_in("email", "username", "role"), "password": password})
    check_password(body.pop("password"))
    session().rollback()  # hashing takes long, and nothing slow is done inside a transaction
    new = users.NewUser(**body, password_hash=services().passwords.hash(password))
    with transaction(session()):
        users.register(session(), new, actor=current_actor(), is_open=False)
        after_commit(session(), lambda: services().cache.forget(cache.USERS))
    return frame.renewing(
        "users.html",
        found=[],
        next_cursor=None,
        roles=schemas.ROLES,
        made={"username": new.username, "password": password},
    )


@blueprint.route("/users/<id:user_id>", methods=["POST"])
@frame.page_for(Permission.ADMINISTER)
def change_user(user_id: int) -> Response:
    """Give somebody another role, or let them in no more; who is deactivated is logged out at once."""
    filled_in = frame.filled_in("role")
    if (active := request.form.get("active")) in {"yes", "no"}:
        filled_in["active"] = active == "yes"
    body = frame.load(schemas.UserChanges, filled_in)
    session().rollback()
    with transaction(session()):
        users.change(session(), user_id, users.Changes(**body), actor=current_actor())
        after_commit(session(), lambda: services().cache.forget(cache.USERS))
    return frame.see("/users")


@blueprint.route("/password", methods=["GET"])
@frame.page_for(Permission.SELF)
@renewal.never("a form")
def password_page() -> Response:
    """Ask for the password that they have, and for another one."""
    return frame.render("password.html", problem="", is_changed=False)


@blueprint.route("/password", methods=["POST"])
@frame.page_for(Permission.SELF)
def change_password() -> Response:
    """Give whoever looks another password; their other logins end, this one goes on."""
    try:
        body = _new_password()
        logins.change_password(current_actor(), current=body["current_password"], wanted=body["password"])
    except (ForbiddenError, InvalidInputError, TooManyRequestsError) as error:
        says = (
            "; ".join(each.detail for each in error.problems) if isinstance(error, InvalidInputError) else ""
        )
        return frame.render(
            "password.html", status_of(error), problem=says or error.message, is_changed=False
        )
    return frame.render("password.html", problem="", is_changed=True)


def _new_password() -> dict[str, Any]:
    """What was filled in. Raises InvalidInputError, also where the new one was not typed the same way twice."""
    body = frame.read_form(NewPassword)
    if request.form.get("again", "") != body["password"]:
        raise InvalidInputError("the new password was not typed the same way twice")
    return body


@blueprint.route("/tokens", methods=["GET"])
@frame.page_for(Permission.SELF)
@renewal.told("api_token.*")
def token_list() -> Response:
    """Those of whoever looks."""
    return _tokens(made=None)


def _tokens(*, made: str | None) -> Response:
    query = frame.read_query(PageArgs)
    actor = current_actor()
    part = window(f"tokens:{actor.id}", query)
    found = token_rows.page(
        session(), user_id=actor.id, before_id=part.after, skip=part.skip, limit=part.one_more
    )
    shown = part.answer(found, token_schemas.present, key=lambda row: row.id)
    return frame.renewing(
        "tokens.html",
        found=shown["items"],
        next_cursor=shown["next_cursor"],
        scopes=[str(scope) for scope in SCOPES],
        made=made,
    )


@blueprint.route("/tokens", methods=["POST"])
@frame.page_for(Permission.SELF)
def make_token() -> Response:
    """Make one; the page that comes shows it, this once."""
    sent = {"name": request.form.get("name", ""), "scopes": request.form.getlist("scopes")}
    body = frame.load(token_schemas.TokenIn, sent)
    wanted = {"applications_": body.pop("applications"), **body}
    session().rollback()
    with transaction(session()):
        _, token = api_tokens.create(session(), **wanted, actor=current_actor())
    return _tokens(made=token)


@blueprint.route("/tokens/<id:token_id>/revoke", methods=["POST"])
@frame.page_for(Permission.SELF)
def revoke_token(token_id: int) -> Response:
    """Make one worth nothing."""
    session().rollback()
    with transaction(session()):
        api_tokens.revoke(session(), token_id, actor=current_actor())
    return frame.see("/tokens")
