"""What a writer has seen: whether a thing is still so is asked while its row is locked."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Row

from orchestrator.domain.errors import PreconditionFailedError

Precondition = Callable[[Row[Any]], None]
"""Raises PreconditionFailedError where the row is not what the writer has seen."""


def always(_row: Row[Any]) -> None:
    """Whoever writes last has written."""


def require_there(row: Row[Any] | None, precondition: Precondition) -> None:
    """Ask it of something that may not be there: then only who has seen nothing may write."""
    if row is not None:
        precondition(row)
    elif precondition is not always:
        raise PreconditionFailedError
