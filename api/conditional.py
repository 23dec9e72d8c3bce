"""If-Match: a change that is made only if the thing is still what its writer has seen."""

from collections.abc import Callable
from typing import Any

from flask import request
from sqlalchemy import Row

from api.responses import tag_of
from orchestrator.domain.errors import PreconditionFailedError
from orchestrator.presenting.json import dumps
from orchestrator.services.preconditions import Precondition, always

HEADER = "If-Match"


def if_match(present: Callable[[Row[Any]], dict[str, Any]]) -> Precondition:
    """What this request asks for; `present` is what the thing's GET shows, and its ETag is made of."""
    if HEADER not in request.headers:
        return always
    wanted = request.if_match

    def check(row: Row[Any]) -> None:
        if not (wanted.star_tag or wanted.is_strong(tag_of(dumps(present(row))).strip('"'))):
            raise PreconditionFailedError

    return check
