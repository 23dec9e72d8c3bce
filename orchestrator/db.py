"""Connections to Postgres, and the one way to commit."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import orjson
from psycopg2 import errorcodes
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session

from orchestrator import clock
from orchestrator.config import Settings
from orchestrator.domain.errors import BusyError, ClosedMeanwhileError, UnavailableError
from orchestrator.prepared import execute_by
from orchestrator.pulse import cut

SILENT_MILLISECONDS = 10_000
"""After which a connection is given up whose other side does not even confirm what was sent: it is cut off."""
POOL_SECONDS = 5.0
"""How long a connection is waited for while all are in use."""
LOCK_MILLISECONDS = 10_000
"""How long a row is waited for that another transaction holds."""
UNAVAILABLE = (OperationalError, InterfaceError, PoolTimeoutError)
"""What is raised where Postgres cannot be reached, ends the connection, or takes too long."""
DATABASE_AWAY = "the database cannot be reached now; try again soon"
_BUSY = {
    errorcodes.DEADLOCK_DETECTED: "somebody else is changing the same",
    errorcodes.LOCK_NOT_AVAILABLE: "somebody else is changing the same, and takes long",
    errorcodes.QUERY_CANCELED: "it took the database too long",
}
"""What Postgres says by these codes (its appendix A) of a statement that it broke off."""
_AFTER_COMMIT = "orchestrator.after_commit"

T = TypeVar("T")


def engine_options(settings: Settings) -> dict[str, Any]:
    """Options of the connection pool, for SQLAlchemy's and Flask-SQLAlchemy's engines alike."""
    return {
        # None beyond the pool: those are closed after each use, and each new one is a login and has everything prepared anew.
        "pool_size": settings.db_pool_size,
        "max_overflow": 0,
        "pool_timeout": POOL_SECONDS,
        "pool_recycle": 1800,
        "pool_use_lifo": True,
        "echo": settings.db_echo,
        "json_deserializer": orjson.loads,
        "hide_parameters": True,  # some are hashes of passwords, and errors are logged with them
        "connect_args": {
            "connect_timeout": 3,
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "tcp_user_timeout": SILENT_MILLISECONDS,
            "options": f"-c timezone=UTC -c lock_timeout={LOCK_MILLISECONDS} -c idle_in_transaction_session_timeout=15000",
        },
    }


def make_engine(settings: Settings, **options: Any) -> Engine:
    """An engine of its own pool; `options` are SQLAlchemy's."""
    engine = create_engine(settings.sqlalchemy_url, **engine_options(settings), **options)
    tune(engine, settings)
    return engine


def refusal(error: Exception) -> UnavailableError:
    """What to tell of an error of the driver, or of the pool: that Postgres is away, or only busy. Nothing was changed."""
    if isinstance(error, PoolTimeoutError):
        return BusyError("all connections to the database are in use; try again soon")
    why = _BUSY.get(getattr(getattr(error, "orig", None), "pgcode", None) or "")
    if why is not None:
        return BusyError(f"{why}: nothing was changed, try again soon")
    return UnavailableError(DATABASE_AWAY)


def tune(engine: Engine, settings: Settings) -> None:
    """What every engine of ours does, whoever made it."""
    execute_by(engine, prepares=settings.db_prepare)


class Lookups:
    """Connections without transactions, for the one SELECT that a request begins with.

    They are kept open: to begin and to end one for a single SELECT costs as much as that does.
    """

    def __init__(self, settings: Settings, *, on_restart: Callable[[], None] = lambda: None) -> None:
        """`on_restart` is called when Postgres turns out to have been restarted."""
        self.engine = make_engine(settings, isolation_level="AUTOCOMMIT", pool_reset_on_return=None)
        self._idle: deque[Connection] = deque()
        # Who finds all in use waits here: the pool would not know that one has become idle.
        self._places = threading.BoundedSemaphore(settings.db_pool_size)
        self._on_restart = on_restart

    def __call__(self, look: Callable[[Connection], T]) -> T:
        """Ask Postgres; once more where it restarted since the connection was made."""
        try:
            return self._once(look)
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
        self.close()
        self._on_restart()
        return self._once(look)

    def close(self) -> None:
        """Close all that nobody uses at this moment."""
        with suppress(IndexError):
            while True:
                self._idle.pop().close()
        self.engine.dispose()

    def _once(self, look: Callable[[Connection], T]) -> T:
        if not self._places.acquire(timeout=POOL_SECONDS):
            raise PoolTimeoutError(f"all connections were in use for {POOL_SECONDS:g} s")
        try:
            return self._ask(look)
        finally:
            self._places.release()

    def _ask(self, look: Callable[[Connection], T]) -> T:
        connection = self._take()
        try:
            found = look(connection)
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)
        return found

    def _take(self) -> Connection:
        with suppress(IndexError):
            return self._idle.pop()
        return self.engine.connect()


