"""Exit codes, and how an error is told: what went wrong, and what to do."""

from enum import IntEnum
from http import HTTPStatus
from typing import TYPE_CHECKING

import click

from orchestrator.domain.errors import (
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    MisconfiguredError,
    NotFoundError,
    OrchestratorError,
    RuleViolationError,
    TooManyRequestsError,
    UnauthenticatedError,
    UnavailableError,
)
from orchestrator.domain.foreign import escaped

if TYPE_CHECKING:
    from orchestrator.client import Problem


class ExitCode(IntEnum):
    """What a script can branch on; docs/cli.md explains each."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    AUTH = 4
    CONFLICT = 5
    REFUSED = 6
    CANCELLED = 7
    ROLLED_BACK = 8
    UNAVAILABLE = 69
    TIMED_OUT = 124
    INTERRUPTED = 130


class WaitTimedOutError(OrchestratorError):
    """It did not end in the time given with --timeout."""

    code = "wait_timed_out"


_OF_STATUS = {
    HTTPStatus.BAD_REQUEST: ExitCode.REFUSED,
    HTTPStatus.UNAUTHORIZED: ExitCode.AUTH,
    HTTPStatus.FORBIDDEN: ExitCode.AUTH,
    HTTPStatus.NOT_FOUND: ExitCode.NOT_FOUND,
    HTTPStatus.CONFLICT: ExitCode.CONFLICT,
    HTTPStatus.PRECONDITION_FAILED: ExitCode.CONFLICT,
    HTTPStatus.TOO_MANY_REQUESTS: ExitCode.UNAVAILABLE,
}
_OF_ERROR: tuple[tuple[type[OrchestratorError], ExitCode], ...] = (
    (WaitTimedOutError, ExitCode.TIMED_OUT),
    (UnavailableError, ExitCode.UNAVAILABLE),
    (TooManyRequestsError, ExitCode.UNAVAILABLE),
    (NotFoundError, ExitCode.NOT_FOUND),
    (UnauthenticatedError, ExitCode.AUTH),
    (ForbiddenError, ExitCode.AUTH),
    (ConflictError, ExitCode.CONFLICT),
    (RuleViolationError, ExitCode.REFUSED),
    (InvalidInputError, ExitCode.USAGE),
    (MisconfiguredError, ExitCode.USAGE),
)
_INVALID_AT_400 = frozenset(
    {"bad_request", "invalid_input", "invalid_cursor", "malformed_json", "http_error"}
)
"""Codes of a 400 that speak of the form of the request; every other 400 is a rule's no."""

_HINTS = {
    "unreachable": "is it running? `releasectl up` starts one here; RELEASECTL_URL says where to look",
    "busy": "",
    "misconfigured": "",
    "not_json": "set the URL with RELEASECTL_URL or `releasectl login --url`",
}
_STATUS_HINTS = {
    HTTPStatus.UNAUTHORIZED: "log in: releasectl login",
    HTTPStatus.FORBIDDEN: "see who you are with `releasectl whoami`; an admin can give you a greater role",
    HTTPStatus.TOO_MANY_REQUESTS: "wait a moment, then try again",
    HTTPStatus.SERVICE_UNAVAILABLE: "see what is away with `releasectl doctor`",
}


def show_error(error: OrchestratorError) -> ExitCode:
    """Tell it on stderr; returns the code to exit with."""
    for line in told(error):
        click.echo(line, err=True)
    return code_of(error)


def code_of(error: OrchestratorError) -> ExitCode:
    """The exit code an error ends the program with."""
    problem = _problem_of(error)
    if problem is not None:
        return _code_of_problem(problem)
    return next((code for kind, code in _OF_ERROR if isinstance(error, kind)), ExitCode.FAILED)


def told(error: OrchestratorError) -> list[str]:
    """The lines that explain an error."""
    lines = [f"releasectl: {escaped(error.message)}"]
    problem = _problem_of(error)
    fields = problem.errors if problem else getattr(error, "problems", ())
    lines += [f"  {escaped(each.pointer)}: {escaped(each.detail)}" for each in fields]
    hint = _hint(error, problem)
    if hint:
        lines.append(f"  hint: {hint}")
    if problem and problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR and problem.request_id:
        lines.append(f"  request id: {escaped(problem.request_id)} (the server's log has more under it)")
    return lines


def _problem_of(error: OrchestratorError) -> "Problem | None":
    """By its attribute: the class would have to be imported, and with it the HTTP library, for --help."""
    problem: Problem | None = getattr(error, "problem", None)
    return problem


def _code_of_problem(problem: "Problem") -> ExitCode:
    if problem.status == HTTPStatus.BAD_REQUEST and problem.code in _INVALID_AT_400:
        return ExitCode.USAGE
    if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ExitCode.UNAVAILABLE
    return next((code for status, code in _OF_STATUS.items() if status == problem.status), ExitCode.USAGE)


def _hint(error: OrchestratorError, problem: "Problem | None") -> str:
    if problem is None or problem.code in _HINTS:
        return _HINTS.get(problem.code if problem else error.code, "")
    return next((hint for status, hint in _STATUS_HINTS.items() if status == problem.status), "")
