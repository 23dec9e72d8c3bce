"""A real Docker daemon for the tests, with a registry and an image of busybox: from Debian's packages, as root, in one folder."""

import contextlib
import io
import os
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import pytest

from orchestrator.targets.base import TargetError
from orchestrator.targets.docker_engine import Engine
from tests.acceptance.fleet import eventually
from tests.ports import free_port
from tests.servers import is_gone
from tests.unit.test_posting_https import write_certificate

_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
_PROGRAMS = ("dockerd", "containerd", "runc", "tini-static", "docker-registry", "busybox")
_MISSING = [each for each in _PROGRAMS if not shutil.which(each, path=_PATH)]
needs_dockerd = pytest.mark.skipif(
    bool(_MISSING) or os.geteuid() != 0,
    reason="DOCKER IS NOT TESTED HERE: that needs root, and Debian's docker.io, tini, docker-registry and busybox",
)


def program(name: str) -> str:
    return str(shutil.which(name, path=_PATH))


@dataclass
class Registry:
    """A registry on loopback; with `users` it wants to know who asks, by lines of htpasswd."""

    folder: Path
    users: str = ""
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def name(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        config: dict[str, object] = {
            "version": 0.1,
            "log": {"level": "error"},
            "storage": {"filesystem": {"rootdirectory": str(self.folder / "images")}},
            "http": {"addr": self.name},
        }
        if self.users:
            (self.folder / "users").write_text(self.users)
            config["auth"] = {"htpasswd": {"realm": "tests", "path": str(self.folder / "users")}}
        file = self.folder / "config.yml"
        file.write_bytes(orjson.dumps(config))
        log = (self.folder / "log").open("wb")
        self.process = subprocess.Popen([program("docker-registry"), "serve", file], stdout=log, stderr=log)
        eventually(self._listens, "the registry listens")

    def _listens(self) -> bool:
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", self.port)):
            return True
        return False

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@dataclass
class Dockerd:
    """One daemon; it keeps its folder and its ports when it is started anew.

    It has no bridge: containers are on no network, or on the host's.
    """

    folder: Path
    live_restore: bool = False
    port: int = field(default_factory=free_port)
    image: str = ""
    """Busybox, by its digest."""
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def socket(self) -> Path:
        return self.folder / "docker.sock"

    @property
    def engine(self) -> Engine:
        return Engine(f"unix://{self.socket}")

    def settings(self, *, port: int = 0, **more: object) -> dict[str, object]:
        """What a target of the kind `docker` is set to; `port`: of what stands before the daemon."""
        return {
            "host": f"tcp://localhost:{port or self.port}",
            "ca": str(self.folder / "certificate.pem"),
            "certificate": str(self.folder / "certificate.pem"),
            "key": str(self.folder / "key.pem"),
            "image": self.image,
            "network": "none",
            **more,
        }

    def local_settings(self, **more: object) -> dict[str, object]:
        """What a target of the kind `docker-local` is set to."""
        return {"socket": str(self.socket), "image": self.image, "network": "none", **more}

    def start(self) -> None:
        """Start it, and wait until it answers."""
        config = {
            "bridge": "none",
            "iptables": False,
            "ip6tables": False,
            "ip-forward": False,
            "ip-masq": False,
            "cgroup-parent": f"/{self.folder.name}",
            "live-restore": self.live_restore,
            "init-path": program("tini-static"),
            "default-ulimits": {"nofile": {"Name": "nofile", "Soft": 1024, "Hard": 1024}},
            "shutdown-timeout": 2,
        }
        (self.folder / "daemon.json").write_bytes(orjson.dumps(config))
        if not (self.folder / "key.pem").exists():
            write_certificate(self.folder, "localhost")
        certificate, key = self.folder / "certificate.pem", self.folder / "key.pem"
        words = [
            *("--config-file", self.folder / "daemon.json", "--pidfile", self.folder / "pid"),
            *("--data-root", self.folder / "data", "--exec-root", self.folder / "exec"),
            *("--host", f"unix://{self.socket}", "--host", f"tcp://127.0.0.1:{self.port}"),
            *("--tlsverify", "--tlscacert", certificate, "--tlscert", certificate, "--tlskey", key),
        ]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [program("dockerd"), *words],
                env={"PATH": _PATH, "HOME": str(self.folder)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        eventually(self._is_up, "the Docker daemon answers")

    def restart(self, *, kill: bool) -> None:
        """Start it anew, after `kill -9` or after it has ended by itself."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        self.process.wait()
        if kill:
            (self.folder / "pid").unlink()
            containerd = self.folder / "exec" / "containerd" / "containerd.pid"
            eventually(lambda: is_gone(int(containerd.read_text())), "its containerd ends with it")
            containerd.unlink()  # where nobody collects the dead, the next daemon would take it for alive
        self.start()

    def clear(self) -> None:
        """Remove every container, whatever it does, and every volume: the databases of tests are one installation."""
        for container in self.engine.ask("GET", "/containers/json", query={"all": "true"}).document:
            self.engine.ask("DELETE", f"/containers/{container['Id']}", query={"force": "true", "v": "true"})
        for volume in self.engine.ask("GET", "/volumes").document["Volumes"] or []:
            self.engine.ask("DELETE", f"/volumes/{volume['Name']}")

    def stop(self) -> None:
        """End it, and everything that it has started."""
        if self.process is not None and self.process.poll() is None:
            with contextlib.suppress(TargetError):
                self.clear()
            self.process.terminate()
            self.process.wait()
        for pid in [*_holding("cmdline", str(self.folder)), *_holding("cgroup", f"/{self.folder.name}/")]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for mount in reversed(_mounts(self.folder)):
            subprocess.run([program("umount"), "--lazy", mount], check=True)

    def processes(self, pid: int) -> list[int]:
        """The processes of runs which are called `pid` in their containers, as this machine calls them."""
        found = []
        for process in _holding("cgroup", f"/{self.folder.name}/"):
            with contextlib.suppress(OSError):
                status = Path(f"/proc/{process}/status").read_text()
                names = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[1:]
                is_run = b"DEPLOYMENT_RUN=" in Path(f"/proc/{process}/environ").read_bytes()
                if len(names) > 1 and names[-1] == str(pid) and is_run and "\nState:\tZ" not in status:
                    found.append(process)
        return found

    def publish(
        self,
        registry: Registry,
        name: str,
        root: bytes | None = None,
        *,
        changes: tuple[str, ...] = (),
        who: str = "e30=",
    ) -> str:
        """Make an image of a root, of busybox if none is given, push it, and give what it is called by its digest."""
        query = {"fromSrc": "-", "repo": f"{registry.name}/{name}", "tag": "latest", "changes": changes}
        self.engine.ask(
            "POST", "/images/create", query=query, archive=root or busybox({}), seconds=60
        ).expected()
        pushed = f"/images/{registry.name}/{name}/push"
        for said in self.engine.lines(
            pushed, query={"tag": "latest"}, headers={"X-Registry-Auth": who}, seconds=60
        ):
            assert "error" not in said, said
        document = self.engine.ask("GET", f"/images/{registry.name}/{name}/json").expected().document
        return str(document["RepoDigests"][0])

    def _is_up(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise RuntimeError(f"dockerd ended: {(self.folder / 'log').read_text()[-2000:]}")
        try:
            return self.engine.ask("GET", "/_ping").ok
        except TargetError:
            return False


@contextlib.contextmanager
def dockerd_in(folder: Path, *, live_restore: bool = False) -> Iterator[Dockerd]:
    """A daemon with an image, gone afterwards; where none can be had the test is skipped, but not in CI."""
    made = Dockerd(folder, live_restore)
    registry = Registry(folder / "registry")
    try:
        try:
            made.start()
        except (RuntimeError, AssertionError) as error:
            if os.environ.get("CI"):
                raise
            pytest.skip(f"DOCKER IS NOT TESTED HERE: {error}")
        registry.start()
        made.image = made.publish(registry, "tool")
        yield made
    finally:
        registry.stop()
        made.stop()


@pytest.fixture(scope="session")
def dockerd() -> Iterator[Dockerd]:
    """The daemon of this test process."""
    with tempfile.TemporaryDirectory(prefix="dockerd-") as folder, dockerd_in(Path(folder)) as made:
        yield made


@pytest.fixture
def empty_dockerd(dockerd: Dockerd) -> Iterator[Dockerd]:
    """The same, whose containers are removed after the test."""
    yield dockerd
    dockerd.clear()


def busybox(files: Mapping[str, bytes]) -> bytes:
    """The root of a machine that has busybox with all its programs, what that needs, and these files."""
    made = io.BytesIO()
    path = program("busybox")
    listed = subprocess.run([path, "--list"], capture_output=True, text=True, check=True).stdout.split()
    linked = subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout.split()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name in ("bin", "tmp", "proc", "sys", "dev", "etc"):
            place = tarfile.TarInfo(name)
            place.type, place.mode = tarfile.DIRTYPE, 0o777
            archive.addfile(place)
        for library in {each for each in linked if each.startswith("/")}:
            _add(archive, library.lstrip("/"), Path(library).read_bytes())
        _add(archive, "bin/busybox", Path(path).read_bytes())
        for name in listed:
            if name != "busybox":
                link = tarfile.TarInfo(f"bin/{name}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                archive.addfile(link)
        for name, content in files.items():
            _add(archive, name, content)
    return made.getvalue()


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o755
    archive.addfile(member, io.BytesIO(content))


def _holding(file: str, text: str) -> list[int]:
    """Processes, other than this one, of which a file in /proc holds a text."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and text.encode() in (entry / file).read_bytes():
                found.append(int(entry.name))
    return [pid for pid in found if pid != os.getpid()]


def _mounts(folder: Path) -> list[str]:
    lines = Path("/proc/mounts").read_text().splitlines()
    return [place for place in (line.split()[1] for line in lines) if place.startswith(f"{folder}/")]
