"""One supervised process: in its own session, started again when it dies, ended with all it left."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from typing import IO

from orchestrator import clock
from orchestrator.embedded import guardian
from orchestrator.embedded.output import Output
from orchestrator.embedded.spec import ProcessSpec

# Tells the guardian its session before anything else, then becomes the program (see guardian.py).
_TRAMPOLINE = 'echo "+$$ $0" >&0 || exit 125; exec "$@" </dev/null'
_FIRST_DELAY_SECONDS = 0.5
_LONGEST_DELAY_SECONDS = 30.0
_SETTLED_SECONDS = 60.0
"""A process that lived this long is not in a crash loop: its next restart is quick again."""


class GuardianLink:
    """The supervisor's end of the guardian: starts it, again if it is killed, and keeps its book."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._book: dict[int, str] = {}
        self._closing = False
        self._start()
        self._thread = threading.Thread(target=self._look_after, name="guardian", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int:
        """The guardian's process."""
        return self._popen.pid

    def spawn(self, spec: ProcessSpec, *, capture: bool) -> subprocess.Popen[str]:
        """Start the process under the guardian's eyes; its standard input is /dev/null."""
        last_signal = spec.stop_signal.name.removeprefix("SIG") if spec.is_store else "KILL"
        account = spec.account
        with self._lock:
            popen = subprocess.Popen(
                ["/bin/sh", "-c", _TRAMPOLINE, last_signal, *spec.argv],
                stdin=self._pipe,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE if capture else subprocess.STDOUT,
                start_new_session=True,
                env=dict(spec.env),
                cwd=spec.cwd,
                encoding="utf-8",
                errors="replace",
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
            )
            self._book[popen.pid] = last_signal
        return popen

    def forget(self, session: int) -> None:
        """Nothing of this session is left: its number may be used again by strangers."""
        with self._lock:
            if self._book.pop(session, None) is not None:
                self._tell(f"-{session}\n")

    def close(self) -> None:
        """Let the guardian go; whatever is still in its book it ends."""
        with self._lock:
            if self._closing:
                return
            self._closing = True
            os.close(self._pipe)
        self._thread.join()

    def _start(self) -> None:
        reading, self._pipe = os.pipe()
        try:
            self._popen = subprocess.Popen(
                [sys.executable, "-I", "-S", guardian.__file__],
                stdin=reading,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                cwd="/",
            )
        finally:
            os.close(reading)

    def _look_after(self) -> None:
        while True:
            self._popen.wait()
            with self._lock:
                if self._closing:
                    return
                os.close(self._pipe)
                self._start()
                for session, last_signal in self._book.items():
                    self._tell(f"+{session} {last_signal}\n")

    def _tell(self, line: str) -> None:
        with contextlib.suppress(
            BrokenPipeError
        ):  # a guardian that was killed gets the whole book when it is started again
            os.write(self._pipe, line.encode())


class Process:
    """A process and its successors; `restarts` says whether it has any."""

    def __init__(
        self,
        spec: ProcessSpec,
        *,
        link: GuardianLink,
        output: Output,
        notice: Callable[[str], None],
        restarts: bool,
    ) -> None:
        self.spec = spec
        self.deaths = 0
        self.code: int | None = None
        self.captured: list[str] = []
        self.tail: deque[str] = deque(maxlen=15)
        self.ended = threading.Event()
        self._link = link
        self._output = output
        self._notice = notice
        self._restarts = restarts
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._started_at = 0.0
        self._delay = _FIRST_DELAY_SECONDS
        self._readers: list[threading.Thread] = []
        self._reaped = False
        self._popen = self._spawn()
        threading.Thread(target=self._look_after, name=f"waits for {spec.name}", daemon=True).start()

    @property
    def pid(self) -> int:
        """The process that runs now, or ran last; also its session."""
        return self._popen.pid

    def is_alive(self) -> bool:
        """Whether it runs at this moment."""
        return guardian.start_ticks(self.pid) is not None

    def request_stop(self) -> None:
        """Send the stop signal and never start it again; returns at once."""
        with self._lock:
            self._stopping.set()
            if not self._reaped:
                os.kill(self.pid, self.spec.stop_signal)

    def kill(self) -> None:
        """End it now with all of its session."""
        with self._lock:
            self._stopping.set()
            if not self._reaped:
                guardian.kill_session(self.pid)

    def _spawn(self) -> subprocess.Popen[str]:
        if self.spec.prepare:
            self.spec.prepare()
        popen = self._link.spawn(self.spec, capture=not self._restarts)
        self._started_at = clock.monotonic()
        self._readers = [
            threading.Thread(
                target=self._read, args=(stream, keep), name=f"reads {self.spec.name}", daemon=True
            )
            for stream, keep in ((popen.stdout, not self._restarts), (popen.stderr, False))
            if stream
        ]
        for reader in self._readers:
            reader.start()
        return popen

    def _read(self, stream: IO[str], keep: bool) -> None:
        with stream:
            for line in stream:
                if keep:
                    self.captured.append(line)
                    continue
                self.tail.append(line.rstrip())
                self._output.write(self.spec.name, line.rstrip())

    def _look_after(self) -> None:
        while True:
            code = self._reap()
            for reader in self._readers:
                reader.join(timeout=2.0)  # a grandchild in a session of its own may hold the pipe open
            self.deaths += 1
            if not self._restarts or self._stopping.is_set() or not self._start_again(code):
                break
        self.code = code
        self.ended.set()

    def _reap(self) -> int:
        """Wait for its end and clear its session, so that a successor does not meet what it left."""
        # Until it is reaped its number cannot belong to a stranger: nothing else here may reap it.
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        guardian.kill_session(self.pid)
        with self._lock:
            self._reaped = True
            code = self._popen.wait()
            self._link.forget(self.pid)
        return code

    def _start_again(self, code: int) -> bool:
        """Wait out the backoff and start the successor; False if it is to stop instead."""
        while True:
            delay = self._next_delay()
            self._notice(f"{self.spec.name} {describe(code)}; starting it again in {delay:g} s")
            if self._stopping.wait(delay):
                return False
            with self._lock:
                if self._stopping.is_set():
                    return False
                try:
                    self._popen = self._spawn()
                    self._reaped = False
                except OSError as error:
                    self._notice(f"{self.spec.name} cannot be started: {error}")
                else:
                    return True

    def _next_delay(self) -> float:
        if clock.monotonic() - self._started_at >= _SETTLED_SECONDS:
            self._delay = _FIRST_DELAY_SECONDS
        delay, self._delay = self._delay, min(self._delay * 2, _LONGEST_DELAY_SECONDS)
        return delay


def describe(code: int) -> str:
    """Say in words how a process ended."""
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
