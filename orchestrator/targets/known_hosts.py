"""The file of recorded host keys, as OpenSSH reads it: what is found is compared with it, and who recorded what stays in it."""

import base64
import binascii
import contextlib
import fcntl
import hashlib
import os
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestrator.targets.base import TargetError, TargetUnreachableError

SCAN_SECONDS = 10


@dataclass(frozen=True, slots=True)
class HostKey:
    """One key of one host; `place` as OpenSSH writes it: `host`, or `[host]:port` where the port is not 22."""

    place: str
    kind: str
    key: str

    @property
    def fingerprint(self) -> str:
        """As `ssh-keygen -l` shows it."""
        digest = hashlib.sha256(base64.b64decode(self.key)).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")

    def state_in(self, recorded: Iterable["HostKey"]) -> str:
        """`recorded`, `changed` (another one is) or `new`."""
        same = [each for each in recorded if (each.place, each.kind) == (self.place, self.kind)]
        if any(each.key == self.key for each in same):
            return "recorded"
        return "changed" if same else "new"


def scan(host: str, port: int) -> list[HostKey]:
    """Ask a host for its keys; it may be anybody who answers. Raises TargetUnreachableError."""
    words = ["ssh-keyscan", "-T", str(SCAN_SECONDS), "-p", str(port), "--", host]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    except OSError as error:
        raise TargetError(f"OpenSSH's ssh-keyscan cannot be started: {error.strerror}") from error
    found = read(done.stdout)
    if not found:
        raise TargetUnreachableError(f"nobody shows a key at {host}:{port}")
    return found


def read(text: str) -> list[HostKey]:
    """The keys in what `ssh-keyscan` wrote or in the file; other lines (comments, marks, hashed names) are none."""
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) < 3 or words[0][0] in "#@|":
            continue
        with contextlib.suppress(binascii.Error):
            base64.b64decode(words[2], validate=True)
            found += [HostKey(place, words[1], words[2]) for place in words[0].split(",")]
    return found


def recorded(file: Path) -> list[HostKey]:
    """The keys that workers accept."""
    return read(file.read_text()) if file.exists() else []


def record(file: Path, keys: Iterable[HostKey], *, note: str) -> None:
    """Write keys down, each with `note`; one that they take the place of stays as a comment. Readers see all of it or none."""
    with _locked(file):
        lines = file.read_text().splitlines() if file.exists() else []
        for new in keys:
            lines = [_outdated(line, new, note) for line in lines]
            lines.append(f"{new.place} {new.kind} {new.key} {note}")
        handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-")
        with os.fdopen(handle, "w") as written:
            written.write("".join(f"{line}\n" for line in lines))
            written.flush()
            os.fsync(written.fileno())
        Path(temporary).replace(file)


def _outdated(line: str, new: HostKey, note: str) -> str:
    is_same = any((each.place, each.kind) == (new.place, new.kind) for each in read(line))
    return f"# {line} (replaced: {note})" if is_same else line


@contextlib.contextmanager
def _locked(file: Path) -> Iterator[None]:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.with_name(f".{file.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
