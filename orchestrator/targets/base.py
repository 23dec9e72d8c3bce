"""What a kind of target is: start a run, poll it, abort it. Knows neither Flask nor Celery nor the database."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

from orchestrator.domain.artifacts import Artifact
from orchestrator.domain.networks import Network


@dataclass(frozen=True, slots=True)
class Callback:
    """Where a run may say that there is news of it, and the secret with which it signs that."""

    url: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Run:
    """One start of one action at one target.

    `name` is `<deployment>-<step>-<attempt>` and is unique for ever. `fence` names what must never have two writers
    (the slot and the target); `token` only grows, and the target refuses one that is smaller than the greatest it has
    seen for `fence`. `start_by` is the moment, on `orchestrator.clock.monotonic`, from which on the worker has no right to
    start it any more: where runs live on nodes, the next attempt may be on another one, whose tokens this one never sees.
    `origin` is the installation whose names these are: a target that serves several must not mistake one's for another's.
    `callback`: none for a kind that does not call back.
    """

    name: str
    fence: str
    token: int
    start_by: float = math.inf
    origin: str = ""
    callback: Callback | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """What a run executes: a POSIX sh script in an environment that holds `env` and nothing of the worker's."""

    script: str
    env: Mapping[str, str]
    apart: bool = False
    """Whether it begins in a folder of the run's own, whatever folder its target is set to."""


@dataclass(frozen=True, slots=True)
class Running:
    """The run goes on; `output` is what it wrote from the asked offset on, `offset` the next byte to ask for."""

    output: bytes
    offset: int


@dataclass(frozen=True, slots=True)
class Exited:
    """The run ended with `code` and every byte it wrote has been handed out (`offset` is the end of its output)."""

    code: int
    output: bytes
    offset: int


@dataclass(frozen=True, slots=True)
class Absent:
    """The run was certainly never started under this name: it is safe to start it."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The run was started and its end cannot be known; nothing of it is alive any more."""

    reason: str


Poll = Running | Exited | Absent | Lost

ABORTED_CODE = 143
"""The exit code of a run that was aborted (128 + SIGTERM), also of one aborted before it started."""


class TargetError(Exception):
    """The target could not do it. `retryable`: the same call may succeed later."""

    retryable: ClassVar[bool] = False


class TargetUnreachableError(TargetError):
    """The target did not answer; nothing is known of what it did."""

    retryable = True


class TargetBusyError(TargetError):
    """Another run still holds the fence at the target."""

    retryable = True


class LateStartError(TargetError):
    """The worker's right to start the run ended before the target came to it; with a new lease it may be tried again."""

    retryable = True


class StaleTokenError(TargetError):
    """The target has seen a greater token for this fence: somebody newer is in charge."""


class Target(Protocol):
    """One target, made from its settings. Every method may block for seconds and may be called from any thread."""

    node_bound: ClassVar[bool]
    """Whether a run lives on the worker's own node, so that its further slices must go to that node."""

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], *, runs_dir: str) -> Self:
        """Check `settings` (raises SettingsRefusedError) and make the target; does no I/O.

        `runs_dir` is the worker's folder for local runs.
        """
        ...

    def start(self, run: Run, command: Command) -> Poll | None:
        """Create the run under its name, atomically; a second call with the same name does nothing.

        Returns once the name is claimed at the target; or a little later and then, of a run that is new, what `poll` says
        from its first byte on, where that costs less than another call. A node-bound kind starts nothing after
        `run.start_by`, however long the worker stood still on the way.
        Raises StaleTokenError, LateStartError, TargetBusyError, TargetUnreachableError.
        """
        ...

    def poll(self, run: Run, offset: int) -> Poll:
        """Say where the run is, with what it wrote from byte `offset` on (at most 256 KiB a call).

        Raises TargetUnreachableError.
        """
        ...

    def abort(self, run: Run, *, grace_seconds: float) -> None:
        """End the run and everything it started: TERM to its process group, after the grace KILL.

        Returns when nothing of it is left.
        A run that was never started can never start afterwards. A second call does nothing. A later `poll` gives Exited,
        or Lost if it said so before. What a command that has ended left running is ended too, so this is not for
        a run that is known to have succeeded.
        Raises StaleTokenError, TargetUnreachableError.
        """
        ...


@runtime_checkable
class SupportsWait(Protocol):
    """What a target has whose runs can be waited for; of any other a follower polls at its own pace."""

    def wait(self, run: Run, seconds: float) -> None:
        """Return when the run has ended or is not there, after `seconds` at the latest; `poll` says how it ended."""
        ...


@runtime_checkable
class SupportsPace(Protocol):
    """What a target has at which it costs something to look; at any other a follower looks at least four times a second."""

    longest_pause_seconds: ClassVar[float]
    """How long a run that writes nothing may be left alone between two looks."""


@runtime_checkable
class SupportsCallbacks(Protocol):
    """What a target has that says by itself when there is news of a run, so that it is not asked all the time."""

    @property
    def calls_back(self) -> bool:
        """Whether this one does: then a run is looked at when it called, and now and then besides."""
        ...


@runtime_checkable
class SupportsNetworks(Protocol):
    """What a target has that calls addresses others may have written, and none that is private unless it is told so."""

    def within(self, allowed: tuple[Network, ...]) -> Self:
        """The same target, which may also be in these private networks."""
        ...


@runtime_checkable
class SupportsArtifacts(Protocol):
    """A kind to which the artifact of a release can be brought, for a run of `files` that is started afterwards.

    What was brought is named by its checksum, so that nothing is lost or doubled whoever brings it, and however often.
    """

    def missing(self, run: Run, artifact: Artifact) -> int | None:
        """Say from which byte on the target lacks the artifact; None where it needs nothing, also of a release it has unpacked.

        Raises TargetBusyError while another run brings it, TargetUnreachableError.
        """
        ...

    def bring(self, run: Run, artifact: Artifact, file: Path, offset: int) -> int | None:
        """Bring one piece of the file from byte `offset` on, and say what `missing` says after it. Raises as that does."""
        ...
