"""Starts processes, waits until they are healthy, keeps them alive, and stops them in order."""

import sys
import threading
from collections.abc import Callable, Sequence

from orchestrator import clock
from orchestrator.domain.errors import MisconfiguredError
from orchestrator.embedded.output import Output
from orchestrator.embedded.process import GuardianLink, Process, describe
from orchestrator.embedded.spec import ProcessSpec, StartFailedError, StoppedError

_DEATHS_ALLOWED = 3
_ASK_SECONDS = 0.05


class Supervisor:
    """Owns processes; none of them outlives it, not even when it is killed -9 (see guardian.py)."""

    def __init__(self, output: Output, *, notice: Callable[[str], None]) -> None:
        if not sys.platform.startswith("linux"):
            raise MisconfiguredError(
                "starting processes on this machine needs Linux; elsewhere use docker-compose.yml"
            )
        self._output = output
        self._notice = notice
        self._processes: dict[str, Process] = {}
        self._interrupted = threading.Event()
        self._hurried = threading.Event()
        self._link = GuardianLink()

    @property
    def guardian_pid(self) -> int:
        """The process that ends everything should this one be killed."""
        return self._link.pid

    def process(self, name: str) -> Process:
        """The process of this name. Raises KeyError."""
        return self._processes[name]

    def names(self) -> list[str]:
        """Every process that is looked after, in the order of their start."""
        return list(self._processes)

    def start(self, specs: Sequence[ProcessSpec]) -> None:
        """Start these in order, then wait until each is healthy.

        Raises StartFailedError with the last lines of the one that is not, StoppedError after `interrupt`.
        """
        for spec in specs:
            self._raise_if_interrupted()
            self._processes[spec.name] = self._new(spec, restarts=True)
        for spec in specs:
            self._wait_healthy(self._processes[spec.name])

    def run(self, spec: ProcessSpec) -> str:
        """Run a process to its end and hand back its standard output.

        Raises StartFailedError unless it ends with exit code 0, StoppedError after `interrupt`.
        """
        self._raise_if_interrupted()
        process = self._new(spec, restarts=False)
        try:
            while not process.ended.wait(_ASK_SECONDS):
                self._raise_if_interrupted()
        finally:
            process.kill()
            process.ended.wait()
        if process.code:
            raise StartFailedError(_failure(process, describe(process.code)))
        return "".join(process.captured)

    def interrupt(self) -> None:
        """Make a start that is under way raise StoppedError; `stop` must still be called."""
        self._interrupted.set()

    def hurry(self) -> None:
        """Let the stop that is under way, or comes, kill instead of wait."""
        self._hurried.set()

    def stop(self, names: Sequence[str] | None = None) -> None:
        """Stop these (default: all), the stores last; returns when nothing is left of them."""
        chosen = [self._processes[name] for name in (self.names() if names is None else names)]
        self._end([process for process in chosen if not process.spec.is_store])
        self._end([process for process in chosen if process.spec.is_store])
        for process in chosen:
            self._processes.pop(process.spec.name, None)

    def close(self) -> None:
        """Stop everything and let the guardian go; nothing can be started afterwards."""
        self._interrupted.set()
        self.stop()
        self._link.close()

    def _new(self, spec: ProcessSpec, *, restarts: bool) -> Process:
        try:
            return Process(spec, link=self._link, output=self._output, notice=self._notice, restarts=restarts)
        except OSError as error:
            raise StartFailedError(f"{spec.name} cannot be started: {error}") from error

    def _wait_healthy(self, process: Process) -> None:
        spec = process.spec
        deadline = clock.monotonic() + spec.healthy_within_seconds
        while not (process.is_alive() and (spec.healthy is None or spec.healthy())):
            if process.deaths >= _DEATHS_ALLOWED:
                raise StartFailedError(_failure(process, f"died {process.deaths} times"))
            if clock.monotonic() > deadline:
                raise StartFailedError(
                    _failure(process, f"is not healthy after {spec.healthy_within_seconds:g} s")
                )
            if self._interrupted.wait(_ASK_SECONDS):
                raise StoppedError

    def _end(self, processes: Sequence[Process]) -> None:
        for process in processes:
            process.request_stop()
        started = clock.monotonic()
        for process in processes:
            deadline = started + process.spec.grace_seconds
            while not process.ended.wait(_ASK_SECONDS):
                if self._hurried.is_set() or clock.monotonic() > deadline:
                    self._notice(f"{process.spec.name} is killed")
                    process.kill()
                    process.ended.wait()

    def _raise_if_interrupted(self) -> None:
        if self._interrupted.is_set():
            raise StoppedError


def _failure(process: Process, what: str) -> str:
    lines = "\n".join(f"    {line}" for line in process.tail)
    return f"{process.spec.name} {what}" + (f"; it said last:\n{lines}" if lines else " and wrote nothing")
