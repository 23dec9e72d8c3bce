"""Carries calls to hosts: an event loop in a thread of its own keeps the connections of this process, which all threads share."""

import asyncio
import atexit
import logging
import os
import resource
import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

import asyncssh

from orchestrator.targets import ssh_login
from orchestrator.targets.base import TargetUnreachableError
from orchestrator.targets.ssh_hosts import Done, Way

KEPT_SECONDS = 60.0
"""How long a connection stays open that nobody uses."""
MOST_KEPT = 1000
SESSIONS = 10
"""How many calls share a connection: what sshd allows unless it is told otherwise."""
ALIVE_SECONDS, ALIVE_TIMES = 5, 3
"""While calls wait: how long a host may be silent before it is asked for a sign of life, and how often in vain."""
LATE_SECONDS = 30.0
"""How late the loop may be with its own time limits."""
_LOOKUPS = 32
"""Threads that ask for addresses and read keys; each may wait for a server of names."""


def call(way: Way, command: str, stdin: bytes, *, seconds: float) -> Done:
    """Run a command line at a host, for any thread. Raises HostKeyError, AccessRefusedError, TargetUnreachableError."""
    return _Thread.running().run(way, command, stdin, seconds)


class _Session(asyncssh.SSHClientSession[bytes]):
    """What one command line wrote, and how it ended."""

    def __init__(self) -> None:
        self.stdout, self.stderr = bytearray(), bytearray()
        self.code: int | None = None
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes, datatype: int | None) -> None:
        (self.stdout if datatype is None else self.stderr).extend(data)

    def exit_status_received(self, status: int) -> None:
        self.code = status

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.over.done():
            self.over.set_result(None)


@dataclass(eq=False, slots=True)
class _Kept:
    """One open connection."""

    connection: asyncssh.SSHClientConnection
    by: "_Kept | None"
    """The connection to the host in between."""
    users: int = 0
    """Calls that go through it now, and connections to hosts behind it."""
    spoilt: bool = False
    """It did not answer in time: nobody takes it any more."""
    ending: asyncio.TimerHandle | None = None

    @property
    def is_good(self) -> bool:
        return not (self.spoilt or self.connection.is_closed())


@dataclass(eq=False, slots=True)
class _Host:
    """The connections of one way."""

    kept: list[_Kept] = field(default_factory=list)
    opening: "asyncio.Task[None] | None" = None
    most: int = SESSIONS
    """How many calls may share a connection, as far as is known."""


