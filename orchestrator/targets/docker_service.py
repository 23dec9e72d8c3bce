"""Replacing a service: its new container is the run, and what served before is put back unless all went well.

The worker keeps nothing. How far a replacement is, is in what the daemon has: a label of the new container says whose place it
takes, the service's name says who serves, and a record that is made once says how it ended. So whoever polls goes on with it.
"""

import contextlib
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orchestrator.domain.durations import parse_duration
from orchestrator.domain.errors import SettingsRefusedError
from orchestrator.targets.base import Exited, Poll, Run, Running, TargetError, TargetUnreachableError
from orchestrator.targets.command import PIECE_BYTES
from orchestrator.targets.docker_containers import CREATED, Container, Containers
from orchestrator.targets.docker_records import PREFIX, Records, fence_of, name_of
from orchestrator.targets.settings import refuse_unknown

REPLACE = "replace"
"""The text of the `run` that replaces the service."""
STOP_FIRST, START_FIRST = "stop-first", "start-first"
_RESTARTS = ("unless-stopped", "on-failure", "no")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_KNOWN = ("name", "command", "order", "drain", "settle", "restart")
_MOST_SECONDS = 600.0
_MOST_REASON = 300

_stops: dict[tuple[str, str], threading.Thread] = {}
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Service:
    """What a target's service is set to."""

    name: str
    command: tuple[str, ...]
    order: str
    restart: str
    drain_seconds: float
    """How long the old container has from TERM to KILL."""
    settle_seconds: float
    """How long a container must stay up whose image has no HEALTHCHECK."""

    @classmethod
    def from_settings(cls, settings: object) -> "Service":
        """Check them. Raises SettingsRefusedError."""
        if not isinstance(settings, Mapping):
            raise SettingsRefusedError("service", f"must be a mapping with a name, not {settings!r}")
        refuse_unknown(settings, _KNOWN)
        name, command = settings.get("name"), settings.get("command") or ()
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise SettingsRefusedError("service", f"must have the name of its container, not {name!r}")
        if not isinstance(command, list | tuple) or not all(isinstance(each, str) for each in command):
            raise SettingsRefusedError("service", "its command must be a list of texts")
        order, restart = settings.get("order", STOP_FIRST), settings.get("restart", _RESTARTS[0])
        if order not in (STOP_FIRST, START_FIRST):
            raise SettingsRefusedError(
                "service", f"its order must be {STOP_FIRST} or {START_FIRST}, not {order!r}"
            )
        if restart not in _RESTARTS:
            raise SettingsRefusedError("service", f"its restart must be one of {', '.join(_RESTARTS)}")
        drain, settle = _seconds(settings, "drain", "10s"), _seconds(settings, "settle", "3s")
        return cls(name, tuple(command), order, restart, drain, settle)