class PlainSession(Session):
    """A session for statements, and for them alone: no row of ours is an object that is tracked, flushed or expired.

    SQLAlchemy's own costs more to begin, to say its connection and to commit than most of our statements cost. This one is a
    connection from the first statement to the commit, and knows nothing of the rest that a session can do.
    """

    def __init__(self, engine: Engine) -> None:
        self.info = {}
        self._engine = engine
        self._open: Connection | None = None

    def connection(self, *_arguments: Any, **_options: Any) -> Connection:
        """The connection of the transaction that is open, or that begins now."""
        if self._open is None:
            self._open = self._engine.connect()
        return self._open

    def execute(self, statement: Any, params: Any = None, **_options: Any) -> Any:
        """Execute a statement in the transaction that is open, or that begins now."""
        return self.connection().execute(statement, params)

    def commit(self) -> None:
        """Commit, if anything was executed, and let go of the connection."""
        if self._open is not None:
            try:
                with self._open as opened:
                    opened.commit()
            finally:
                self._open = None  # and not before, or nobody could cut it while this waits

    def rollback(self) -> None:
        """Take back what was executed, and let go of the connection."""
        if self._open is not None:
            try:
                self._open.close()
            finally:
                self._open = None

    def close(self) -> None:
        """As `rollback`."""
        self.rollback()

    def cut(self) -> bool:
        """End its connection under the thread that waits for it; False where it has none."""
        opened = self._open
        used = None if opened is None or opened.closed or opened.invalidated else opened.connection
        if used is None or used.dbapi_connection is None:
            return False
        cut(used.dbapi_connection)
        return True


class Database:
    """Makes sessions; one a process."""

    def __init__(self, settings: Settings) -> None:
        self.engine = make_engine(settings)
        self._begun: dict[PlainSession, float] = {}

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """One transaction in a session of its own; see `transaction`."""
        with self._session() as session, transaction(session):
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session for reads; nothing is committed."""
        with self._session() as session:
            yield session

    def cut_still(self, seconds: float) -> int:
        """Let go those whose transactions have gone on for so long, as if Postgres had been restarted; how many.

        An answer that was lost on its way is waited for as long as the connection stands.
        """
        latest = clock.monotonic() - seconds
        return sum(session.cut() for session, begun in tuple(self._begun.items()) if begun < latest)

    @contextmanager
    def _session(self) -> Iterator[PlainSession]:
        with PlainSession(self.engine) as session:
            self._begun[session] = clock.monotonic()
            try:
                yield session
            finally:
                del self._begun[session]

    def close(self) -> None:
        """Close every connection of the pool."""
        self.engine.dispose()


@contextmanager
def transaction(session: Session) -> Iterator[Session]:
    """Commit at the end, or roll all back. What was registered with `after_commit` is called only once the commit is certain.

    Raises ClosedMeanwhileError where what was decided is not so any more.
    """
    session.info[_AFTER_COMMIT] = []
    try:
        yield session
        _commit(session)
    except BaseException:
        session.info.pop(_AFTER_COMMIT, None)
        session.rollback()
        raise
    for callback in session.info.pop(_AFTER_COMMIT, ()):
        callback()


def _commit(session: Session) -> None:
    try:
        session.commit()
    except DBAPIError as error:
        # Ours are no serializable transactions: a trigger said so (migration 0041).
        if getattr(error.orig, "pgcode", None) == errorcodes.SERIALIZATION_FAILURE:
            raise ClosedMeanwhileError from error
        raise


@contextmanager
def rehearsal(session: Session) -> Iterator[Session]:
    """As `transaction`, but all is rolled back at the end, and nothing that was registered with `after_commit` is called."""
    session.info[_AFTER_COMMIT] = []
    try:
        yield session
    finally:
        session.info.pop(_AFTER_COMMIT, None)
        session.rollback()


def after_commit(session: Session, callback: Callable[[], None]) -> None:
    """Call `callback` after the transaction that is open in `session` has been committed; never if it is rolled back."""
    session.info[_AFTER_COMMIT].append(callback)
