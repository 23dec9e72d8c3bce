"""The data folder of one installation: who holds it, its secrets, and where its stores may live."""

import fcntl
import hashlib
import json
import os
import secrets
import stat
import sys
from pathlib import Path
from typing import Any, Self

from orchestrator import clock
from orchestrator.domain.errors import ConflictError, MisconfiguredError
from orchestrator.embedded.spec import Account

NOBODY = Account(uid=65534, gid=65534)
"""Who the stores of root run as (Postgres refuses root): the one unprivileged user every Linux has."""
SYSTEM_HOME = Path("/var/lib/devops-release-manager")
"""Where the stores of root live if their user cannot reach the data folder (a checkout below a 0700 home)."""


class FolderInUseError(ConflictError):
    """Another process holds this data folder."""

    code = "folder_in_use"


class DataFolder:
    """A folder that one process at a time may hold.

    It is made on first use: 0700, or 0711 for root, whose stores run as another user and must pass.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._lock_fd: int | None = None

    def __enter__(self) -> Self:
        self.hold()
        return self

    def __exit__(self, *exc: object) -> None:
        self.release()

    @property
    def is_held(self) -> bool:
        """Whether this object holds the folder."""
        return self._lock_fd is not None

    def hold(self) -> None:
        """Take the folder until `release` or the end of this process. Raises FolderInUseError."""
        if not self.path.is_dir():
            self.path.mkdir(parents=True, exist_ok=True)
            self.path.chmod(0o711 if os.geteuid() == 0 else 0o700)
        fd = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(fd, 4096, 0).decode(errors="replace").strip()
            os.close(fd)
            raise FolderInUseError(
                f"the data folder {self.path} is in use by {holder or 'another process'}"
            ) from error
        os.ftruncate(fd, 0)
        who = Path(sys.argv[0]).name or "python"
        os.pwrite(fd, f"process {os.getpid()} ({who}), since {clock.now():%Y-%m-%d %H:%M:%S} UTC".encode(), 0)
        self._lock_fd = fd

    def release(self) -> None:
        """Let the folder go; a second call does nothing."""
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None

    def secret(self, name: str) -> str:
        """The secret kept in the file `name` (0600), made on first use: 64 hexadecimal digits."""
        path = self.path / name
        if not path.exists():
            write_private(path, secrets.token_hex(32))
        return path.read_text().strip()

    def read(self, name: str) -> dict[str, Any]:
        """The JSON object kept in the file `name`; empty if there is none."""
        path = self.path / name
        if not path.exists():
            return {}
        try:
            value = json.loads(path.read_text())
        except ValueError as error:
            raise MisconfiguredError(f"{path} cannot be read: {error}") from error
        if not isinstance(value, dict):
            raise MisconfiguredError(f"{path} must hold a JSON object")
        return value

    def write(self, name: str, value: dict[str, Any]) -> None:
        """Keep a JSON object in the file `name` (0600), by rename: readers see the old one or the new one."""
        write_private(self.path / name, json.dumps(value, indent=2) + "\n")


def write_private(path: Path, text: str, *, account: Account | None = None) -> None:
    """Replace a file by one that only its owner can read and that a crash leaves whole."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    if account:
        os.chown(temporary, account.uid, account.gid)
    temporary.replace(path)


def store_account() -> Account | None:
    """Who the stores must run as: None means as ourselves."""
    return NOBODY if os.geteuid() == 0 else None


def store_home(folder: Path, account: Account | None) -> Path:
    """Where the stores keep their data: `folder` if their user can reach it, else one below SYSTEM_HOME."""
    if account is None or reachable(folder, account):
        return folder
    home = SYSTEM_HOME / hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]
    if home.is_dir() and not reachable(home, account):
        raise MisconfiguredError(
            f"{home} must be open (x) for every user; or give a --data-dir that every user can reach"
        )
    for path in (SYSTEM_HOME, home):
        if not path.is_dir():
            path.mkdir()
            path.chmod(0o711)  # whatever the umask
    return home


def reachable(path: Path, account: Account) -> bool:
    """Whether this user may pass through every folder down to and into `path`."""
    path = path.resolve()
    return all(_may_pass(folder.stat(), account) for folder in (path, *path.parents))


def _may_pass(info: os.stat_result, account: Account) -> bool:
    if info.st_uid == account.uid:
        return bool(info.st_mode & stat.S_IXUSR)
    if info.st_gid == account.gid:
        return bool(info.st_mode & stat.S_IXGRP)
    return bool(info.st_mode & stat.S_IXOTH)
