"""Where targets are that are not the workers' nodes: a host with an sshd and a Docker daemon, each behind a link of its own."""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path

from tests import dockerd, sshd
from tests.chaos.proxy import Proxy

NODE, HOST, CONTAINERS = "command", "ssh", "docker"
"""Where an application's targets are, as kinds of targets."""
SSHD, DOCKERD = f"{HOST}-sshd", f"{CONTAINERS}-dockerd"
"""The links by which workers reach the one host and the one daemon there is."""
_NOBODY = 1
"""A port at which nobody listens."""


class Places:
    """The host and the daemon; `reached` says of each kind that can be had here how a target is set, as YAML."""

    def __init__(self, folder: Path, proxy: Proxy, *, notice: Callable[[str], None]) -> None:
        self.reached = {NODE: "kind: command"}
        self.dockerd: dockerd.Dockerd | None = None
        self._folder = folder
        self._proxy = proxy
        self._notice = notice
        self._sshd = sshd.Sshd(folder / "sshd")
        self._stack = ExitStack()

    def start(self, data_dirs: Iterable[Path]) -> None:
        """Start what can be had; the host's key is recorded in each data folder."""
        self._start_sshd(data_dirs)
        self._start_dockerd()

    def stop(self) -> None:
        """End both, and all that runs in containers."""
        self._sshd.stop()
        if self.dockerd is not None:
            shutil.copy(self.dockerd.log, self._folder / "logs" / "dockerd.log")
        self._stack.close()

    def output(self, run: str) -> bytes | None:
        """What a run wrote, as the place where it ran keeps it; None where that is not known or gone."""
        found = [
            *self._folder.glob(f"*/runs/runs/{run}/output"),
            *self._folder.glob(f"host/*/runs/{run}/output"),
        ]
        if found:
            return found[0].read_bytes()
        return self.dockerd.output(run) if self.dockerd is not None else None

    def _start_sshd(self, data_dirs: Iterable[Path]) -> None:
        self._sshd.folder.mkdir()
        self._sshd.start()
        port = self._proxy.link(SSHD, self._sshd.port)
        for each in data_dirs:
            self._sshd.record_key(each / "known_hosts", port=port)
        self._reach(HOST, self._sshd.settings(port=port, runs=str(self._folder / "host")))

    def _start_dockerd(self) -> None:
        """One whose containers outlive it; its sockets need a shorter path than the harness's folder may have."""
        if dockerd.WHY_NOT:
            self._notice(
                f"NOTHING RUNS IN CONTAINERS: {dockerd.WHY_NOT}; those targets are the workers' nodes"
            )
            self._proxy.link(DOCKERD, _NOBODY)
            return
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="dockerd-")))
        self.dockerd = self._stack.enter_context(dockerd.running(folder, live_restore=True))
        port = self._proxy.link(DOCKERD, self.dockerd.port)
        seen = [f"{self._folder}:{self._folder}"]
        self._reach(CONTAINERS, self.dockerd.settings(port=port, volumes=seen))

    def _reach(self, kind: str, settings: dict[str, object]) -> None:
        self.reached[kind] = json.dumps({"kind": kind, **settings})[1:-1]
