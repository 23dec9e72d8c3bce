"""The target kinds `docker` and `docker-local`: each run is a container of its own, which outlives the worker."""

import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from http import HTTPStatus
from pathlib import Path
from typing import Any, ClassVar, Self

from orchestrator import clock
from orchestrator.domain.errors import SettingsRefusedError
from orchestrator.domain.variables import expand, references
from orchestrator.targets import docker_images
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
    TargetBusyError,
    TargetError,
    TargetUnreachableError,
)
from orchestrator.targets.command import PIECE_BYTES, uptime
from orchestrator.targets.docker_containers import CREATED, Container, Containers
from orchestrator.targets.docker_engine import Engine, packed
from orchestrator.targets.docker_fence import Fence
from orchestrator.targets.docker_records import Record, Records
from orchestrator.targets.docker_service import REPLACE, Replacement, Service
from orchestrator.targets.runs import NAME, exports
from orchestrator.targets.settings import absolute_path, refuse_unknown

HOME = "/.release-manager"
"""Where in its container a run is kept."""
CANNOT_RUN = frozenset({126, 127})
"""How the init of a container ends that finds no program, or none that it may run."""
SETTLING_SECONDS = 5.0
SETTLING_PAUSE_SECONDS = 0.1
SECOND_LOOK_SECONDS = 0.5
"""How long after the first look at a file that is not there the second is taken."""
_SOCKET = "/var/run/docker.sock"
_SHARED = ("image", "network", "volumes", "directory", "credentials", "service")
_HOST = re.compile(r"tcp://([A-Za-z0-9_][A-Za-z0-9._-]*|\[[0-9A-Fa-f:]+\]):[0-9]{1,5}")
_NETWORK = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_VOLUME = re.compile(r"[^:\0]+:/[^:\0]*(:ro|:rw)?")


