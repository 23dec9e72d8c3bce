"""The one edge at which a task's exception ends: it is logged, and the tick finds what was left undone."""

from collections.abc import Callable

from orchestrator import log
from orchestrator.db import UNAVAILABLE
from orchestrator.domain.errors import PlanOfAnotherVersionError
from workers import context
from workers.follower import Follower

_logger = log.get(__name__)


def guarded(what: str, subject_id: int, do: Callable[[Follower], None]) -> None:
    """Do one thing for a deployment or the like, at the edge."""
    at_the_edge(what, subject_id, lambda: do(Follower(context.current())))


def at_the_edge(what: str, subject_id: int, do: Callable[[], object]) -> None:
    """Do one thing, and log whatever it raises: nothing is lost, Postgres still says what is due."""
    try:
        do()
    except PlanOfAnotherVersionError as error:
        _logger.warning("left_to_another_worker", task=what, subject=subject_id, why=str(error))
    except UNAVAILABLE as error:
        why = type(getattr(error, "orig", None) or error).__name__
        _logger.warning("left_to_the_tick", task=what, subject=subject_id, why=why)
    except Exception:  # the edge
        _logger.exception("task_failed", task=what, subject=subject_id)
