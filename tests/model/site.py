"""Simulated targets: they keep the promises of `targets/base.py`, and write down all that is asked of them."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from orchestrator import clock
from orchestrator.domain.errors import SettingsRefusedError
from orchestrator.targets.base import (
    ABORTED_CODE,
    Absent,
    Command,
    Exited,
    LateStartError,
    Lost,
    Poll,
    Run,
    Running,
    StaleTokenError,
    TargetUnreachableError,
)
from tests.model.puppets import point

MOST_BYTES_A_POLL = 4


@dataclass
class SimulatedRun:
    """A run at the place where it runs (a node, or nowhere special)."""

    name: str
    fence: str
    place: str
    version: str
    output: bytearray = field(default_factory=bytearray)
    code: int | None = None
    lost: bool = False
    aborted: bool = False

    @property
    def alive(self) -> bool:
        return self.code is None and not self.lost

    @property
    def deployment_id(self) -> int:
        return int(self.name.split("-")[0])

    @property
    def step_id(self) -> int:
        return int(self.name.split("-")[1])

    @property
    def number(self) -> int:
        return int(self.name.split("-")[2])


@dataclass
class Site:
    """All targets of an example, with a record of what was really started there."""

    is_over: Callable[[str], bool] = bool
    """Whether the attempt of a run has ended in the database."""
    runs: dict[tuple[str, str], SimulatedRun] = field(default_factory=dict)
    """By place and name; one that was aborted before it started is among them."""
    greatest: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    """The greatest token a place has seen for a fence."""
    starts: Counter[str] = field(default_factory=Counter)
    started: list[SimulatedRun] = field(default_factory=list)
    """In the order of their starts."""
    overlaps: list[tuple[SimulatedRun, SimulatedRun]] = field(default_factory=list)
    """What was started while another run under the same fence was alive."""
    late: list[str] = field(default_factory=list)
    """What was started although its attempt had ended."""
    installed: dict[str, SimulatedRun] = field(default_factory=dict)
    """The last run under a fence that ended well: what it brought is there."""

    stale: int = 0
    """How often a smaller token was refused."""
    too_late: int = 0
    """How often a start was refused because the lease behind it was over."""

    def start(self, place: str, run: Run, command: Command) -> None:
        """As `Target.start`, but two under one fence are let in and written down."""
        self._see(place, run)
        if (place, run.name) in self.runs:
            return
        if place and clock.monotonic() >= run.start_by:
            self.too_late += 1
            raise LateStartError(f"run {run.name} comes after the lease")
        if self.is_over(run.name):
            self.late.append(run.name)
        new = SimulatedRun(run.name, run.fence, place, command.env["RELEASE_VERSION"])
        beside = [other for other in self.started if other.fence == run.fence and other.alive]
        self.overlaps += [(new, other) for other in beside]
        self.starts[run.name] += 1
        self.started.append(new)
        self.runs[place, run.name] = new

    def poll(self, place: str, run: Run, offset: int) -> Poll:
        """As `Target.poll`; hands out very little at a time."""
        found = self.runs.get((place, run.name))
        if found is None:
            return Absent()
        if found.lost:
            return Lost("the simulated machine rebooted")
        output = bytes(found.output[offset : offset + MOST_BYTES_A_POLL])
        end = offset + len(output)
        if found.code is None or end < len(found.output):
            return Running(output, end)
        return Exited(found.code, output, end)

    def abort(self, place: str, run: Run) -> None:
        """As `Target.abort`: what was never started never will be."""
        self._see(place, run)
        found = self.runs.get((place, run.name))
        if found is None:
            found = self.runs[place, run.name] = SimulatedRun(run.name, run.fence, place, "")
        if found.alive:
            found.code, found.aborted = ABORTED_CODE, True

    def end(self, run: SimulatedRun, code: int) -> None:
        """Let a run come to its end by itself."""
        run.code = code
        if code == 0:
            self.installed[run.fence] = run

    @property
    def living(self) -> list[SimulatedRun]:
        return [run for run in self.started if run.alive]

    def _see(self, place: str, run: Run) -> None:
        seen = self.greatest[place, run.fence]
        if run.token < seen:
            self.stale += 1
            raise StaleTokenError(f"token {run.token} for {run.fence}, {seen} was seen")
        self.greatest[place, run.fence] = run.token


@dataclass(frozen=True, slots=True)
class SimulatedTarget:
    """A target that is somewhere else: every worker reaches the same one."""

    node_bound: ClassVar[bool] = False
    site: ClassVar[Site] = Site()
    """The site of the example that runs."""

    place: str = ""

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], *, runs_dir: str) -> Self:
        """There is nothing to set."""
        for name in settings:
            raise SettingsRefusedError(name, "a simulated target has no settings")
        return cls(runs_dir if cls.node_bound else "")

    def start(self, run: Run, command: Command) -> None:
        """Start it at the site, unless the call is lost on the way there."""
        _on_the_way("starts its run")
        SimulatedTarget.site.start(self.place, run, command)
        _on_the_way_back("started its run")

    def poll(self, run: Run, offset: int) -> Poll:
        """Ask the site."""
        _on_the_way("polls")
        found = SimulatedTarget.site.poll(self.place, run, offset)
        _on_the_way_back("polled")
        return found

    def abort(self, run: Run, *, grace_seconds: float) -> None:
        """End it at the site."""
        _on_the_way("aborts")
        SimulatedTarget.site.abort(self.place, run)
        _on_the_way_back("aborted")


@dataclass(frozen=True, slots=True)
class SimulatedLocalTarget(SimulatedTarget):
    """A target whose runs live on the node of the worker that starts them."""

    node_bound: ClassVar[bool] = True


def _on_the_way(what: str) -> None:
    if point(what):
        raise TargetUnreachableError("lost on the way there")


def _on_the_way_back(what: str) -> None:
    if point(what):
        raise TargetUnreachableError("lost on the way back")
