"""Looking through the archive of a release before any host unpacks it: what leads out of its folder is refused."""

import tarfile
import zlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

MOST_MEMBERS = 200_000
_SET_ID = 0o6000


class ArchiveRefusedError(Exception):
    """The archive must not be unpacked; the message says why."""


def inspect(file: Path, *, most_bytes: int) -> None:
    """Read a tar or tar.gz to its end. Raises ArchiveRefusedError for another file, a bad member, or too much in it."""
    with file.open("rb") as opened:
        packed = opened.read(2) == b"\x1f\x8b"
    try:
        with tarfile.open(file, "r:gz" if packed else "r:") as archive:
            _require_harmless(archive, most_bytes)
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError) as error:
        raise ArchiveRefusedError(f"it is no tar or tar.gz that can be read: {error}") from error


def _require_harmless(members: Iterable[tarfile.TarInfo], most_bytes: int) -> None:
    size, seen = 0, dict[PurePosixPath, bool]()
    for member in members:
        path = _path(member)
        size += member.size
        if size > most_bytes:
            raise ArchiveRefusedError(f"unpacked it has more than {most_bytes} bytes")
        if len(seen) >= MOST_MEMBERS:
            raise ArchiveRefusedError(f"it has more than {MOST_MEMBERS} members")
        if path in seen and not (member.isdir() and seen[path]):
            raise ArchiveRefusedError(f"it has {member.name!r} twice")
        if any(seen.get(parent) is False for parent in path.parents):
            raise ArchiveRefusedError(f"{member.name!r} lies below what is no folder")
        _require_harmless_kind(member, path, seen)
        seen[path] = member.isdir()
    if not seen:
        raise ArchiveRefusedError("it is empty")


def _path(member: tarfile.TarInfo) -> PurePosixPath:
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts:
        raise ArchiveRefusedError(f"{member.name!r} leads out of the folder it is unpacked to")
    return path


def _require_harmless_kind(
    member: tarfile.TarInfo, path: PurePosixPath, seen: dict[PurePosixPath, bool]
) -> None:
    if member.isfile() and member.mode & _SET_ID:
        raise ArchiveRefusedError(f"{member.name!r} would run as somebody else (set-user-id)")
    if member.islnk() and seen.get(PurePosixPath(member.linkname)) is not False:
        raise ArchiveRefusedError(f"{member.name!r} is a hard link to what does not come before it")
    if member.issym() and _leads_out(PurePosixPath(member.linkname), depth=len(path.parts) - 1):
        raise ArchiveRefusedError(f"the link {member.name!r} leads out of the folder it is unpacked to")
    if not (member.isfile() or member.isdir() or member.islnk() or member.issym()):
        raise ArchiveRefusedError(f"{member.name!r} is neither a file, a folder nor a link")


def _leads_out(target: PurePosixPath, *, depth: int) -> bool:
    """A link may go up first, as far as its folder lies deep, and then down: nothing it passes can lead elsewhere."""
    ups = 0
    while ups < len(target.parts) and target.parts[ups] == "..":
        ups += 1
    return target.is_absolute() or ups > depth or ".." in target.parts[ups:]
