"""Follows a deployment to its end; what is drawn is the view's affair."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Protocol

from orchestrator import clock
from orchestrator.cli.exits import ExitCode, WaitTimedOutError
from orchestrator.cli.reading import LogReader
from orchestrator.cli.streaming import StreamReader
from orchestrator.client import ApiError, Client, DeploymentStream, Record, UnreachableError
from orchestrator.domain.statuses import TERMINAL, DeploymentStatus

pause: Callable[[float], None] = time.sleep
"""How a poll waits for the next; a name of its own so that tests need not wait."""

FASTEST_SECONDS = 0.2
SLOWEST_SECONDS = 1.0
OUTAGE_SECONDS = 60.0
PAGES_A_POLL = 50
STEPS_SHOWN = 50
WAVES_SECONDS = 0.5
EMPTY_POLLS_AFTER_END = 30
"""How often an ended deployment is asked for the rest of its log before we go without it."""

END_CODES = {
    DeploymentStatus.SUCCEEDED: ExitCode.OK,
    DeploymentStatus.FAILED: ExitCode.FAILED,
    DeploymentStatus.CANCELLED: ExitCode.CANCELLED,
    DeploymentStatus.SUPERSEDED: ExitCode.CANCELLED,
    DeploymentStatus.EXPIRED: ExitCode.REFUSED,
}


class LeavingError(KeyboardInterrupt):
    """Ctrl-C, while this deployment was followed."""

    def __init__(self, deployment_id: int) -> None:
        super().__init__()
        self.deployment_id = deployment_id


class View(Protocol):
    """Shows what Follower sees. `deployment` and `steps` come at every poll, changed or not."""

    def deployment(self, deployment: Record) -> None:
        """How it stands."""

    def steps(self, steps: list[Record]) -> None:
        """Steps of the current wave; of a great one, those that run or failed."""

    def most_waves(self) -> int:
        """How many waves around the current one it shows; 0: none, and nobody asks for them."""

    def waves(self, waves: list[Record]) -> None:
        """These, in order, with how many of their steps are where."""

    def log(self, pieces: list[Record]) -> None:
        """The next pieces of the log."""

    def notice(self, text: str) -> None:
        """Something about the watching itself."""

    def ended(self, deployment: Record, code: ExitCode) -> None:
        """It is over, and the log is complete."""


@dataclass(slots=True)
class Timing:
    """The clocks of a watch; `timeout_seconds` None waits for ever."""

    timeout_seconds: float | None = None
    pause: Callable[[float], None] = field(default_factory=lambda: pause)
    monotonic: Callable[[], float] = clock.monotonic
    started: float = field(init=False)

    def __post_init__(self) -> None:
        self.started = self.monotonic()

    def seconds_left(self) -> float | None:
        """Before the time is up; None: never."""
        if self.timeout_seconds is None:
            return None
        return self.timeout_seconds - (self.monotonic() - self.started)

    def check(self, deployment_id: int) -> None:
        """Raises WaitTimedOutError when the time is up."""
        left = self.seconds_left()
        if left is None or left > 0:
            return
        raise WaitTimedOutError(f"Not ended within {self.timeout_seconds:g} s; {comeback(deployment_id)}")


def comeback(deployment_id: int) -> str:
    """Says that leaving ends nothing, and how to return."""
    return f"deployment {deployment_id} goes on; come back with: releasectl deployments watch {deployment_id}"


def watch_to_end(client: Client, deployment_id: int, *, view: View, timing: Timing) -> ExitCode:
    """Follow a deployment, whatever has its place, and the rollback its failure started; the exit code says how it all ended."""
    deployment = _follow(client, deployment_id, view=view, timing=timing)
    code = END_CODES[DeploymentStatus(deployment["status"])]
    rollback_id = deployment.get("rolled_back_by_id")
    if code is ExitCode.FAILED and rollback_id is not None:
        view.notice(f"deployment {deployment['id']} failed; following its rollback, deployment {rollback_id}")
        deployment = _follow(client, rollback_id, view=view, timing=timing)
        if deployment["status"] == DeploymentStatus.SUCCEEDED:
            code = ExitCode.ROLLED_BACK
    view.ended(deployment, code)
    return code


def _follow(client: Client, deployment_id: int, *, view: View, timing: Timing) -> Record:
    """To the end of it, or of the one that has its place: the same release, with another plan."""
    deployment = Follower(client, deployment_id, view=view, timing=timing).run()
    while (instead := deployment.get("replaced_by_id")) is not None:
        view.notice(f"deployment {deployment['id']} got another plan; following deployment {instead}")
        deployment = Follower(client, instead, view=view, timing=timing).run()
    return deployment


@dataclass(slots=True)
class Follower:
    """Follows one deployment: told by the server where it streams, else by polls, faster while things happen.

    Survives a server that is away for a minute.
    """

    client: Client
    deployment_id: int
    view: View = field(kw_only=True)
    timing: Timing = field(kw_only=True)
    with_log: bool = field(default=True, kw_only=True)
    with_steps: bool = field(default=True, kw_only=True)
    step: int | None = field(default=None, kw_only=True)
    tail: int | None = field(default=None, kw_only=True)
    reader: LogReader = field(init=False)
    _seen: Record | None = None
    _waves_of: tuple[int, Record] | None = None
    _waves_asked_at: float = -math.inf
    _great_waves: set[int] = field(default_factory=set)
    _away_since: float | None = None
    _interval: float = FASTEST_SECONDS

    def __post_init__(self) -> None:
        self.reader = LogReader(self.client, self.deployment_id, step=self.step, tail=self.tail)

    def run(self) -> Record:
        """Until it is terminal and its log is complete; returns it as it ended. Raises LeavingError."""
        try:
            return self._run()
        except KeyboardInterrupt:
            raise LeavingError(self.deployment_id) from None

    def _run(self) -> Record:
        if self.with_log and self.tail is None:
            stream = DeploymentStream(self.client, self.deployment_id, self.step)
            if StreamReader(stream, self).run() and self._seen is not None:
                return self._seen
        return self._poll_to_end()

    def told(self, deployment: Record) -> None:
        """By the stream: how it stands."""
        self._seen = deployment
        self.view.deployment(deployment)
        self._show_waves(deployment)

    def told_steps(self, steps: list[Record]) -> None:
        """By the stream: steps of one wave."""
        if self.with_steps:
            self.view.steps(steps)

    def told_log(self, page: Record) -> None:
        """By the stream: the next page of the log."""
        self.reader.cursor = page["next_cursor"]
        if page["items"]:
            self.view.log(page["items"])

    def seconds_left(self) -> float | None:
        """Before it is to give up."""
        return self.timing.seconds_left()

    def pause(self, seconds: float) -> None:
        """Wait."""
        self.timing.pause(seconds)

    def _poll_to_end(self) -> Record:
        empty = 0
        while True:
            try:
                deployment, changed, complete = self._poll()
            except (UnreachableError, ApiError) as error:
                self._bear(error)
                changed = False
            else:
                self._answered()
                if deployment["status"] in TERMINAL:
                    empty = 0 if changed else empty + 1
                    if complete or empty >= EMPTY_POLLS_AFTER_END:
                        return deployment
            self.timing.check(self.deployment_id)
            self._interval = FASTEST_SECONDS if changed else min(SLOWEST_SECONDS, self._interval * 1.5)
            self.timing.pause(self._interval)

    def _poll(self) -> tuple[Record, bool, bool]:
        deployment = self.client.deployment(self.deployment_id)
        before, self._seen = self._seen, deployment
        self.view.deployment(deployment)
        self._show_waves(deployment)
        if self.with_steps:
            self._show_steps(before, deployment)
        # Asked after the status: a terminal status seen first means that the log asked next is the whole.
        pieces = self._show_log() if self.with_log else 0
        complete = self.reader.complete or not self.with_log
        return deployment, deployment != before or pieces > 0, complete

    def _show_steps(self, before: Record | None, now: Record) -> None:
        if not now.get("started_at") or not now["progress"]["waves"]:
            return
        left = before["progress"] if before is not None and before.get("started_at") else now["progress"]
        if left["wave"] != now["progress"]["wave"]:
            self.view.steps(self._steps_of({**now["progress"], "wave": left["wave"]}))
        self.view.steps(self._steps_of(now["progress"]))

    def _steps_of(self, progress: Record) -> list[Record]:
        """All steps of a small wave; of ten thousand, a screenful of those that matter."""
        path, wave = f"/deployments/{self.deployment_id}/steps", progress["wave"]
        if wave not in self._great_waves:
            page = self.client.page(path, wave=wave, limit=STEPS_SHOWN)
            if page.next_cursor is None:
                return page.items
            self._great_waves.add(wave)
        matter = [status for status in ("failed", "unknown", "running") if progress[status]]
        pages = (self.client.page(path, wave=wave, status=status, limit=STEPS_SHOWN) for status in matter)
        return [step for page in pages for step in page.items]

    def _show_waves(self, now: Record) -> None:
        """Those around the current one, where anything changed, but not all the time: of an ended one they are the last."""
        most, about, at = self.view.most_waves(), (now["id"], now["progress"]), self.timing.monotonic()
        is_over = now["status"] in TERMINAL
        too_soon = at - self._waves_asked_at < WAVES_SECONDS and not is_over
        if not most or not now.get("started_at") or about == self._waves_of or too_soon:
            return
        self._waves_asked_at = at
        first = max(0, min(now["progress"]["wave"] - most // 2, now["progress"]["waves"] - most))
        try:
            page = self.client.page(f"/deployments/{now['id']}/waves", first=first, limit=most)
        except (UnreachableError, ApiError):
            return  # they are an extra: what has to be known comes with the deployment
        self._waves_of = about
        self.view.waves(page.items)

    def _show_log(self) -> int:
        shown = 0
        for pieces in self.reader.pages(most=PAGES_A_POLL):
            self.view.log(pieces)
            shown += len(pieces)
        return shown

    def _bear(self, error: UnreachableError | ApiError) -> None:
        """A server that restarts is no reason to leave; any other error is."""
        passing = isinstance(error, UnreachableError) or (
            error.status >= HTTPStatus.INTERNAL_SERVER_ERROR or error.status == HTTPStatus.TOO_MANY_REQUESTS
        )
        if not passing:
            raise error
        now = self.timing.monotonic()
        if self._away_since is None:
            self._away_since = now
            self.view.notice(
                f"{error.message} Trying again for {OUTAGE_SECONDS:g} s; the deployment goes on."
            )
        elif now - self._away_since > OUTAGE_SECONDS:
            raise error

    def _answered(self) -> None:
        if self._away_since is not None:
            self._away_since = None
            self.view.notice("the server is back")