@dataclass(frozen=True)
class DockerTarget:
    """A Docker daemon that is reached over TLS. A run's command begins in `directory`, by default in that of the image."""

    node_bound: ClassVar[bool] = False
    longest_pause_seconds: ClassVar[float] = 1.0

    engine: Engine
    image: str
    """With its digest; variables may stand in it."""
    network: str = ""
    volumes: tuple[str, ...] = ()
    directory: str = ""
    credentials: str = ""
    service: Service | None = None

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], *, runs_dir: str) -> Self:
        """Take `host`, `ca`, `certificate`, `key`, `image` (all required), `network`, `volumes`, `directory`, `credentials`."""
        refuse_unknown(settings, ("host", "ca", "certificate", "key", *_SHARED))
        host = settings.get("host")
        if not isinstance(host, str) or not _HOST.fullmatch(host):
            raise SettingsRefusedError("host", f"must be tcp://name:port, not {host!r}")
        files = [absolute_path(settings, name) for name in ("ca", "certificate", "key")]
        if not all(files):
            missing = ("ca", "certificate", "key")[files.index("")]
            raise SettingsRefusedError(missing, "must be the path of a file on the worker")
        return cls._made(Engine(host, *files), settings)

    @classmethod
    def _made(cls, engine: Engine, settings: Mapping[str, Any]) -> Self:
        return cls(
            engine,
            _image(settings),
            _network(settings),
            _volumes(settings),
            absolute_path(settings, "directory"),
            absolute_path(settings, "credentials"),
            Service.from_settings(settings["service"]) if settings.get("service") is not None else None,
        )

    def start(self, run: Run, command: Command) -> None:
        """Make the run's container and start it, unless the fence refuses; a second call does nothing."""
        _require_name(run)
        found, has_begun = self._look(run)
        fence = self._fence(run)
        if has_begun or fence.forbids_start(found):
            return
        fence.refuse_stale()
        fence.refuse_second()
        if found is not None and found.state != CREATED:
            self._clear(found, run)
            found = None
        container = found or self._create(run, command)
        if container is None:
            return  # somebody else is about to start it
        until = self._until(run)
        if not container.service:
            self._put(container, {**_files(command, run), "until": f"{until}\n".encode()})
        try:
            # Once more, now that it is there: of two that come at once, at least one sees the other.
            fence = self._fence(run)
            fence.refuse_stale()
            fence.refuse_second()
            fence.end_waiting(self._containers)
        except (StaleTokenError, TargetBusyError):
            self._containers.remove(container)
            raise
        record = self._records.claim(run)
        if record.code is not None:
            self._containers.remove(container)
            return
        if not container.service:  # who polls a replacement makes its moves
            self._begin(container, record)
        fence.forget(self._containers, self._records)

    def poll(self, run: Run, offset: int) -> Poll:
        """Say where the run is, from the state of its container and the files in it."""
        _require_name(run)
        found, has_begun = self._look(run)
        if found is None or not has_begun:
            return self._unbegun(run, found, offset)
        if found.service:
            return self._replacement.poll(run, found, offset)
        output, more = self._output(found, offset)
        end = offset + len(output)
        if found.lives or more:
            return Running(output, end)
        code = self._code(found)
        if code is None:
            return (
                Running(output, end) if output else Lost("its container ended without leaving an exit code")
            )
        return Exited(code, output, end)

    def abort(self, run: Run, *, grace_seconds: float) -> None:
        """End the run's container; for a run that never began in one it is written down that it never may."""
        _require_name(run)
        fence = self._fence(run)
        fence.refuse_stale()
        while not self._is_over(run, grace_seconds):
            pass
        if run.token > self._fence(run).token:
            self._records.keep_token(run)

    def _is_over(self, run: Run, grace_seconds: float) -> bool:
        """One step towards the end of a run, and whether it was the last."""
        found, has_begun = self._look(run)
        if found is not None and found.service and has_begun:
            self._replacement.abort(run, code=ABORTED_CODE)
            return True
        if found is not None and found.lives:
            self._put(found, {"aborting": b""})
            self._containers.end(found, grace_seconds=grace_seconds)
            return False
        if found is not None and has_begun:
            return True
        record = self._records.claim(run, code=ABORTED_CODE)
        if found is not None:
            # After it was written: who is about to start it sees the one or misses the other.
            if self._containers.remove(found) and record.code is None:
                self._records.forget(record)  # it never began, and cannot any more
            return False
        return True

    def _unbegun(self, run: Run, found: Container | None, offset: int) -> Poll:
        """What there is to say of a run that is in no container, or not yet."""
        record = self._records.find(run)
        if record is not None and record.code is not None:
            return Exited(record.code, b"", offset)
        if record is not None and found is None and self._records.verdict(run) is not None:
            return self._replacement.settle(run, offset)
        if record is not None and found is None:
            return Lost("its container was removed by somebody else")
        return Absent()

    def _look(self, run: Run) -> tuple[Container | None, bool]:
        """The run's container, and whether the run has begun in it, or may at any time."""
        found = self._containers.find(run)
        if found is None:
            return None, False
        if found.service:
            return found, self._records.find(run) is not None
        if found.lives:
            return found, True
        if not self._has_begun(found):
            return found, False
        return self._settled(run), True

    def _settled(self, run: Run) -> Container | None:
        """The container of a run that has begun; for a moment, or for good if the daemon was killed in it, it is `created`."""
        deadline = clock.monotonic() + SETTLING_SECONDS
        while True:
            found = self._containers.find(run)
            if found is None or found.state != CREATED or clock.monotonic() >= deadline:
                return found
            time.sleep(SETTLING_PAUSE_SECONDS)

    @cached_property
    def _containers(self) -> Containers:
        return Containers(self.engine)

    @cached_property
    def _replacement(self) -> Replacement:
        if self.service is None:
            raise TargetError("the target has no `service`, and the run is the replacement of one")
        return Replacement(self.service, self._containers, self._records)

    @cached_property
    def _records(self) -> Records:
        return Records(self.engine)

    def _fence(self, run: Run) -> Fence:
        return Fence.of(run, self._containers, self._records)

    def _until(self, _run: Run) -> str:
        """When it is too late for the run to begin; never, as whoever goes on with it asks the same daemon."""
        return ""

    def _create(self, run: Run, command: Command) -> Container | None:
        try:
            image = expand(self.image, command.env)
        except ValueError as error:
            raise TargetError(f"the image {self.image!r}: {error}") from error
        docker_images.require(self.engine, image, credentials=self.credentials)
        if self.service is not None and command.script.strip() == REPLACE:
            env = [f"{name}={value}" for name, value in command.env.items()]
            config = {"Image": image, "Env": env, "WorkingDir": self.directory, "HostConfig": self._host()}
            return self._replacement.create(run, config)
        return self._containers.create(run, self._config(image))

    def _clear(self, container: Container, run: Run) -> None:
        """Remove a container that ended before the run began: its worker had slept too long, or nothing can run in it."""
        code = self._containers.exit_code(container)
        if not self._containers.remove(container):
            raise TargetUnreachableError("somebody else has started the container")
        if code in CANNOT_RUN and (record := self._records.find(run)):
            self._records.forget(record)
            raise TargetError(f"the image {self.image!r} cannot run `sh`")

    def _put(self, container: Container, files: Mapping[str, bytes]) -> None:
        answer = self.engine.put(container.id, packed(files, folder=HOME.strip("/")))
        if answer.status == HTTPStatus.NOT_FOUND:
            raise TargetUnreachableError("somebody else has removed the container")
        answer.expected()

    def _begin(self, container: Container, record: Record) -> None:
        """Start a container that was made; one that somebody else removed does not start."""
        answer = self._containers.start(container)
        if answer.ok:
            return
        if self._containers.state(container) is None:
            raise TargetUnreachableError("somebody else has removed the container")
        if not self._has_begun(container):
            self._records.require(record)
            if self._containers.remove(container):
                self._records.forget(record)
                raise TargetError(f"the container cannot be started: {answer.why}")

    def _has_begun(self, container: Container) -> bool:
        return self._size(container, "begun") is not None

    def _size(self, container: Container, name: str) -> int | None:
        """How many bytes a file of the run has; None where there is none.

        A daemon that ends takes the files of its containers away, and for a moment says of each that it is not there.
        """
        path = f"{HOME}/{name}"
        size = self.engine.size(container.id, path)
        if size is None and not container.lives:
            time.sleep(SECOND_LOOK_SECONDS)
            size = self.engine.size(container.id, path)
        return size

    def _output(self, container: Container, offset: int) -> tuple[bytes, bool]:
        """A piece of the output from `offset` on, and whether there is more."""
        size = self._size(container, "output") or 0
        if size <= offset:
            return b"", False
        output = self.engine.read(container.id, f"{HOME}/output", offset=offset, most=PIECE_BYTES)
        return output, offset + len(output) < size

    def _code(self, container: Container) -> int | None:
        """The exit code of a run whose container has ended."""
        if self._size(container, "exit"):
            return int(self.engine.read(container.id, f"{HOME}/exit", offset=0, most=16))
        aborted = self._size(container, "aborting") is not None
        return ABORTED_CODE if aborted else None

    def _host(self) -> dict[str, Any]:
        network = {"NetworkMode": self.network} if self.network else {}
        return {"Binds": list(self.volumes), "RestartPolicy": {"Name": "no"}, **network}

    def _config(self, image: str) -> dict[str, Any]:
        return {
            "Image": image,
            "Entrypoint": ["sh", f"{HOME}/container.sh"],
            "Cmd": [],
            "Env": ["TINI_KILL_PROCESS_GROUP=1"],
            "StopSignal": "SIGTERM",
            "WorkingDir": self.directory,
            "HostConfig": {**self._host(), "Init": True, "LogConfig": {"Type": "none"}},
        }


