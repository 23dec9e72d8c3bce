"""Coming in, and going."""

import re

from flask import Response, request

from api import logins
from api.auth import current_actor, requires
from api.dashboard import frame, renewal
from api.dashboard.frame import blueprint
from api.extensions import services
from api.schemas.auth import Login
from orchestrator.domain.access import Permission
from orchestrator.domain.errors import (
    InvalidInputError,
    OrchestratorError,
    TooManyRequestsError,
    UnauthenticatedError,
)
from orchestrator.presenting.problems import headers_of, status_of

_OWN_PATH = re.compile(r"/(?![/\\])[^\\\x00-\x20]*")


@blueprint.route("/login", methods=["GET"])
@requires(Permission.PUBLIC)
@renewal.never("a form")
def login_page() -> Response:
    """Ask for name and password."""
    return show(back=own_path(request.args.get("next", "/")))


@blueprint.route("/login", methods=["POST"])
@requires(Permission.PUBLIC)
def log_in() -> Response:
    """Begin a session; a page that says what was wrong where none begins."""
    frame.check_origin()
    back, username = own_path(request.form.get("next", "/")), request.form.get("username", "")
    try:
        body = frame.read_form(Login)
        signed_in = logins.log_in(body["username"], body["password"])
    except InvalidInputError:
        return show(422, back=back, problem="Fill in both fields.", username=username)
    except (UnauthenticatedError, TooManyRequestsError) as error:
        return say(error, back=back, username=username)
    answer = frame.see(back)
    frame.set_cookie(answer, services().sessions.begin(signed_in.sign_in_id).cookie)
    return answer


@blueprint.route("/logout", methods=["POST"])
@frame.page_for(Permission.SELF)
def log_out() -> Response:
    """End this session, or every login of theirs."""
    logins.log_out(current_actor(), everywhere="everywhere" in request.form)
    services().sessions.end(frame.web_session())
    answer = frame.see("/login")
    frame.set_cookie(answer, "", seconds=0)
    return answer


def own_path(asked: str) -> str:
    """Where to go then: a page of ours, whatever was asked for."""
    return asked if _OWN_PATH.fullmatch(asked) else "/"


def say(error: OrchestratorError, *, back: str, username: str = "") -> Response:
    """The page, with why nobody came in."""
    problem = error.message[0].upper() + error.message[1:] + "."
    answer = show(status_of(error), back=back, problem=problem, username=username)
    if not isinstance(error, UnauthenticatedError):  # whose header is about tokens
        answer.headers.extend(headers_of(error))
    return answer


def show(status: int = 200, *, back: str, problem: str = "", username: str = "") -> Response:
    """The page."""
    known = services().provider
    return frame.render(
        "login.html", status, back=back, problem=problem, username=username, provider=known and known.name
    )
