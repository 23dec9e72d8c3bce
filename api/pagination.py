"""Lists in pages: skip and limit, or a cursor that nobody but us can make."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import marshmallow as ma
from marshmallow import fields, validate

from api.extensions import services

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
MAX_SKIP = 100_000
LONGEST_CURSOR = 3072
"""Longer than any that we write (eight halves of characters of a log: 2,400), and it fits into gunicorn's request line of 4,094."""

Row = TypeVar("Row")


class PageArgs(ma.Schema):
    """Which part of a list."""

    skip = fields.Integer(load_default=0, validate=validate.Range(min=0, max=MAX_SKIP))
    limit = fields.Integer(load_default=DEFAULT_LIMIT, validate=validate.Range(min=1, max=MAX_LIMIT))
    cursor = fields.String(
        load_default=None,
        validate=validate.Length(max=LONGEST_CURSOR),
        metadata={"description": "`next_cursor` of the page before.", "pattern": "^[A-Za-z0-9_-]*$"},
    )


@dataclass(frozen=True, slots=True)
class Window:
    """The part of a list that is asked for: after `after`, without the first `skip`, at most `limit`."""

    scope: str
    after: Any
    skip: int
    limit: int

    @property
    def one_more(self) -> int:
        """How many rows to read, to know whether there is a next page."""
        return self.limit + 1

    def answer(
        self, rows: Sequence[Row], present: Callable[[Row], Any], *, key: Callable[[Row], Any]
    ) -> dict[str, Any]:
        """The page of these rows; `key` is where the next one begins."""
        shown = rows[: self.limit]
        more = len(rows) > self.limit
        return {
            "items": [present(row) for row in shown],
            "next_cursor": write_cursor(self.scope, key(shown[-1])) if more else None,
            "total": None,
        }


def window(scope: str, args: Mapping[str, Any]) -> Window:
    """Take the arguments of PageArgs out of a query. Raises BadCursorError."""
    cursor = args["cursor"]
    after = services().cursors.read(scope, cursor) if cursor is not None else None
    return Window(scope, after, args.get("skip", 0), args["limit"])


def write_cursor(scope: str, value: Any) -> str:
    """A place in a list as opaque text."""
    return services().cursors.write(scope, value)
