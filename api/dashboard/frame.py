"""What every page has: who looks at it, its headers, its templates, its forms, and its errors as pages."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import SplitResult, quote, urlsplit

import marshmallow as ma
from flask import Blueprint, Flask, Response, g, redirect, render_template, request
from jinja2 import ChoiceLoader
from markupsafe import Markup
from marshmallow import fields
from werkzeug.exceptions import HTTPException

from api import auth, errors
from api.auth import P, R
from api.dashboard import assets, navigation, renewal
from api.extensions import services, session
from api.responses import tag_of
from api.sessions import LIFETIME_SECONDS, WebSession
from orchestrator import clock
from orchestrator.db import UNAVAILABLE
from orchestrator.domain.access import Permission, allows
from orchestrator.domain.errors import (
    FieldProblem,
    ForbiddenError,
    InvalidInputError,
    OrchestratorError,
    UnauthenticatedError,
)
from orchestrator.presenting.pages import rendering, words
from orchestrator.presenting.problems import headers_of, status_of, title_of
from orchestrator.services import inbox, users
from orchestrator.services.actors import Actor

COOKIE = "session"
FORM_TOKEN = "form_token"  # noqa: S105  # the name of a field
_SAFE = {"GET", "HEAD", "OPTIONS"}
_HEADERS = {
    # Not "no-referrer": with it browsers send no Origin along with a form.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src {connect}; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)

blueprint = Blueprint("dashboard", __name__, template_folder="templates")


def init(app: Flask) -> None:
    """Serve the pages. What is not there is a page, too, for whoever asks for one."""
    app.register_blueprint(blueprint)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.loader = ChoiceLoader([rendering.LOADER, app.create_global_jinja_loader()])
    app.jinja_env.globals.update(asset=assets.url, words=words)
    app.register_error_handler(HTTPStatus.NOT_FOUND, _not_there)


def page_for(permission: Permission) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """As `requires`, of who comes with a session."""
    return auth.requires(permission, by=_who)


def _who() -> Actor:
    """Who is behind this request's cookie. Raises UnauthenticatedError, and ForbiddenError for a form of another page."""
    found = services().sessions.find(request.cookies.get(cookie_name()))
    actor = (
        None if found is None else services().lookups(lambda look: users.find_actor(look, found.sign_in_id))
    )
    if found is None or actor is None:
        raise UnauthenticatedError("log in to go on")
    g.actor, g.web_session = actor, found
    if request.method not in _SAFE:
        check_origin()
        if not words.same(request.form.get(FORM_TOKEN, ""), found.form_token):
            raise ForbiddenError("this form is not of your session; open the page again")
    return actor


def check_origin() -> None:
    """Raise ForbiddenError unless a page of ours sent this request. Every browser says which page did."""
    if _split(request.headers.get("Origin", "")).netloc != request.host:
        raise ForbiddenError("this form was not sent by a page of this server")


def _split(sent: str) -> SplitResult:
    """The parts of an address that a client sent; where it is none, those of a page of nobody's."""
    try:
        return urlsplit(sent)
    except ValueError:
        return SplitResult("", "?", "", "", "")


def web_session() -> WebSession:
    """The session of this request, in a view that is not public."""
    found: WebSession = g.web_session
    return found


def cookie_name() -> str:
    """Behind TLS a name that browsers take from this very host alone."""
    return f"__Host-{COOKIE}" if services().settings.cookie_secure else COOKIE


def set_cookie(response: Response, value: str, *, seconds: int = LIFETIME_SECONDS) -> None:
    """Give the browser its session's cookie, or with no seconds take it away."""
    response.set_cookie(
        cookie_name(),
        value,
        max_age=seconds,
        secure=services().settings.cookie_secure,
        httponly=True,
        samesite="Lax",
    )


def render(template: str, status: int = 200, **values: Any) -> Response:
    """A page, or a part of one."""
    return Response(text_of(template, **values), status=status, mimetype="text/html")


