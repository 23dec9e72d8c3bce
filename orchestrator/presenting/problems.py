"""Errors as RFC 9457 problems: which status, which words, and nothing of the inside."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from orchestrator.domain.errors import (
    ConflictError,
    FieldProblem,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    OrchestratorError,
    PreconditionFailedError,
    RuleViolationError,
    TooManyRequestsError,
    UnauthenticatedError,
    UnavailableError,
)

PROBLEM_JSON = "application/problem+json"
RETRY_AFTER_SECONDS = 2

STATUSES: Mapping[type[OrchestratorError], HTTPStatus] = {
    RuleViolationError: HTTPStatus.BAD_REQUEST,
    UnauthenticatedError: HTTPStatus.UNAUTHORIZED,
    ForbiddenError: HTTPStatus.FORBIDDEN,
    NotFoundError: HTTPStatus.NOT_FOUND,
    ConflictError: HTTPStatus.CONFLICT,
    PreconditionFailedError: HTTPStatus.PRECONDITION_FAILED,
    InvalidInputError: HTTPStatus.UNPROCESSABLE_ENTITY,
    TooManyRequestsError: HTTPStatus.TOO_MANY_REQUESTS,
    UnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
}


def status_of(error: OrchestratorError) -> HTTPStatus:
    """The status of the family that an error belongs to; 500 where callers are not meant to see it."""
    for kind in type(error).__mro__:
        if kind in STATUSES:
            return STATUSES[kind]
    return HTTPStatus.INTERNAL_SERVER_ERROR


def title_of(error: OrchestratorError) -> str:
    """What kind of error it is, for people."""
    return (type(error).__doc__ or status_of(error).phrase).strip().splitlines()[0]


def headers_of(error: OrchestratorError) -> dict[str, str]:
    """What an answer with this error says in its headers."""
    if isinstance(error, UnauthenticatedError):
        return {"WWW-Authenticate": "Bearer"}
    if isinstance(error, TooManyRequestsError):
        return {"Retry-After": str(error.retry_after_seconds)}
    if isinstance(error, UnavailableError):
        return {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return {}


def document(
    status: int,
    *,
    code: str,
    title: str,
    instance: str,
    request_id: str | None,
    detail: str = "",
    errors: Iterable[FieldProblem] = (),
) -> dict[str, Any]:
    """The body of a problem."""
    body: dict[str, Any] = {
        "type": f"/docs#problem-{code}",
        "title": title,
        "status": int(status),
        "detail": detail or title,
        "instance": instance,
        "code": code,
        "request_id": request_id,
        "errors": [_field(each) for each in errors],
    }
    found: dict[str, Any] = _without_surrogates(body)
    return found


def _field(each: FieldProblem) -> dict[str, Any]:
    line = {} if each.line is None else {"line": each.line}
    return {"pointer": each.pointer, "detail": each.detail, **line}


def _without_surrogates(value: Any) -> Any:
    """Messages quote what was sent, and what was sent may not be text."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {key: _without_surrogates(each) for key, each in value.items()}
    return [_without_surrogates(each) for each in value] if isinstance(value, list) else value
