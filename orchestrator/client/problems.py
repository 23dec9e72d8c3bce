"""Answers of the server, and what it says when something is wrong."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

from orchestrator.domain.errors import FieldProblem, OrchestratorError, UnavailableError


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What the server said went wrong (RFC 9457)."""

    status: int
    code: str
    title: str
    detail: str = ""
    request_id: str | None = None
    errors: tuple[FieldProblem, ...] = ()
    retry_after_seconds: float | None = None


class ApiError(OrchestratorError):
    """The server refused the request."""

    code = "api_error"

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(problem.detail or problem.title)

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.problem.status


class UnreachableError(UnavailableError):
    """The server cannot be reached."""

    code = "unreachable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An HTTP answer; `after_loss`: an earlier try was sent too, and its answer never came."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    after_loss: bool = False

    def json(self) -> Any:
        """The body read as JSON, None if it is empty. Raises ApiError if it is something else."""
        if not self.body:
            return None
        try:
            return json.loads(self.body)
        except ValueError as error:
            title = "The answer is not JSON: is this the URL of a release manager?"
            raise ApiError(Problem(status=self.status, code="not_json", title=title)) from error


def checked(answer: Answer) -> Any:
    """The JSON of a good answer. Raises ApiError for any other."""
    if answer.status < HTTPStatus.MULTIPLE_CHOICES:
        return answer.json()
    problem = problem_of(answer)
    if answer.status == HTTPStatus.CONFLICT and answer.after_loss:
        note = "(The answer to a first try was lost: that try may have made it.)"
        problem = replace(problem, detail=f"{problem.detail or problem.title} {note}")
    raise ApiError(problem)


def problem_of(answer: Answer) -> Problem:
    """What an error answer says, also when a proxy wrote it and it says nothing."""
    try:
        found = json.loads(answer.body)
    except ValueError:
        found = None
    fields = found if isinstance(found, dict) else {}
    title = fields.get("title") or _default_title(answer)
    return Problem(
        status=answer.status,
        code=str(fields.get("code") or "http_error"),
        title=str(title),
        detail=str(fields.get("detail") or ""),
        request_id=fields.get("request_id") or answer.headers.get("X-Request-ID"),
        errors=tuple(
            FieldProblem(str(each.get("pointer") or ""), str(each.get("detail") or ""), each.get("line"))
            for each in fields.get("errors") or ()
            if isinstance(each, dict)
        ),
        retry_after_seconds=retry_after(answer.headers),
    )


def _default_title(answer: Answer) -> str:
    location = answer.headers.get("Location")
    if location and answer.status < HTTPStatus.BAD_REQUEST:
        return f"The server sends us on to {location}: use that URL."
    try:
        return f"The server answered {answer.status} {HTTPStatus(answer.status).phrase}."
    except ValueError:
        return f"The server answered {answer.status}."


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds; the form with a date is not understood and counts as not said."""
    text = headers.get("Retry-After", "")
    return float(text) if text.isdecimal() else None
