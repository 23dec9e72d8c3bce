"""Real worker processes for the tests, their logs, and waiting for what has to come true."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TypeVar

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 60.0

T = TypeVar("T")


def eventually(look: Callable[[], T], what: str, *, within_seconds: float = PATIENCE_SECONDS) -> T:
    """Look until it is true; fail with `what` when it does not come true."""
    deadline = time.monotonic() + within_seconds
    pause = threading.Event()
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        pause.wait(0.05)
    raise AssertionError(f"did not come true: {what}")


@dataclass
class Process:
    """One process of ours in a session of its own."""

    popen: subprocess.Popen[bytes]
    log: Path

    def signal(self, number: int) -> None:
        os.kill(self.popen.pid, number)

    def kill(self) -> None:
        """kill -9, and wait for its end."""
        self.signal(signal.SIGKILL)
        self.popen.wait()

    def says(self, text: str) -> bool:
        return text in self.log.read_text(errors="replace")


@dataclass
class Fleet:
    """Starts workers and beats, and leaves none."""

    env: dict[str, str]
    folder: Path
    processes: list[Process] = field(default_factory=list)

    def worker(self, **env: str) -> Process:
        words = (
            "worker --pool threads --concurrency 50 -Q deployments,default --without-gossip --without-mingle"
        )
        name = f"w{len(self.processes)}@test"
        process = self._start(["workers", *words.split(), "-n", name, "--loglevel", "INFO"], env)
        eventually(lambda: process.says("ready."), "the worker is ready")
        return process

    def beat(self) -> Process:
        schedule = str(self.folder / f"beat{len(self.processes)}")
        return self._start(["workers", "beat", "--schedule", schedule], {})

    def flower(self, port: int, **env: str) -> Process:
        words = ["celery", "-A", "workers.app", "flower", "--address=127.0.0.1", f"--port={port}"]
        return self._start(words, env)

    def _start(self, words: list[str], env: dict[str, str]) -> Process:
        log = self.folder / f"process{len(self.processes)}.log"
        process = Process(self._popen(words, env, log.open("wb")), log)
        self.processes.append(process)
        return process

    def _popen(self, words: list[str], env: dict[str, str], log: IO[bytes]) -> subprocess.Popen[bytes]:
        with log:
            return subprocess.Popen(
                [sys.executable, "-m", *words],
                cwd=ROOT,
                env={"PATH": os.environ["PATH"], "HOME": str(self.folder), **self.env, **env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def close(self) -> None:
        for process in self.processes:
            if process.popen.poll() is None:
                process.signal(signal.SIGCONT)
                process.kill()


@contextmanager
def fleet(env: dict[str, str], folder: Path) -> Iterator[Fleet]:
    """A fleet that is gone afterwards, and with it what its runs left."""
    made = Fleet(env, folder)
    try:
        yield made
    finally:
        made.close()


def bearers(run: str, data_dir: Path) -> list[int]:
    """The processes that carry a run's name in their environment; other tests have runs of that name elsewhere."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            environment = (entry / "environ").read_bytes()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if f"DEPLOYMENT_RUN={run}\0".encode() in environment and bytes(data_dir) in environment:
            found.append(int(entry.name))
    return found
