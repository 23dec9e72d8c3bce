"""Coming in by the OpenID Connect provider: there, and back."""

from typing import Any, cast

from flask import Response, redirect, request

from api import logins
from api.auth import requires
from api.dashboard import frame, renewal
from api.dashboard.frame import blueprint
from api.dashboard.login import own_path, say
from api.extensions import provider, services
from api.oidc import Asked, ask
from orchestrator import clock
from orchestrator.config import OIDC_BACK
from orchestrator.domain.access import Permission
from orchestrator.domain.errors import (
    ConflictError,
    ForbiddenError,
    MisconfiguredError,
    TooManyRequestsError,
    UnauthenticatedError,
    UnavailableError,
)
from orchestrator.presenting.pages.words import same
from orchestrator.security import new_id

COOKIE = "oidc"
LIFETIME_SECONDS = 600
_LEADS_BACK = "/login/oidc"
_LOST = "this login began too long ago or in another browser; begin again"


@blueprint.route(_LEADS_BACK, methods=["GET"])
@requires(Permission.PUBLIC)
@renewal.never("it leads elsewhere")
def to_provider() -> Response:
    """Send the browser to the provider, with a note for when it comes back."""
    at, back = provider(), own_path(request.args.get("next", "/"))
    asked, state = ask(services().settings.oidc_redirect_url), new_id()
    try:
        answer = cast(Response, redirect(at.address_of(asked, state), 303, Response=Response))
    except (UnavailableError, TooManyRequestsError) as error:
        return say(error, back=back)
    note = {
        "state": state,
        "nonce": asked.nonce,
        "verifier": asked.verifier,
        "back": back,
        "until": clock.now().timestamp() + LIFETIME_SECONDS,
    }
    _set_note(answer, services().vault.seal(note).decode(), seconds=LIFETIME_SECONDS)
    return answer


@blueprint.route(OIDC_BACK, methods=["GET"])
@requires(Permission.PUBLIC)
@renewal.never("it leads elsewhere")
def from_provider() -> Response:
    """Begin the session of who the provider says this is, or show the login page with what was wrong."""
    at, back = provider(), "/"
    try:
        note = _note()
        back = str(note["back"])
        asked = Asked(services().settings.oidc_redirect_url, str(note["nonce"]), str(note["verifier"]))
        signed_in = logins.log_in_by_provider(_code(at.issuer), asked)
        cookie = services().sessions.begin(signed_in.sign_in_id).cookie
    except (
        UnauthenticatedError,
        ForbiddenError,
        ConflictError,
        UnavailableError,
        TooManyRequestsError,
    ) as error:
        answer = say(error, back=back)
    else:
        answer = frame.see(back)
        frame.set_cookie(answer, cookie)
    _set_note(answer, "", seconds=0)
    return answer


def _note() -> dict[str, Any]:
    """What this browser was sent away with, if the answer belongs to it. Raises UnauthenticatedError."""
    try:
        note = services().vault.open(request.cookies.get(COOKIE, "").encode())
    except MisconfiguredError as error:
        raise UnauthenticatedError(_LOST) from error
    is_fresh = float(note["until"]) > clock.now().timestamp()
    if not is_fresh or not same(request.args.get("state", ""), str(note["state"])):
        raise UnauthenticatedError(_LOST)
    return note


def _code(issuer: str) -> str:
    """The code that came back. Raises UnauthenticatedError where the provider said no, or was another one (RFC 9207)."""
    code = request.args.get("code", "")
    if not code or request.args.get("iss", issuer) != issuer:
        raise UnauthenticatedError("the provider did not let you in")
    return code


def _set_note(answer: Response, value: str, *, seconds: int) -> None:
    answer.set_cookie(
        COOKIE,
        value,
        max_age=seconds,
        path=_LEADS_BACK,
        secure=services().settings.cookie_secure,
        httponly=True,
        samesite="Lax",
    )
