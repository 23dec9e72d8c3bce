"""Every kind of target that is registered keeps the public contract."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator import plugins
from orchestrator.domain.errors import SettingsRefusedError
from orchestrator.targets import runs as files
from orchestrator.targets.base import Command, Exited, Run, Target
from orchestrator.targets.command import CommandTarget
from orchestrator.targets.docker import DockerTarget, LocalDockerTarget
from orchestrator.targets.http import HttpTarget
from orchestrator.targets.noop import NoopTarget
from orchestrator.targets.processes import Processes
from orchestrator.targets.ssh import SshTarget
from orchestrator.testing import TargetContract
from tests.dockerd import Dockerd, needs_dockerd
from tests.receiver import LOOPBACK, Receiver, receiving
from tests.sshd import Sshd, serving

WITHOUT_COMMANDS = {"noop"}


def test_every_registered_kind_has_its_contract_test() -> None:
    tested = {contract.kind for contract in TargetContract.__subclasses__()}
    assert set(plugins.target_kinds()) - WITHOUT_COMMANDS <= tested


@pytest.mark.parametrize("kind", sorted(plugins.target_kinds()))
def test_kind_says_whether_its_runs_live_on_the_workers_node(kind: str) -> None:
    assert isinstance(plugins.target_kind(kind).node_bound, bool)


class TestCommandTarget(TargetContract):
    kind = "command"

    @pytest.fixture(autouse=True)
    def leave_nothing(self, tmp_path: Path) -> Iterator[None]:
        """End also what a test that failed has started."""
        yield
        for folder in (tmp_path / "runs" / "runs").glob("[!.]*"):
            if left := files.processes(folder):
                left.kill()

    @pytest.fixture
    def target(self, tmp_path: Path) -> Target:
        return CommandTarget.from_settings({}, runs_dir=str(tmp_path / "runs"))

    def kill_supervisor(self, target: Target, run: Run) -> None:
        assert isinstance(target, CommandTarget)
        os.kill(files.supervisor(target.runs.folder(run.name)), signal.SIGKILL)


class TestCommandTargetWithoutCgroups(TestCommandTarget):
    """Where no cgroup can be had, the environment alone finds what must end."""

    @pytest.fixture
    def target(self, tmp_path: Path) -> Target:
        return CommandTarget(files.Runs(tmp_path / "runs", cgroups=False))


@pytest.mark.skipif(not shutil.which("busybox"), reason="busybox is not installed")
class TestCommandTargetUnderBusybox(TestCommandTarget):
    """The supervisor runs under busybox ash, the shell of small systems."""

    @pytest.fixture
    def target(self, tmp_path: Path) -> Target:
        busybox = str(shutil.which("busybox"))
        return CommandTarget(files.Runs(tmp_path / "runs"), interpreter=(busybox, "ash"))


class TestSshTarget(TargetContract):
    """Against a server over SSH; `sh` is what the host has."""

    kind = "ssh"

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
        with serving(tmp_path_factory.mktemp("sshd")) as server:
            yield server

    @pytest.fixture
    def target(self, server: Sshd) -> Target:
        return SshTarget.from_settings(server.settings(), runs_dir=str(server.folder / "runs"))

    @pytest.fixture(autouse=True)
    def leave_nothing(self, server: Sshd) -> Iterator[None]:
        """End also what a test that failed has started."""
        yield
        for folder in (server.folder / "remote" / "alone" / "runs").glob("[!.]*"):
            if (folder / "mark").exists():
                Processes((folder / "mark").read_text().split()[0]).kill()

    def kill_supervisor(self, target: Target, run: Run) -> None:
        assert isinstance(target, SshTarget)
        pid = Path(target.root, "alone", "runs", run.name, "pid").read_text()
        os.kill(int(pid), signal.SIGKILL)


@pytest.mark.skipif(not shutil.which("busybox"), reason="busybox is not installed")
class TestSshTargetOnBusybox(TestSshTarget):
    """The host has nothing but busybox, and flock where its busybox has none."""

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
        with serving(tmp_path_factory.mktemp("sshd"), PATH=str(programs_of_busybox(tmp_path_factory))) as it:
            yield it


class InContainers:
    """What scripts know by a number has another one outside."""

    ends_with_its_command = True
    dockerd: Dockerd

    @pytest.fixture(autouse=True)
    def know_the_daemon(self, empty_dockerd: Dockerd) -> None:
        self.dockerd = empty_dockerd

    def is_alive(self, pid: int) -> bool:
        return bool(self.dockerd.processes(pid))

    def kill_supervisor(self, target: Target, run: Run) -> None:
        assert isinstance(target, DockerTarget)
        document = target.engine.ask("GET", f"/containers/alone.{run.name}/json").document
        os.kill(document["State"]["Pid"], signal.SIGKILL)


@needs_dockerd
class TestLocalDockerTarget(InContainers, TargetContract):
    """Against a real daemon, by its socket; the scripts see the folder of the test."""

    kind = "docker-local"

    @pytest.fixture
    def target(self, empty_dockerd: Dockerd, tmp_path: Path) -> Target:
        settings = empty_dockerd.local_settings(volumes=[f"{tmp_path}:{tmp_path}"])
        return LocalDockerTarget.from_settings(settings, runs_dir="/nowhere")


@needs_dockerd
class TestDockerTarget(InContainers, TargetContract):
    """Over TLS."""

    kind = "docker"

    @pytest.fixture
    def target(self, empty_dockerd: Dockerd, tmp_path: Path) -> Target:
        settings = empty_dockerd.settings(volumes=[f"{tmp_path}:{tmp_path}"])
        return DockerTarget.from_settings(settings, runs_dir="/nowhere")


class TestHttpTarget(TargetContract):
    """Against the receiver of `examples/receiver`, a process of its own."""

    kind = "http"

    @pytest.fixture(scope="class")
    @classmethod
    def receiver(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
        with receiving(tmp_path_factory.mktemp("receiver")) as receiver:
            yield receiver

    @pytest.fixture
    def target(self, receiver: Receiver) -> Target:
        return HttpTarget.from_settings(receiver.settings(), runs_dir="/nowhere").within(LOOPBACK)

    @pytest.fixture(autouse=True)
    def leave_nothing(self, receiver: Receiver) -> Iterator[None]:
        """End also what a test that failed has started."""
        yield
        for folder in (receiver.runs.root / "runs").glob("[!.]*"):
            if left := files.processes(folder):
                left.kill()

    def kill_supervisor(self, target: Target, run: Run) -> None:
        assert isinstance(target, HttpTarget)
        runs = files.Runs(Path(target.secret_file).with_name("runs"))
        os.kill(files.supervisor(runs.folder(run.name)), signal.SIGKILL)


def programs_of_busybox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every program of busybox."""
    folder = tmp_path_factory.mktemp("busybox")
    busybox = str(shutil.which("busybox"))
    for name in subprocess.run(
        [busybox, "--list"], capture_output=True, text=True, check=True
    ).stdout.split():
        (folder / name).symlink_to(busybox)
    if not (folder / "flock").exists():
        (folder / "flock").symlink_to(str(shutil.which("flock")))
    return folder


def test_noop_succeeds_at_once_and_writes_nothing() -> None:
    target = NoopTarget.from_settings({}, runs_dir="/nowhere")
    run = Run("1-1-1", "shop/staging/web", 1)
    target.start(run, Command("exit 1", {}))
    assert target.poll(run, 0) == Exited(0, b"", 0)
    target.abort(run, grace_seconds=0)
    assert target.poll(run, 5) == Exited(0, b"", 5)


def test_noop_refuses_any_setting() -> None:
    with pytest.raises(SettingsRefusedError, match="directory"):
        NoopTarget.from_settings({"directory": "/srv"}, runs_dir="/nowhere")
