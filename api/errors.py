"""Errors as RFC 9457 problems: which status, which words, and nothing of the inside."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, cast

import orjson
from flask import Flask, Response, g, request
from flask_smorest import Api
from werkzeug.exceptions import HTTPException

from api.extensions import jwt
from orchestrator import log
from orchestrator.db import UNAVAILABLE, refusal
from orchestrator.domain.errors import (
    BusyError,
    FieldProblem,
    InvalidInputError,
    OrchestratorError,
    UnauthenticatedError,
    UnavailableError,
)
from orchestrator.presenting.problems import PROBLEM_JSON, document, headers_of, status_of, title_of

_KEPT_HEADERS = {"allow", "retry-after", "www-authenticate"}

_logger = log.get(__name__)


class ProblemApi(Api):  # type: ignore[misc]  # flask-smorest has no types
    """flask-smorest, with its errors as problems."""

    def handle_http_exception(self, error: HTTPException) -> Response:
        return http_problem(error)


def init(app: Flask) -> None:
    """Let every error of this application become a problem."""
    app.register_error_handler(OrchestratorError, _orchestrator_problem)
    for away in UNAVAILABLE:
        app.register_error_handler(away, _database_away)
    app.register_error_handler(Exception, _unexpected)
    _init_tokens()


def problem(
    status: int,
    *,
    code: str,
    title: str,
    detail: str = "",
    errors: Iterable[FieldProblem] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A problem as an answer."""
    body = document(
        status,
        code=code,
        title=title,
        instance=request.path,
        request_id=g.get("request_id"),
        detail=detail,
        errors=errors,
    )
    return Response(
        orjson.dumps(body),
        status=int(status),
        headers=headers,
        content_type=PROBLEM_JSON,
    )


def _orchestrator_problem(error: OrchestratorError) -> Response:
    status = status_of(error)
    if status is HTTPStatus.INTERNAL_SERVER_ERROR:
        return _unexpected(error)
    problems = error.problems if isinstance(error, InvalidInputError) else ()
    return problem(
        status,
        code=error.code,
        title=title_of(error),
        detail=error.message,
        errors=problems,
        headers=headers_of(error),
    )


def http_problem(error: HTTPException) -> Response:
    """What Flask, werkzeug and webargs raise. A redirect stays one."""
    if error.response is not None or error.code is None:
        return cast(Response, error.get_response())
    status = HTTPStatus(error.code)
    data: Mapping[str, Any] = getattr(error, "data", None) or {}
    errors = list(problems_in(data.get("messages") or data.get("errors") or {}))
    detail = "the request is not valid; `errors` says where" if errors else (error.description or "")
    headers = {name: value for name, value in error.get_headers() if name.lower() in _KEPT_HEADERS}
    code = "invalid_input" if errors else status.name.lower()
    return problem(status, code=code, title=status.phrase, detail=detail, errors=errors, headers=headers)


def problems_in(messages: Any, pointer: str = "") -> Iterable[FieldProblem]:
    """Marshmallow's nested messages as JSON pointers; its first level is where the value came from."""
    if isinstance(messages, Mapping):
        for key, inner in messages.items():
            at = "" if key in {"json", "_schema"} else "/" + str(key).replace("~", "~0").replace("/", "~1")
            yield from problems_in(inner, pointer + at)
    elif isinstance(messages, list):
        for each in messages:
            yield from problems_in(each, pointer)
    else:
        yield FieldProblem(pointer[:300], str(messages)[:500])


def of_database(error: Exception) -> UnavailableError:
    """What to tell of an error of the driver; the log says which it was, and nothing that it tells."""
    found = refusal(error)
    event = "database_busy" if isinstance(found, BusyError) else "database_away"
    _logger.warning(event, error=type(getattr(error, "orig", None) or error).__name__)
    return found


def log_unexpected(error: Exception) -> None:
    """Say all of it, for whoever mends it."""
    _logger.error("unexpected_error", path=request.path, exc_info=error)


def _database_away(error: Exception) -> Response:
    return _orchestrator_problem(of_database(error))


def _unexpected(error: Exception) -> Response:
    log_unexpected(error)
    detail = "this is a defect; the log has more under the request id"
    return problem(500, code="internal_error", title="Something went wrong inside.", detail=detail)


def _init_tokens() -> None:
    def refuse(*_details: object) -> Response:
        return _orchestrator_problem(UnauthenticatedError())

    jwt.unauthorized_loader(refuse)
    jwt.invalid_token_loader(refuse)
    jwt.expired_token_loader(refuse)
    jwt.revoked_token_loader(refuse)
    jwt.needs_fresh_token_loader(refuse)
    jwt.user_lookup_error_loader(refuse)
    jwt.token_verification_failed_loader(refuse)
