"""Prepared statements for psycopg2, which has none of its own: Postgres parses and plans each statement once a connection.

Parsing and planning is about half of what our statements cost Postgres. A statement is prepared when a connection
executes it the second time. Not behind pgbouncer's transaction pooling: DB_PREPARE=false.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, CursorResult, Engine, TextClause, TextualSelect, column, event
from sqlalchemy.orm import Session

MOST = 200
"""Prepared statements a connection keeps; ours are fewer."""
AT_ONCE = False
"""Whether a statement is prepared at its first execution already: costs more, and shows whether each can be."""
_PREPARABLE = re.compile(r"\s*(?:SELECT|INSERT|UPDATE|DELETE|WITH)\b")
_STAR = re.compile(r"(?:\w\.|SELECT )\*")
"""A row type that a migration may change under a statement that is prepared: Postgres would refuse to execute it."""
_PARAMETER = re.compile(r"%\((\w+)\)s|%%")

_shaped: dict[TextClause, TextualSelect | TextClause] = {}


def execute(
    place: Session | Connection, statement: TextClause, params: Mapping[str, Any]
) -> CursorResult[Any]:
    """Execute a statement that names its columns, at a third of the cost: which those are is looked at once a process.

    For statements of the hot paths; they are constants of their modules.
    """
    connection = place.connection() if isinstance(place, Session) else place
    shaped = _shaped.get(statement)
    if shaped is not None:
        return connection.execute(shaped, params)
    result = connection.execute(statement, params)
    names = result.keys() if result.returns_rows else ()
    _shaped[statement] = statement.columns(*map(column, names)) if names else statement
    return result


def prepare_statements(engine: Engine) -> None:
    """Let this engine's connections prepare what they execute again."""
    event.listen(engine, "do_execute", _execute)


@lru_cache(maxsize=10 * MOST)
def is_preparable(statement: str) -> bool:
    """Whether a statement may be prepared: one that reads or writes, and names its columns."""
    return _PREPARABLE.match(statement) is not None and _STAR.search(statement) is None


def _execute(cursor: Any, statement: str, parameters: Any, context: Any) -> bool | None:
    """Execute it by its prepared name; None leaves it to SQLAlchemy."""
    if not _is_ours(context) or not is_preparable(statement):
        return None
    known: dict[str, str | None] = context.root_connection.info.setdefault(__name__, {})
    if statement not in known:
        if len(known) >= MOST:
            return None
        known[statement] = None
        if not AT_ONCE:
            return None
    call = known[statement]
    if call is None:
        number = sum(each is not None for each in known.values())
        call = _prepare(cursor, statement, f"ours_{number}")
        known[statement] = call
    cursor.execute(call, parameters)
    return True


def _is_ours(context: Any) -> bool:
    """Ours are text; what SQLAlchemy makes itself has parameters without types."""
    return context.compiled is not None and isinstance(context.compiled.statement, TextClause | TextualSelect)


def _prepare(cursor: Any, statement: str, name: str) -> str:
    """Prepare it on the cursor's connection; the call that executes it."""
    numbers: dict[str, int] = {}

    def number(match: re.Match[str]) -> str:
        if match[1] is None:
            return "%"
        return f"${numbers.setdefault(match[1], len(numbers) + 1)}"

    cursor.execute(f"PREPARE {name} AS {_PARAMETER.sub(number, statement)}")
    arguments = ", ".join(f"%({each})s" for each in numbers)
    return f"EXECUTE {name} ({arguments})" if numbers else f"EXECUTE {name}"
