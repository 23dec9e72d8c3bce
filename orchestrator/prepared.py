"""How statements are executed: timed, and prepared, so that Postgres parses and plans each once a connection.

psycopg2 prepares nothing by itself, and parsing and planning is about half of what our statements cost Postgres. A statement
is prepared when a connection executes it the second time. Not behind pgbouncer's transaction pooling: DB_PREPARE=false.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import psycopg2
from sqlalchemy import Connection, Engine, Result, TextClause, event
from sqlalchemy.engine.result import IteratorResult, SimpleResultMetaData
from sqlalchemy.orm import Session

from orchestrator import clock, metrics

MOST = 200
"""Prepared statements a connection keeps; ours are fewer."""
AT_ONCE = False
"""Whether a statement is prepared at its first execution already: costs more, and shows whether each can be."""
_PREPARABLE = re.compile(r"\s*(?:SELECT|INSERT|UPDATE|DELETE|WITH)\b")
_STAR = re.compile(r"(?:\w\.|SELECT )\*")
"""A row type that a migration may change under a statement that is prepared: Postgres would refuse to execute it."""
_PARAMETER = re.compile(r"%\((\w+)\)s|%%")

_PREPARES = "orchestrator.prepares"
"""The execution option that says whether the connections of an engine prepare."""


@dataclass(slots=True)
class _Hot:
    """A statement as psycopg2 takes it, and what its rows look like, once it has been executed."""

    sql: str
    rows: SimpleResultMetaData | None = None


_hot: dict[TextClause, _Hot] = {}


def execute(place: Session | Connection, statement: TextClause, params: Mapping[str, Any]) -> Result[Any]:
    """Execute a statement of a hot path in the transaction that is open, past SQLAlchemy's compiler and result.

    Those cost more than most of our statements cost Postgres. Such statements are constants of their modules, whose
    text and columns are looked at once a process. Errors, pool and events stay SQLAlchemy's.
    """
    connection = place.connection() if isinstance(place, Session) else place
    engine = connection.engine
    if engine.echo:
        return connection.execute(statement, params)
    if not connection.in_transaction():
        connection.begin()
    hot = _hot.get(statement)
    if hot is None:
        hot = _hot[statement] = _Hot(str(statement.compile(dialect=connection.dialect)))
    cursor = connection.connection.cursor()
    for listener in engine.dispatch.before_cursor_execute:
        listener(connection, cursor, hot.sql, params, None, False)
    try:
        _run(connection, cursor, hot.sql, params)
        found = cursor.fetchall() if cursor.description else []
    except psycopg2.Error as error:
        # What SQLAlchemy does with an error of its own statements: wraps it, and gives up connections that are lost.
        connection._handle_dbapi_exception(error, hot.sql, params, cursor, None)
    for listener in engine.dispatch.after_cursor_execute:
        listener(connection, cursor, hot.sql, params, None, False)
    if hot.rows is None:
        hot.rows = SimpleResultMetaData([each[0] for each in cursor.description or ()])
    return IteratorResult(hot.rows, iter(found))


def execute_by(engine: Engine, *, prepares: bool) -> None:
    """Let this engine's statements be timed, and its connections prepare what they execute again."""
    engine.update_execution_options(**{_PREPARES: prepares})
    event.listen(engine, "do_execute", _execute)


@lru_cache(maxsize=10 * MOST)
def is_preparable(statement: str) -> bool:
    """Whether a statement may be prepared: one that reads or writes, and names its columns."""
    return _PREPARABLE.match(statement) is not None and _STAR.search(statement) is None


def _execute(cursor: Any, statement: str, parameters: Any, context: Any) -> bool:
    """Execute a statement of SQLAlchemy's in its place."""
    # Ours are text; what SQLAlchemy makes itself has parameters without types.
    is_ours = context.compiled is not None and isinstance(context.compiled.statement, TextClause)
    _run(context.root_connection if is_ours else None, cursor, statement, parameters)
    return True


def _run(connection: Connection | None, cursor: Any, statement: str, parameters: Any) -> None:
    """Execute and time a statement; None: it is not one to prepare."""
    begun = clock.monotonic()
    call = None if connection is None else _call(connection, cursor, statement)
    cursor.execute(call or statement, parameters)
    metrics.observe_query(statement, clock.monotonic() - begun)


def _call(connection: Connection, cursor: Any, statement: str) -> str | None:
    """What executes a statement by its prepared name, from the second time on; None: it is sent as it is."""
    if not connection.get_execution_options().get(_PREPARES):
        return None
    known: dict[str, str | None] = connection.info.setdefault(__name__, {})
    call = known.get(statement)
    if call is not None:
        return call
    if statement not in known:
        if len(known) >= MOST or not is_preparable(statement):
            return None
        known[statement] = None
        if not AT_ONCE:
            return None
    number = sum(each is not None for each in known.values())
    call = known[statement] = _prepare(cursor, statement, f"ours_{number}")
    return call


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
