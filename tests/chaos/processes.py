"""One process of the installation under fire: started, stopped, killed, started again, its output in a file."""

import os
import signal
import threading
from dataclasses import replace
from pathlib import Path
from subprocess import Popen

from orchestrator import clock
from orchestrator.embedded import guardian
from orchestrator.embedded.process import GuardianLink
from orchestrator.embedded.spec import ProcessSpec

_ASK_SECONDS = 0.05


class UnhealthyError(RuntimeError):
    """A process did not come up, or did not end."""


class Member:
    """A process and its successors, under one name; one thing happens to it at a time."""

    def __init__(self, name: str, spec: ProcessSpec, *, link: GuardianLink, logs: Path) -> None:
        self.name = name
        self.spec = replace(spec, name=name)
        self.busy = threading.Lock()
        """Held by whoever does something to it."""
        self.starts = 0
        self.says_ready = ""
        """What it writes when it is up; empty: its spec says how to ask."""
        self._link = link
        self._log = logs / f"{name}.log"
        self._popen: Popen[str] | None = None

    @property
    def pid(self) -> int:
        """The process that runs now or ran last; 0 before the first."""
        return self._popen.pid if self._popen else 0

    def start(self) -> None:
        """Start it; returns at once."""
        if self.spec.prepare:
            self.spec.prepare()
        self._popen = self._link.spawn(self.spec, capture=False)
        self.starts += 1
        with self._log.open("a") as file:
            file.write(self._mark())
        threading.Thread(target=self._copy, args=(self._popen,), daemon=True).start()

    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._popen is not None and self._popen.poll() is None

    def wait_healthy(self, seconds: float = 90.0) -> None:
        """Return when it answers. Raises UnhealthyError."""
        deadline = clock.monotonic() + seconds
        pause = threading.Event()
        while not (self.is_alive() and self._is_up()):
            if clock.monotonic() > deadline:
                raise UnhealthyError(f"{self.name} is not healthy after {seconds:g} s; see {self._log}")
            pause.wait(_ASK_SECONDS)

    def _is_up(self) -> bool:
        if self.says_ready:
            # What is before its mark was said by those before it.
            return self.says_ready in self._log.read_text(errors="replace").rpartition(self._mark())[2]
        return self.spec.healthy is None or self.spec.healthy()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to its first process."""
        if self.is_alive():
            os.kill(self.pid, number)

    def kill(self) -> None:
        """kill -9 of it and of all in its session; runs have sessions of their own."""
        if self._popen is not None:
            self.signal(signal.SIGKILL)  # at this very moment; the others of its session take a look at /proc
            guardian.kill_session(self.pid)
            self._reap()

    def stop(self, seconds: float = 40.0) -> float:
        """End it by its own signal; how long it took. Kills it, and raises UnhealthyError, when it does not end."""
        asked = clock.monotonic()
        if self._popen is None:
            return 0.0
        self.signal(self.spec.stop_signal)
        if not guardian.wait_until(lambda: not self.is_alive(), seconds=seconds):
            self.kill()
            raise UnhealthyError(
                f"{self.name} did not end within {seconds:g} s of {self.spec.stop_signal.name}"
            )
        self.kill()
        return clock.monotonic() - asked

    def children(self) -> list[int]:
        """The other processes of its session."""
        return [pid for pid in guardian.members(self.pid) if pid != self.pid]

    def _reap(self) -> None:
        if self._popen is not None:
            self._popen.wait()
            self._link.forget(self._popen.pid)

    def _mark(self) -> str:
        return f"--- {self.name} starts as process {self.pid}\n"

    def _copy(self, popen: Popen[str]) -> None:
        assert popen.stdout is not None
        with self._log.open("a") as file, popen.stdout as said:
            for line in said:
                file.write(line)
                file.flush()