class _Pool:
    """All connections. Lives in the event loop: nothing here is called by another thread."""

    def __init__(self) -> None:
        self._hosts: dict[Way, _Host] = {}
        self._idle = 0
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._most_kept = MOST_KEPT if files == resource.RLIM_INFINITY else min(MOST_KEPT, files // 2)

    async def call(self, way: Way, command: str, stdin: bytes, seconds: float) -> Done:
        try:
            async with asyncio.timeout(seconds):
                while True:
                    done = await self._try(way, command, stdin)
                    if done is not None:
                        return done
        except TimeoutError as error:
            raise TargetUnreachableError(f"{way.hop} did not answer within {seconds:g} s") from error

    async def close(self) -> None:
        """Drop every connection."""
        for kept in [each for host in self._hosts.values() for each in host.kept]:
            kept.connection.abort()
        opening = [host.opening for host in self._hosts.values() if host.opening is not None]
        for task in opening:
            task.cancel()
        await asyncio.gather(*opening, return_exceptions=True)

    async def _try(self, way: Way, command: str, stdin: bytes) -> Done | None:
        """Call the host over one connection; None: it lets no more calls share it, so there will be another."""
        kept = await self._take(way)
        try:
            done = await _run(kept, command, stdin)
        except asyncssh.ChannelOpenError as error:
            if kept.users == 1 or not kept.is_good:
                raise TargetUnreachableError(f"{way} takes no call: {error.reason}") from error
            self._host(way).most = kept.users - 1
            return None
        except (asyncssh.Error, OSError) as error:
            raise TargetUnreachableError(f"the connection to {way} was lost: {error}") from error
        finally:
            self._give_back(way, kept)
        if done is None:
            raise TargetUnreachableError(f"the connection to {way} was lost in the middle of a call")
        return done

    def _host(self, way: Way) -> _Host:
        return self._hosts.setdefault(way, _Host())

    async def _take(self, way: Way, *, to_pass: bool = False) -> _Kept:
        """A connection with room for one more call, opened if there is none; any may be passed through to a host behind."""
        while True:
            host = self._host(way)
            for kept in host.kept:
                if kept.is_good and (to_pass or kept.users < host.most):
                    self._begin_use(kept)
                    return kept
            if host.opening is None:
                host.opening = asyncio.create_task(self._open(way, host))
                host.opening.add_done_callback(_retrieve)
            await asyncio.shield(host.opening)

    async def _open(self, way: Way, host: _Host) -> None:
        """Add a connection to the host's; whoever waits for it takes it then, or part of it."""
        by: _Kept | None = None
        jump = way.to_jump()
        try:
            if jump is not None:
                by = await self._take(jump, to_pass=True)
            connection = await ssh_login.connect(way, by.connection if by else None)
            kept = _Kept(connection, by)
            host.kept.append(kept)
            self._keep(way, kept)
        except BaseException:
            if jump is not None and by is not None:
                self._give_back(jump, by)
            raise
        finally:
            host.opening = None
            self._forget(way, host)

    def _begin_use(self, kept: _Kept) -> None:
        if kept.ending is not None:
            kept.ending.cancel()
            kept.ending = None
            self._idle -= 1
            kept.connection.set_keepalive(ALIVE_SECONDS, ALIVE_TIMES)
        kept.users += 1

    def _give_back(self, way: Way, kept: _Kept) -> None:
        kept.users -= 1
        if kept.users == 0:
            self._rest(way, kept)

    def _rest(self, way: Way, kept: _Kept) -> None:
        """Nobody uses it: keep it for a while, unless it is of no use any more or there are many."""
        if not kept.is_good or self._idle >= self._most_kept:
            self._end(way, kept)
        else:
            self._keep(way, kept)

    def _keep(self, way: Way, kept: _Kept) -> None:
        self._idle += 1
        kept.connection.set_keepalive(0)
        kept.ending = asyncio.get_running_loop().call_later(KEPT_SECONDS, self._expire, way, kept)

    def _expire(self, way: Way, kept: _Kept) -> None:
        kept.ending = None
        self._idle -= 1
        self._end(way, kept)

    def _end(self, way: Way, kept: _Kept) -> None:
        if kept.spoilt:
            kept.connection.abort()
        else:
            kept.connection.close()
        host = self._host(way)
        host.kept.remove(kept)
        self._forget(way, host)
        jump = way.to_jump()
        if jump is not None and kept.by is not None:
            self._give_back(jump, kept.by)

    def _forget(self, way: Way, host: _Host) -> None:
        """Of a host without a connection nothing is remembered."""
        if not host.kept and host.opening is None:
            self._hosts.pop(way, None)


async def _run(kept: _Kept, command: str, stdin: bytes) -> Done | None:
    """Run a command line over a connection; None where that was lost before it ended. Raises ChannelOpenError, OSError."""
    session = _Session()
    try:
        channel, _ = await kept.connection.create_session(
            lambda: session, command, encoding=None, request_pty=False
        )
    except asyncio.CancelledError:
        kept.spoilt = True  # whether the host opens one for us yet is not known
        raise
    try:
        with suppress(BrokenPipeError):  # it ended without reading: its exit code says why
            if stdin:
                channel.write(stdin)
            channel.write_eof()
        await session.over
    finally:
        channel.abort()
    if session.code is None:
        return None
    return Done(session.code, bytes(session.stdout), bytes(session.stderr))


def _retrieve(task: "asyncio.Task[None]") -> None:
    """Those who waited for it have what it raised; where nobody does any more, nobody misses it."""
    if not task.cancelled():
        task.exception()


class _Thread:
    """The event loop of this process."""

    _lock = threading.Lock()
    _running: "_Thread | None" = None

    def __init__(self) -> None:
        logging.getLogger("asyncssh").setLevel(
            logging.CRITICAL
        )  # what fails is raised; the rest are command lines
        self._loop = asyncio.new_event_loop()
        self._loop.set_default_executor(ThreadPoolExecutor(_LOOKUPS, thread_name_prefix="ssh lookup"))
        self._pool = _Pool()
        self._thread = threading.Thread(target=self._loop.run_forever, name="ssh", daemon=True)
        self._thread.start()

    @classmethod
    def running(cls) -> "_Thread":
        """The one of this process, started at the first call."""
        with cls._lock:
            if cls._running is None:
                cls._running = cls()
            return cls._running

    @classmethod
    def forget(cls) -> None:
        """In a forked process: its parent's thread is not there."""
        cls._lock, cls._running = threading.Lock(), None

    @classmethod
    def stop(cls) -> None:
        """Drop the connections; what was started at hosts goes on."""
        with cls._lock:
            running, cls._running = cls._running, None
        if running is not None:
            running._end()

    def run(self, way: Way, command: str, stdin: bytes, seconds: float) -> Done:
        """Call a host for the thread that waits here."""
        calling = asyncio.run_coroutine_threadsafe(self._pool.call(way, command, stdin, seconds), self._loop)
        try:
            return calling.result(seconds + LATE_SECONDS)
        except TimeoutError as error:
            calling.cancel()
            raise TargetUnreachableError(f"{way} is not called: the worker does not come to it") from error
        except CancelledError as error:
            raise TargetUnreachableError(f"{way} is not called any more: the worker ends") from error

    def _end(self) -> None:
        asyncio.run_coroutine_threadsafe(self._pool.close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


atexit.register(_Thread.stop)
os.register_at_fork(after_in_child=_Thread.forget)
