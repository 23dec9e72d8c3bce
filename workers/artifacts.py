"""The files of releases on this node: fetched once, believed only by their checksum."""

import fcntl
import hashlib
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import unquote, urljoin, urlsplit

import urllib3

from orchestrator.config import Settings, names_in
from orchestrator.domain.artifacts import Artifact, is_allowed
from orchestrator.targets.base import TargetBusyError, TargetError, TargetUnreachableError
from orchestrator.targets.runs import keep_fresh
from workers.archives import ArchiveRefusedError, inspect

PIECE_BYTES = 256 * 1024
MOST_REDIRECTS = 5
UNPACKED_TIMES = 4
"""How many times as large as the largest artifact what is in one may be."""
_TIMEOUT = urllib3.Timeout(connect=5, read=10)
_LATER = {408, 425, 429}
_REDIRECTS = {301, 302, 303, 307, 308}


class _Source(Protocol):
    def read(self, amount: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Artifacts:
    """The folder of a node's artifacts: SUM is a whole one that was looked through, .SUM one that is being fetched."""

    folder: Path
    sources: tuple[str, ...]
    most_bytes: int

    @classmethod
    def of(cls, settings: Settings) -> "Artifacts":
        """As the settings say."""
        sources = tuple(names_in(settings.artifact_sources))
        return cls(settings.artifacts_dir, sources, settings.artifact_limit_bytes)

    def fetch(self, artifact: Artifact, go_on: Callable[[], bool]) -> Path | None:
        """The file of a release; None where `go_on` said no before it was there: the next call begins where this one ended.

        Raises TargetError for what no further try can mend, TargetBusyError while another step fetches it,
        TargetUnreachableError where it may be had later.
        """
        place = self.folder / artifact.sha256
        if keep_fresh(place):
            return place
        if not is_allowed(artifact.url, self.sources):
            raise TargetError(f"workers take no artifacts from {artifact.url}: see ARTIFACT_SOURCES")
        try:
            with self._alone(artifact):
                return self._fetch(artifact, place, go_on)
        except OSError as error:
            raise TargetUnreachableError(f"the artifact {artifact.url} cannot be kept: {error}") from error

    @contextmanager
    def _alone(self, artifact: Artifact) -> Iterator[None]:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.folder / f".{artifact.sha256}.lock").open("wb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise TargetBusyError(f"another step of this node fetches {artifact.url}") from error
            yield

    def _fetch(self, artifact: Artifact, place: Path, go_on: Callable[[], bool]) -> Path | None:
        if keep_fresh(place):
            return place
        part = place.with_name(f".{place.name}")
        with part.open("ab") as fresh:
            begun_at = fresh.tell()
            with _opened(artifact.url, begun_at, self.sources) as (source, offset):
                fresh.truncate(offset)
                while piece := source.read(PIECE_BYTES):
                    fresh.write(piece)
                    if fresh.tell() > self.most_bytes:
                        part.unlink()
                        raise TargetError(
                            f"{artifact.url} has more than {self.most_bytes} bytes (ARTIFACT_LIMIT_BYTES)"
                        )
                    if not go_on():
                        return None
        self._judge(artifact, part, resumed=offset > 0)
        part.rename(place)
        return place

    def _judge(self, artifact: Artifact, part: Path, *, resumed: bool) -> None:
        """Remove what is not the artifact. Raises TargetError."""
        with part.open("rb") as opened:
            found = hashlib.file_digest(opened, "sha256").hexdigest()
        if found != artifact.sha256:
            part.unlink()
            kind = TargetUnreachableError if resumed else TargetError
            raise kind(f"{artifact.url} has the SHA-256 {found}, and the release says {artifact.sha256}")
        try:
            inspect(part, most_bytes=UNPACKED_TIMES * self.most_bytes)
        except ArchiveRefusedError as error:
            part.unlink()
            raise TargetError(f"the artifact {artifact.url} is refused: {error}") from error


@contextmanager
def _opened(url: str, offset: int, sources: tuple[str, ...]) -> Iterator[tuple[_Source, int]]:
    """What comes from there, and from which byte on."""
    if urlsplit(url).scheme == "file":
        with _opened_file(url, sources) as file:
            file.seek(offset)
            yield file, offset
        return
    try:
        with urllib3.PoolManager(timeout=_TIMEOUT, retries=False) as pool:
            answer, begins = _ask(pool, url, offset, sources)
            with answer:
                yield answer, begins
    except urllib3.exceptions.HTTPError as error:
        raise TargetUnreachableError(f"{url} cannot be fetched: {error}") from error


@contextmanager
def _opened_file(url: str, sources: tuple[str, ...]) -> Iterator[BinaryIO]:
    path = Path(unquote(urlsplit(url).path))
    try:
        where = path.resolve(strict=True)
        if not is_allowed(where.as_uri(), tuple(_resolved(source) for source in sources)):
            raise TargetError(f"workers take no artifacts from {where}: see ARTIFACT_SOURCES")
        if not stat.S_ISREG(where.stat().st_mode):
            raise TargetError(f"{path} on the worker is no file")
        opened = where.open("rb")
    except OSError as error:
        raise TargetError(f"{path} on the worker cannot be read: {error.strerror}") from error
    with opened:
        yield opened


def _resolved(source: str) -> str:
    parts = urlsplit(source)
    return Path(unquote(parts.path)).resolve().as_uri() if parts.scheme == "file" else source


def _ask(
    pool: urllib3.PoolManager, url: str, offset: int, sources: tuple[str, ...]
) -> tuple[urllib3.BaseHTTPResponse, int]:
    headers = {"Accept-Encoding": "identity", "User-Agent": "devops-release-manager"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
    where = url
    for _ in range(MOST_REDIRECTS + 1):
        answer = pool.request("GET", where, headers=headers, preload_content=False, redirect=False)
        if answer.status == 200:
            return answer, 0
        if answer.status == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {offset}-"):
            return answer, offset
        answer.release_conn()
        if offset and answer.status in {206, 416}:
            del headers["Range"]
            offset = 0
        elif answer.status not in _REDIRECTS:
            raise _refusal(url if where == url else _shown(where), answer.status)
        else:
            where = _led_to(where, answer.headers.get("Location", ""))
            if not is_allowed(where, sources):
                raise TargetError(
                    f"{url} leads to {_shown(where)}, and workers take no artifacts from there: see ARTIFACT_SOURCES"
                )
    raise TargetError(f"{url} leads on more than {MOST_REDIRECTS} times")


def _led_to(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError as error:
        raise TargetError(f"{url} leads to what is no URL") from error


def _shown(url: str) -> str:
    """Where an answer led to, without its query: that may be a signature which opens it for everybody."""
    return urlsplit(url)._replace(query="", fragment="").geturl()


def _refusal(url: str, status: int) -> TargetError:
    kind = TargetUnreachableError if status >= 500 or status in _LATER else TargetError
    return kind(f"{url} answers with status {status}")
