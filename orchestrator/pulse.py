"""Notices a Postgres that keeps still, as one does that is stopped or cut off: it takes what is sent, and says nothing."""

import os
import socket
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from threading import Event, Lock, Thread, get_ident
from typing import Any
from weakref import WeakSet

import psycopg2
from sqlalchemy import Dialect, Engine, event
from sqlalchemy.exc import DBAPIError

from orchestrator import clock, log

LOOK_SECONDS = 0.1
"""How often it is looked at who waits, while anybody does; who waits for less is not looked at."""
SILENCE_SECONDS = 0.6
"""For so long no statement of this process was answered, not even one that asks for nothing: Postgres keeps still."""

_LOOKS = 24
"""So many times it is looked whether there was an answer, before it is said that there is none."""
_MOST_CONNECTING = 16
_logger = log.get(__name__)


class Pulse:
    """While somebody waits for Postgres, asks it for a sign of life; where none comes, lets go all who wait.

    libpq waits for an answer as long as the connection stands, and that of a stopped server does, because the kernel keeps it.
    So it is cut: who waits for it goes on as after a restart of Postgres. New connections are refused until there is a sign.
    """

    def __init__(self, engine: Engine) -> None:
        """It asks on connections of this engine, which nobody else uses."""
        self._engine = engine
        self._waiting: dict[int, float] = {}
        self._connections: WeakSet[Any] = WeakSet()
        self._connecting = ThreadPoolExecutor(max_workers=_MOST_CONNECTING, thread_name_prefix="connects")
        self._lock = Lock()
        self._heard = 0
        self._silence: Future[None] = Future()
        """Done while Postgres keeps still."""
        self._somebody, self._closing = Event(), Event()
        self._watching: Thread | None = None
        self._asking: Thread | None = None
        event.listen(engine, "connect", self._keep)

    def guard(self, engine: Engine) -> None:
        """Let go also who waits for this engine's connections; what is answered on them is a sign of life."""
        event.listen(engine, "do_connect", self._connect)
        event.listen(engine, "after_cursor_execute", self._hear)

    def begin(self) -> None:
        """From now on this thread may wait for Postgres."""
        self._waiting[get_ident()] = clock.monotonic()
        if not self._somebody.is_set():
            self._wake()

    def end(self) -> None:
        """It does not any more."""
        self._waiting.pop(get_ident(), None)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Meanwhile this thread may wait for Postgres."""
        self.begin()
        try:
            yield
        finally:
            self.end()

    def close(self) -> None:
        """Look no more; nobody is let go from now on."""
        self._closing.set()
        self._somebody.set()
        self._connecting.shutdown(wait=False)
        self._engine.dispose()

    def _wake(self) -> None:
        with self._lock:
            self._somebody.set()
            if self._watching is None:
                self._watching = Thread(target=self._watch, name="pulse", daemon=True)
                self._watching.start()

    def _watch(self) -> None:
        heard = self._heard
        while self._somebody.wait() and not self._closing.wait(LOOK_SECONDS):
            self._somebody.clear()
            begun = list(self._waiting.values())
            is_still = self._silence.done()
            if begun or is_still:
                self._somebody.set()
            is_long = bool(begun) and clock.monotonic() - min(begun) > LOOK_SECONDS
            if is_still or (is_long and self._heard == heard):
                self._judge(hears=self._hears())
            heard = self._heard

    def _hears(self) -> bool:
        """Whether Postgres answers anything to anybody within SILENCE_SECONDS, or longer where this process gets no processor."""
        before = self._heard
        if self._asking is None or not self._asking.is_alive():
            self._asking = Thread(target=self._ask, name="pulse-asks", daemon=True)
            self._asking.start()
        for _ in range(_LOOKS):
            if self._heard != before or self._closing.wait(SILENCE_SECONDS / _LOOKS):
                return True
        return self._heard != before

    def _ask(self) -> None:
        begun = clock.monotonic()
        try:
            with self._engine.connect() as connection:
                connection.exec_driver_sql("SELECT 1")
        except DBAPIError:
            if clock.monotonic() - begun > SILENCE_SECONDS:
                return
            # That it refuses to answer is an answer, too.
        self._hear()

    def _judge(self, *, hears: bool) -> None:
        if hears and self._silence.done():
            self._silence = Future()
            _logger.info("database_heard")
        elif not hears and not self._silence.done():
            self._silence.set_result(None)
            with self._lock:
                connections = list(self._connections)
            for each in connections:
                cut(each)
            _logger.warning("database_still", seconds=SILENCE_SECONDS, connections=len(connections))

    def _hear(self, *_details: object) -> None:
        self._heard += 1

    def _keep(self, connection: Any, _record: object = None) -> None:
        with self._lock:
            self._connections.add(connection)

    def _connect(self, dialect: Dialect, _record: object, args: Any, options: Any) -> Any:
        """As SQLAlchemy does, in a thread that need not be waited for."""
        silence = self._silence
        if not silence.done():
            made: Future[Any] = self._connecting.submit(dialect.connect, *args, **options)
            either: tuple[Future[Any], ...] = (made, silence)
            wait(either, return_when=FIRST_COMPLETED)
            if made.done():
                self._keep(made.result())
            if not silence.done():
                return made.result()
            made.add_done_callback(_close)
        raise psycopg2.OperationalError("Postgres keeps still")


def _close(late: "Future[Any]") -> None:
    """Nobody waits for this connection any more."""
    if not late.cancelled() and late.exception() is None:
        late.result().close()


def cut(connection: Any) -> None:
    """End a connection under whoever waits for it."""
    with suppress(OSError, psycopg2.InterfaceError), socket.socket(fileno=os.dup(connection.fileno())) as end:
        end.shutdown(socket.SHUT_RDWR)
