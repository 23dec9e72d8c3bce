"""An sshd on loopback for the tests, with keys in a folder of its own: the real one, or where there is none one in Python."""

import contextlib
import getpass
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.acceptance.fleet import eventually
from tests.ports import free_port

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") or ""
needs_sshd = pytest.mark.skipif(
    not SSHD, reason="SOME OF SSH IS NOT TESTED HERE: there is no sshd; install openssh-server"
)
"""For tests of what the server in Python does not do."""


@dataclass
class Sshd:
    """One server. `folder` holds `id` (what opens it), `home` and `known_hosts` (its key, recorded)."""

    folder: Path
    port: int = 0
    environment: dict[str, str] = field(default_factory=dict)
    """What sessions have in their environment beside what sshd gives."""
    more: str = ""
    """Further lines of its configuration."""
    real: bool = bool(SSHD)
    """Whether it is OpenSSH's; else it is one in Python."""
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def identity(self) -> Path:
        return self.folder / "id"

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    @property
    def user(self) -> str:
        """As whom it is entered."""
        return getpass.getuser()

    def settings(self, **more: object) -> dict[str, object]:
        """What a target of this server is set to."""
        return {
            "host": "127.0.0.1",
            "port": self.port,
            "user": self.user,
            "identity": str(self.identity),
            "runs": str(self.folder / "remote"),
            **more,
        }

    def start(self) -> None:
        self.folder.chmod(0o700)
        for name in ("host_key", "id"):
            if not (self.folder / name).exists():
                _keygen(self.folder / name)
        shutil.copy(self.folder / "id.pub", self.folder / "authorized_keys")
        self.port = self.port or free_port()
        self.record_key(self.known_hosts)
        log = self.folder / "sshd.log"
        with log.open("wb") as said:
            self.process = subprocess.Popen(self._words(), stdout=said, stderr=said, start_new_session=True)
        eventually(lambda: log.exists() and "Server listening" in log.read_text(), "sshd listens")

    def record_key(self, file: Path, *, port: int = 0) -> None:
        """Write the server's key where a worker looks for it, as that of `port`."""
        kind, key, *_ = (self.folder / "host_key.pub").read_text().split()
        with file.open("a") as known:
            known.write(f"[127.0.0.1]:{port or self.port} {kind} {key}\n")

    def new_host_key(self) -> None:
        """Become somebody else who answers at the same place."""
        self.stop()
        for name in ("host_key", "host_key.pub"):
            (self.folder / name).unlink()
        _keygen(self.folder / "host_key")
        known = self.known_hosts.read_bytes()
        self.start()
        self.known_hosts.write_bytes(known)

    def stop(self) -> None:
        """End the server and the sessions it has; what they started stays."""
        if self.process is None:
            return
        for child in _children(self.process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        self.process.kill()
        self.process.wait()
        self.process = None

    def _words(self) -> list[str]:
        """What starts it."""
        if not self.real:
            settings = [f"{name}={value}" for name, value in self.environment.items()]
            return [sys.executable, "-m", "tests.python_sshd", str(self.folder), str(self.port), *settings]
        with contextlib.suppress(OSError):
            Path("/run/sshd").mkdir(exist_ok=True)  # Debian's sshd insists on it when it is root's
        (self.folder / "config").write_text(self._config())
        return [SSHD, "-D", "-e", "-f", str(self.folder / "config")]

    def _config(self) -> str:
        # bash reads ~/.bashrc in calls, but not in a shell of a shell: what somebody put there is slow, or waits for others.
        environment = {"SHLVL": "2"} | self.environment
        lines = [self.more, "SetEnv " + " ".join(f"{name}={value}" for name, value in environment.items())]
        return f"""
Port {self.port}
ListenAddress 127.0.0.1
HostKey {self.folder}/host_key
AuthorizedKeysFile {self.folder}/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
MaxStartups 200
MaxSessions 10
""" + "\n".join([*lines, ""])


@contextlib.contextmanager
def serving(folder: Path, *, more: str = "", **environment: str) -> Iterator[Sshd]:
    """A server that is gone afterwards, and with it the connections that were kept to it."""
    folder.mkdir(parents=True, exist_ok=True)
    server = Sshd(folder, environment=environment, more=more)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _keygen(file: Path) -> None:
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(file)]
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL)


def _children(pid: int) -> list[int]:
    try:
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return []  # it ended meanwhile
    return [each for child in map(int, listed) for each in (*_children(child), child)]
