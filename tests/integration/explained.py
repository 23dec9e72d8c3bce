"""What Postgres does for a statement: how many rows of each table it reads."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event
from sqlalchemy.orm import Session

from orchestrator.db import Database


@contextmanager
def listening(database: Database) -> Iterator[list[tuple[str, Any]]]:
    """Every statement with its parameters, as the driver gets it."""
    seen: list[tuple[str, Any]] = []

    def note(_conn: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        seen.append((statement, parameters))

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(database.engine, "before_cursor_execute", note)


def rows_read(session: Session, statement: str, parameters: Any) -> dict[str, float]:
    """How many rows each table gave or was looked at for, over all loops, by EXPLAIN ANALYZE with what is set in the session."""
    cursor = session.connection().connection.cursor()
    cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {statement}", parameters)
    answer = cursor.fetchone()
    assert answer is not None
    document = answer[0] if isinstance(answer[0], list) else json.loads(answer[0])
    return _read(document[0]["Plan"])


def _read(plan: dict[str, Any]) -> dict[str, float]:
    found: dict[str, float] = {}
    if "Relation Name" in plan:
        each = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)
        found[plan["Relation Name"]] = each * plan["Actual Loops"]
    for inner in plan.get("Plans", ()):
        for name, count in _read(inner).items():
            found[name] = found.get(name, 0) + count
    return found