@dataclass(frozen=True)
class LocalDockerTarget(DockerTarget):
    """The Docker daemon of the worker's node, by its socket."""

    node_bound: ClassVar[bool] = True

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], *, runs_dir: str) -> Self:
        """Take `image` (required), `socket`, `network`, `volumes`, `directory` and `credentials`."""
        refuse_unknown(settings, ("socket", *_SHARED))
        socket = absolute_path(settings, "socket") or _SOCKET
        return cls._made(Engine(f"unix://{socket}"), settings)

    def _until(self, run: Run) -> str:
        """The end of the worker's lease: the next attempt may be on another node."""
        if clock.monotonic() >= run.start_by:
            raise LateStartError("the lease ran out before the run could be started")
        return uptime(run.start_by)


@cache
def _program() -> bytes:
    return Path(__file__).with_name("container.sh").read_bytes()


def _files(command: Command, run: Run) -> dict[str, bytes]:
    """What the container is given: variables and secrets among it, which are nowhere else at the daemon."""
    return {
        "container.sh": _program(),
        "script": os.fsencode(command.script),
        "env": exports({**command.env, "DEPLOYMENT_RUN": run.name}),
    }


def _require_name(run: Run) -> None:
    if not NAME.fullmatch(run.name):
        raise TargetError(f"{run.name!r} cannot name a run: at most 200 letters, digits, '.', '_' and '-'")


def _image(settings: Mapping[str, Any]) -> str:
    image = settings.get("image")
    if not isinstance(image, str) or not image:
        raise SettingsRefusedError("image", "must be an image with its digest, or a variable that holds one")
    try:
        names = references(image)
    except ValueError as error:
        raise SettingsRefusedError("image", str(error)) from error
    if not names and not docker_images.IMAGE.fullmatch(image):
        raise SettingsRefusedError(
            "image", f"must have its digest, as registry/name@sha256:..., not {image!r}"
        )
    return image


def _network(settings: Mapping[str, Any]) -> str:
    network = settings.get("network") or ""
    if not isinstance(network, str) or not (network == "" or _NETWORK.fullmatch(network)):
        raise SettingsRefusedError("network", f"must be the name of a network, not {network!r}")
    return network


def _volumes(settings: Mapping[str, Any]) -> tuple[str, ...]:
    volumes = settings.get("volumes") or []
    if not isinstance(volumes, list | tuple):
        raise SettingsRefusedError("volumes", "must be a list of source:/path or source:/path:ro")
    for volume in volumes:
        if not isinstance(volume, str) or not _VOLUME.fullmatch(volume):
            raise SettingsRefusedError("volumes", f"must be source:/path or source:/path:ro, not {volume!r}")
    return tuple(volumes)
