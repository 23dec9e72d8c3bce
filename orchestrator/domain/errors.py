"""Every error that a caller can be told about; the docstring is the default message, `code` the stable name."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


class OrchestratorError(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "error"

    def __init__(self, message: str | None = None) -> None:
        self.message = message or (type(self).__doc__ or "").strip()
        super().__init__(self.message)


# The families. The API gives each a status; a concrete error belongs to exactly one of them.


class RuleViolationError(OrchestratorError):
    """A rule of the business said no."""

    code = "rule_violation"


class UnauthenticatedError(OrchestratorError):
    """Log in first, or send a valid access token."""

    code = "unauthenticated"


class ForbiddenError(OrchestratorError):
    """Your role does not allow this."""

    code = "forbidden"


class NotFoundError(OrchestratorError):
    """There is no such thing."""

    code = "not_found"


class ConflictError(OrchestratorError):
    """This collides with something that is already so."""

    code = "conflict"


class PreconditionFailedError(OrchestratorError):
    """It is not what you have seen: somebody changed it meanwhile; read it again."""

    code = "precondition_failed"


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One thing wrong with an input: where (a JSON pointer or a line of a file) and what to do."""

    pointer: str
    detail: str
    line: int | None = None


class InvalidInputError(OrchestratorError):
    """The input is not valid."""

    code = "invalid_input"

    def __init__(self, message: str | None = None, *, problems: Sequence[FieldProblem] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


class UnavailableError(OrchestratorError):
    """Something this needs is away; try again soon."""

    code = "unavailable"


class BusyError(UnavailableError):
    """What this needs is in use; try again soon."""

    code = "busy"


class ClosedMeanwhileError(UnavailableError):
    """By the time this was to be committed a gate had closed that had let it pass; nothing was written, try again."""

    code = "closed_meanwhile"


class TooManyRequestsError(OrchestratorError):
    """Too many requests; wait before the next one."""

    code = "too_many_requests"

    def __init__(self, message: str | None = None, *, retry_after_seconds: int = 1) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


# Inside the engine. These never reach a caller as they are.


class LeaseLostError(OrchestratorError):
    """Another worker holds this attempt now."""

    code = "lease_lost"


class PlanUnreadableError(OrchestratorError):
    """The plan of this deployment cannot be read by this version."""

    code = "plan_unreadable"


class PlanOfAnotherVersionError(PlanUnreadableError):
    """The plan of this deployment needs a newer version of the worker, or a plugin that this one lacks."""

    code = "plan_of_another_version"


class MisconfiguredError(OrchestratorError):
    """The settings are not usable."""

    code = "misconfigured"


class SettingsRefusedError(Exception):
    """A plugin does not accept the settings it was given. `field` says which one (empty: all of them)."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.field = field
        self.message = message