def text_of(template: str, **values: Any) -> str:
    """What a template makes of these, for who looks at it."""
    own: WebSession | None = g.get("web_session")
    return render_template(
        f"dashboard/{template}",
        actor=g.get("actor"),
        form_token=own.form_token if own else "",
        deploys=_deploys(g.get("actor")),
        flower_url=services().settings.flower_url,
        navigation=navigation.of(g.get("actor")),
        **{"waiting": waiting, **values},
    )


def waiting() -> int:
    """How much of the inbox waits for who looks. What has a head asks for it, and so no part of a page does."""
    actor = g.get("actor")
    return 0 if actor is None else inbox.read(session()).count_for(actor, clock.now())


def renewing(template: str, *, about: str = "", seen: object = None, **values: Any) -> Response:
    """A page with the part that it asks for again, or that part alone where it does; 304 where it would see the same.

    Either says how long that took, in milliseconds: pages leave each other so much time.
    `about`: the application, if what happens to others does not concern it. `seen`: what makes it another page, if not
    all that stands in that part. Of the values, those that only the rest of the page shows can be functions that get them.
    """
    how = renewal.of_request()
    inner = Markup(text_of(template, is_part=True, **values))  # noqa: S704  # nosec B704
    tag = _tag_of(inner if seen is None else seen)
    took = f"{(clock.monotonic() - g.begun) * 1000:.1f}"
    if how is not None and "HX-Request" in request.headers:
        answer = _unless_there(tag, lambda: inner)
        answer.headers["Server-Timing"] = f"part;dur={took}"
        return answer
    return render(template, part=inner, tag=tag, took=took, renewal=how, about=about, **values)


def filled(view: rendering.View) -> Markup:
    """A view whose forms this session can send."""
    return view.text_for(web_session().form_token)


def _deploys(actor: Actor | None) -> bool:
    """Whether they may deploy anything anywhere."""
    if actor is None:
        return False
    return any(
        allows(role, Permission.DEPLOY) for role in (actor.role, *(each.role for each in actor.grants))
    )


def part(text: str) -> Response:
    """A part of a page that is asked for again and again: 304 where the browser has it."""
    return part_of(text, lambda: text)


def part_of(shown: object, make: Callable[[], str]) -> Response:
    """As `part`, of what is shown in it: made only where the browser does not have it."""
    return _unless_there(_tag_of(shown), make)


def _tag_of(shown: object) -> str:
    return tag_of(f"{assets.DIGEST} {shown!r}".encode("utf-8", "surrogateescape"))


def _unless_there(tag: str, make: Callable[[], str]) -> Response:
    if request.headers.get("If-None-Match") == tag:
        return Response(status=304, headers={"ETag": tag})
    return Response(make(), headers={"ETag": tag}, mimetype="text/html")


def see(path: str) -> Response:
    """Go and look there, after something was done."""
    return cast(Response, redirect(path, HTTPStatus.SEE_OTHER, Response=Response))


def read_form(schema: type[ma.Schema]) -> dict[str, Any]:
    """What was filled in, by the schema of the API; what was left empty was not filled in. Raises InvalidInputError."""
    return _read(schema(), request.form)


def read_query(schema: type[ma.Schema]) -> dict[str, Any]:
    """What the address asks for, by the schema of the API. Raises InvalidInputError."""
    return _read(schema(), request.args)


def read(schema: type[ma.Schema], sent: Mapping[str, str]) -> dict[str, Any]:
    """As `read_form`, of what was made ready for it. Raises InvalidInputError."""
    return _read(schema(), sent)


def filled_in(*names: str) -> dict[str, Any]:
    """What was filled in of these fields of a form."""
    return {name: value for name in names if (value := request.form.get(name, "").strip())}


def _read(schema: ma.Schema, sent: Mapping[str, str]) -> dict[str, Any]:
    known = {field.data_key or name: field for name, field in schema.fields.items()}
    values = {
        name: True if isinstance(known[name], fields.Boolean) else value
        for name, value in sent.items()
        if name in known and value.strip()
    }
    return _load(schema, values)


