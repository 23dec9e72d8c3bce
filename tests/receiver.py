"""The receiver of `examples/receiver` as a process of its own, for the tests of targets of the kind `http`."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestrator.domain import standard_webhooks
from orchestrator.domain.networks import read_networks
from orchestrator.targets.runs import Runs
from tests.ports import free_port

PROGRAM = Path(__file__).resolve().parents[1] / "examples" / "receiver" / "receiver.py"
LOOPBACK = read_networks("127.0.0.0/8")
KEY = bytes(range(32))


@dataclass
class Receiver:
    """One receiver; it keeps its port and its folder when it is started anew."""

    folder: Path
    port: int
    process: "subprocess.Popen[str] | None" = None

    @property
    def secret(self) -> Path:
        return self.folder / "secret"

    @property
    def runs(self) -> Runs:
        """Its runs, as files."""
        return Runs(self.folder / "runs")

    def settings(self, *, port: int = 0) -> dict[str, object]:
        """What a target of this receiver is set to; `port`: of what stands before it."""
        return {"url": f"http://127.0.0.1:{port or self.port}/runs", "secret": str(self.secret)}

    def start(self) -> None:
        words = ["--secret", self.secret, "--folder", self.folder / "runs", "--port", str(self.port)]
        self.process = subprocess.Popen([sys.executable, PROGRAM, *words], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        assert said == f"http://127.0.0.1:{self.port}/runs\n", said

    def kill(self) -> None:
        """End it at once; what it started goes on."""
        if self.process is None:
            return
        self.process.kill()
        self.process.communicate()
        self.process = None


@contextlib.contextmanager
def receiving(folder: Path) -> Iterator[Receiver]:
    """A receiver that is gone afterwards."""
    folder.mkdir(parents=True, exist_ok=True)
    receiver = Receiver(folder, free_port())
    receiver.secret.write_text(standard_webhooks.write_secret(KEY) + "\n")
    receiver.secret.chmod(0o600)
    receiver.start()
    try:
        yield receiver
    finally:
        receiver.kill()