@dataclass(frozen=True, slots=True)
class Replacement:
    """One service at one daemon, and the ways from one container of it to the next."""

    service: Service
    containers: Containers
    records: Records

    def create(self, run: Run, config: Mapping[str, Any]) -> Container | None:
        """Make the new container beside the one that serves. Raises TargetError if that is somebody else's."""
        old = self.containers.named(self.service.name)
        if old is not None and (old.fence != fence_of(run) or not old.service):
            raise TargetError(f"the container {self.service.name} was not made for this target: remove it")
        labels = {
            f"{PREFIX}service": self.service.name,
            f"{PREFIX}replaces": old.id if old else "",
            f"{PREFIX}replaces-living": "yes" if old is not None and old.lives else "",
        }
        command = {"Cmd": list(self.service.command)} if self.service.command else {}
        return self.containers.create(run, {**config, **command}, labels=labels)

    def poll(self, run: Run, new: Container | None, offset: int) -> Poll:
        """Make the next move, and say how far it is. What the new container writes is the output, up to the verdict."""
        verdict = self.records.verdict(run)
        if verdict is None and new is not None:
            output = self.containers.engine.logs(new.id, offset=offset, most=PIECE_BYTES)
            if output:
                return Running(output, offset + len(output))
            why_not = self._advance(run, new)
            if why_not is None:
                return Running(b"", offset)
            self.records.judge(run, code=int(bool(why_not)), why=why_not)
        return self.settle(run, offset)

    def settle(self, run: Run, offset: int) -> Poll:
        """Do what the verdict says, and say it when it is done."""
        verdict = self.records.verdict(run)
        if verdict is None:
            raise TargetUnreachableError("the verdict of the replacement is not there")
        new = self.containers.find(run)
        old = self._replaced_by(new) if new is not None else None
        if verdict.code == 0 and old is not None:
            self.containers.remove(old)
        if verdict.code != 0 and new is not None:
            self._put_back(run, new, old)
        output = f"{verdict.why}\n".encode() if verdict.why else b""
        return Exited(verdict.code, output, offset + len(output))

    def abort(self, run: Run, *, code: int) -> None:
        """Put back what was, unless the replacement has its verdict already; then what that says."""
        self.records.judge(run, code=code, why="")
        self.settle(run, 0)

    def _advance(self, run: Run, new: Container) -> str | None:
        """One move: why it failed, "" when all is done, None while there is more to do."""
        old = self._replaced_by(new)
        if new.state == CREATED:
            if self.service.order == STOP_FIRST and not self._retired(old, new):
                return None
            return self._start(new)
        why_not = self._is_well(new)
        if why_not != "":
            return why_not
        self._take_name(old, new)
        if not self._retired(self._replaced_by(new), new):
            return None
        self.containers.keep_up(new, self.service.restart)
        return ""

    def _replaced_by(self, new: Container) -> Container | None:
        return self.containers.get(new.replaces) if new.replaces else None

    def _retired(self, old: Container | None, new: Container) -> bool:
        """Whether the old container has ended; if not it is told to. Its name says so before, for who would put it back."""
        if old is None or not old.lives:
            return True
        self._give_up_name(old, new)
        key = (self.containers.engine.host, old.id)
        with _lock:
            if key not in _stops or not _stops[key].is_alive():
                _stops[key] = threading.Thread(
                    target=self._stop, args=(old,), name="docker-stop", daemon=True
                )
                _stops[key].start()
        return False

    def _stop(self, old: Container) -> None:
        with contextlib.suppress(TargetError):
            self.containers.end(old, grace_seconds=self.service.drain_seconds)

    def _take_name(self, old: Container | None, new: Container) -> None:
        if new.name != self.service.name:
            if old is not None:
                self._give_up_name(old, new)
            self.containers.rename(new, self.service.name)

    def _give_up_name(self, old: Container, new: Container) -> None:
        if old.name == self.service.name:
            self.containers.rename(old, f"{self.service.name}.before.{new.id[:12]}")

    def _is_well(self, new: Container) -> str | None:
        """Why the new container is not, "" if it is, None while that is not known."""
        state = self.containers.inspect(new)["State"]
        if state["Status"] != "running":
            return f"the new container ended with exit code {state['ExitCode']}"
        health = state.get("Health") or {"Status": "none"}
        if health["Status"] == "unhealthy":
            said = (health.get("Log") or [{}])[-1].get("Output", "")
            return f"the new container is unhealthy: {said.strip()}"[:_MOST_REASON]
        if health["Status"] != "none":
            return "" if health["Status"] == "healthy" else None
        age = self.containers.engine.now() - datetime.fromisoformat(state["StartedAt"])
        return "" if age.total_seconds() >= self.service.settle_seconds else None

    def _start(self, new: Container) -> str | None:
        answer = self.containers.start(new)
        if answer.ok or self.containers.state(new) != CREATED:
            return None
        return f"the new container cannot be started: {answer.why}"

    def _put_back(self, run: Run, new: Container, old: Container | None) -> None:
        """The new container goes, and the old one serves again if it did before."""
        if old is not None and old.lives and old.name != self.service.name:
            self.containers.end(old, grace_seconds=self.service.drain_seconds)  # it has been told to end
            old = self.containers.get(old.id)
        if self.service.order == STOP_FIRST:
            self.containers.end(new, grace_seconds=0)
        if old is not None:
            if new.name == self.service.name:
                self.containers.rename(new, name_of(run))
            if old.name != self.service.name:
                self.containers.rename(old, self.service.name)
            if new.replaces_living and not old.lives:
                self.containers.start(old).expected()
        self.containers.end(new, grace_seconds=0)
        self.containers.remove(new)


def _seconds(settings: Mapping[str, Any], name: str, default: str) -> float:
    try:
        seconds = parse_duration(str(settings.get(name, default)))
    except ValueError as error:
        raise SettingsRefusedError("service", f"its {name}: {error}") from error
    if seconds > _MOST_SECONDS:
        raise SettingsRefusedError("service", f"its {name} is at most 10m")
    return seconds