def load(schema: type[ma.Schema], values: Mapping[str, Any]) -> dict[str, Any]:
    """What was sent otherwise than as single fields, by the schema of the API. Raises InvalidInputError."""
    return _load(schema(), values)


def _load(schema: ma.Schema, values: Mapping[str, Any]) -> dict[str, Any]:
    try:
        found: dict[str, Any] = schema.load(values)
    except ma.ValidationError as error:
        raise InvalidInputError(problems=list(errors.problems_in(error.messages))) from error
    return found


@blueprint.after_request
def _with_headers(response: Response) -> Response:
    connect = f"'self' {_origin_of(services().settings.stream_url)}".rstrip()
    response.headers.setdefault("Content-Security-Policy", _POLICY.format(connect=connect))
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def _origin_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""


@blueprint.errorhandler(OrchestratorError)
def _refused(error: OrchestratorError) -> Response:
    if isinstance(error, UnauthenticatedError):
        return _to_login()
    status = status_of(error)
    if status is HTTPStatus.INTERNAL_SERVER_ERROR:
        return _unexpected(error)
    problems = error.problems if isinstance(error, InvalidInputError) else ()
    return _error_page(status, title_of(error), error.message, problems=problems, headers=headers_of(error))


@blueprint.errorhandler(HTTPException)
def _http_error(error: HTTPException) -> Response:
    if error.response is not None or error.code is None:
        return cast(Response, error.get_response())
    status = HTTPStatus(error.code)
    return _error_page(status, status.phrase, error.description or "")


def _database_away(error: Exception) -> Response:
    return _refused(errors.of_database(error))


for _away in UNAVAILABLE:
    blueprint.register_error_handler(_away, _database_away)


@blueprint.errorhandler(Exception)
def _unexpected(error: Exception) -> Response:
    errors.log_unexpected(error)
    return _error_page(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "Something went wrong inside.",
        "This is a defect. The log of web has more under the request id.",
    )


def _error_page(
    status: HTTPStatus,
    title: str,
    detail: str,
    *,
    problems: Any = (),
    headers: dict[str, str] | None = None,
) -> Response:
    answer = render(
        "error.html",
        status,
        waiting=int,  # what went wrong may be the database
        code=int(status),
        title=title,
        detail=detail,
        problems=[each for each in problems if isinstance(each, FieldProblem)],
        back=_came_from(),
        request_id=g.get("request_id"),
    )
    answer.headers.extend(headers or {})
    return answer


def _not_there(error: HTTPException) -> Response:
    """Programs get a problem, people a page."""
    asks_for_page = request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html"
    if request.path.startswith("/api/") or not asks_for_page:
        return errors.http_problem(error)
    if request.method in _SAFE:
        with suppress(OrchestratorError, *UNAVAILABLE):  # then it is a page for nobody
            _who()
    answer = _error_page(HTTPStatus.NOT_FOUND, "There is no such page.", "")
    return _with_headers(answer)


def _to_login() -> Response:
    """The address to come back to goes along; of a form that was sent, that of its page: it has to be filled in again."""
    page = request.full_path if request.method in _SAFE else request.referrer or "/"
    back = quote(_ours(request.headers.get("HX-Current-URL", page)) or "/", safe="")
    to = f"/login?next={back}"
    if "HX-Request" in request.headers:
        return Response(status=HTTPStatus.UNAUTHORIZED, headers={"HX-Redirect": to})
    return see(to)


def _came_from() -> str:
    """The page of ours that led to this one; nothing where that would lead here again."""
    page = _ours(request.referrer or "")
    return "" if request.method in _SAFE and page == _ours(request.full_path) else page


def _ours(url: str) -> str:
    """A page of this server, without the server; nothing for another one's."""
    parts = _split(url)
    if (
        parts.netloc not in {"", request.host}
        or not parts.path.startswith("/")
        or parts.path.startswith("//")
    ):
        return ""
    return parts.path + (f"?{parts.query}" if parts.query else "")
