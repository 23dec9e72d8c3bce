"""Calls the Docker Engine API: over its socket, or over TLS with a certificate of ours."""

import base64
import io
import socket
import ssl
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import orjson
import urllib3
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.response import BaseHTTPResponse

from orchestrator.domain.printing import printable
from orchestrator.targets.base import TargetError, TargetUnreachableError

CONNECT_SECONDS = 5.0
CALL_SECONDS = 15.0
TLS_PORT = 2376
MOST_TEXT_CHARACTERS = 500
NEVER = "0001-01-01T00:00:00Z"
"""When a container was started that never was."""
_STAT = "X-Docker-Container-Path-Stat"
_PIECE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """What the daemon said: a document, or why not."""

    status: int
    document: Any

    @property
    def ok(self) -> bool:
        return self.status < 400

    @property
    def why(self) -> str:
        """A line for people, without what could disguise it."""
        said = self.document.get("message") if isinstance(self.document, dict) else None
        return _line(said) or f"status {self.status}"

    def expected(self) -> "Answer":
        """The same. Raises TargetUnreachableError where the daemon failed, TargetError where it refused."""
        if self.ok:
            return self
        if self.status >= 500:
            raise TargetUnreachableError(f"the Docker daemon failed: {self.why}")
        raise TargetError(f"the Docker daemon refuses: {self.why}")


@dataclass(frozen=True)
class Engine:
    """One daemon. `host` is `unix:///path` or `tcp://name:port`; the latter needs the three files."""

    host: str
    ca: str = ""
    certificate: str = ""
    key: str = ""

    def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: object = None,
        archive: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        seconds: float = CALL_SECONDS,
    ) -> Answer:
        """Send one request, with a document or with an archive, and read its answer. Raises TargetUnreachableError."""
        kind = "application/x-tar" if archive is not None else "application/json"
        sent = orjson.dumps(body) if body is not None else archive
        response = self._open(
            method,
            _url(path, query),
            body=sent,
            headers={"Content-Type": kind, **(headers or {})},
            seconds=seconds,
        )
        try:
            with closing(response):
                return _answer(response)
        except (urllib3.exceptions.HTTPError, HTTPException, OSError) as error:
            raise self._away(error) from error

    def lines(
        self, path: str, *, query: Mapping[str, Any], headers: Mapping[str, str], seconds: float
    ) -> Iterator[Mapping[str, Any]]:
        """POST, and hand out the documents of the answer as they come; `seconds` without one are too many."""
        response = self._open("POST", _url(path, query), body=None, headers=headers, seconds=seconds)
        rest = b""
        try:
            with closing(response):
                if response.status >= 400:
                    _answer(response).expected()
                for piece in response.stream(_PIECE_BYTES):
                    *whole, rest = (rest + piece).split(b"\n")
                    yield from _documents(whole)
                yield from _documents([rest])
        except (urllib3.exceptions.HTTPError, HTTPException, OSError) as error:
            raise self._away(error) from error

    def size(self, container: str, path: str) -> int | None:
        """How many bytes a file in a container has; None where there is none."""
        response = self._open("HEAD", _files(container, path), body=None, headers={}, seconds=CALL_SECONDS)
        with closing(response):
            response.read()  # nothing, but then the connection is kept
            stat = response.headers.get(_STAT)
        if response.status == 404:
            return None
        try:
            return int(orjson.loads(base64.b64decode(stat or ""))["size"])
        except (ValueError, KeyError, TypeError) as error:
            raise TargetUnreachableError(
                f"the Docker daemon does not say what {path} is: status {response.status}"
            ) from error

    def read(self, container: str, path: str, *, offset: int, most: int) -> bytes:
        """At most so many bytes of a file in a container, from `offset` on; what is before them is read and dropped."""
        response = self._open("GET", _files(container, path), body=None, headers={}, seconds=CALL_SECONDS)
        try:
            with closing(response):
                if response.status >= 400:
                    raise TargetUnreachableError(f"{path} cannot be read: status {response.status}")
                with tarfile.open(fileobj=response, mode="r|", bufsize=_PIECE_BYTES) as archive:
                    member = archive.next()
                    file = archive.extractfile(member) if member else None
                    if file is None:
                        raise TargetUnreachableError(f"{path} is not a file")
                    return _after(file, offset, most)
        except (urllib3.exceptions.HTTPError, HTTPException, OSError, tarfile.TarError) as error:
            raise self._away(error) from error

    def logs(self, container: str, *, offset: int, most: int) -> bytes:
        """At most so many bytes of what a container wrote, from `offset` on; none where the daemon keeps none."""
        url = f"/containers/{container}/logs?stdout=true&stderr=true"
        response = self._open("GET", url, body=None, headers={}, seconds=CALL_SECONDS)
        written = b""
        try:
            with closing(response):
                while (
                    response.status < 400
                    and len(written) < offset + most
                    and len(header := response.read(8)) == 8
                ):
                    written += response.read(int.from_bytes(header[4:], "big"))
        except (urllib3.exceptions.HTTPError, HTTPException, OSError) as error:
            raise self._away(error) from error
        return written[offset : offset + most]

    def now(self) -> datetime:
        """What time it is at the daemon."""
        return datetime.fromisoformat(self.ask("GET", "/info").expected().document["SystemTime"])

    def put(self, container: str, archive: bytes) -> Answer:
        """Unpack an archive at the root of a container."""
        query = {"path": "/"}
        return self.ask("PUT", f"/containers/{container}/archive", query=query, archive=archive)

    def _open(
        self, method: str, url: str, *, body: bytes | None, headers: Mapping[str, str], seconds: float
    ) -> BaseHTTPResponse:
        try:
            return self._pool.urlopen(
                method,
                url,
                body=body,
                headers=dict(headers),
                retries=False,
                redirect=False,
                preload_content=False,
                timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=seconds),
            )
        except (urllib3.exceptions.HTTPError, HTTPException, OSError) as error:
            raise self._away(error) from error

    def _away(self, error: Exception) -> TargetUnreachableError:
        """Why there is no answer, in words of which people can make something."""
        causes = [*_causes(error)]
        for each in causes:
            if isinstance(each, ssl.SSLCertVerificationError):
                return TargetUnreachableError(
                    f"the certificate of {self.host} is not one that {self.ca} vouches for: {each.verify_message}"
                )
            if isinstance(each, ssl.SSLError):
                return TargetUnreachableError(
                    f"{self.host} does not take the certificate {self.certificate}, or has no TLS: {each.reason or each}"
                )
        why = next((e.strerror for e in causes if isinstance(e, OSError) and e.strerror), "")
        return TargetUnreachableError(
            f"the Docker daemon at {self.host} does not answer: {why or type(error).__name__}"
        )

    @cached_property
    def _pool(self) -> HTTPConnectionPool:
        """Connections that are kept as long as this object is."""
        kind, _, place = self.host.partition("://")
        if kind == "unix":
            return _SocketPool("localhost", maxsize=4, path=place)
        name, _, port = place.rpartition(":")
        try:
            for file in (self.ca, self.certificate, self.key):
                Path(file).open("rb").close()  # so that an error names the file
            context = ssl.create_default_context(cafile=self.ca)
            context.load_cert_chain(self.certificate, self.key)
        except OSError as error:
            which = f"{error.filename}: " if error.filename else ""
            raise TargetError(
                f"the certificates for {self.host} cannot be used: {which}{error.strerror or 'they do not fit'}"
            ) from error
        return urllib3.HTTPSConnectionPool(name.strip("[]"), int(port), maxsize=4, ssl_context=context)


class _SocketConnection(HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, *args: Any, path: str, **more: Any) -> None:
        super().__init__(*args, **more)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(CONNECT_SECONDS)
        self.sock.connect(self._path)


class _SocketPool(HTTPConnectionPool):
    ConnectionCls = _SocketConnection


def packed(files: Mapping[str, bytes], *, folder: str) -> bytes:
    """An archive of a folder in which every user of a container may write, and of what is in it."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        place = tarfile.TarInfo(folder)
        place.type, place.mode = tarfile.DIRTYPE, 0o777
        archive.addfile(place)
        for name, content in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size, member.mode = len(content), 0o644
            archive.addfile(member, io.BytesIO(content))
    return made.getvalue()


def _answer(response: BaseHTTPResponse) -> Answer:
    read = response.read()
    try:
        document = orjson.loads(read) if read else None
    except orjson.JSONDecodeError:
        document = None
    return Answer(response.status, document)


def _after(file: Any, offset: int, most: int) -> bytes:
    while offset > 0 and (dropped := len(file.read(min(offset, _PIECE_BYTES)))):
        offset -= dropped
    return bytes(file.read(most))


def _url(path: str, query: Mapping[str, Any] | None) -> str:
    return path + (f"?{urlencode(query, doseq=True)}" if query else "")


def _files(container: str, path: str) -> str:
    return f"/containers/{container}/archive?path={quote(path)}"


def _documents(lines: list[bytes]) -> Iterator[Mapping[str, Any]]:
    for line in lines:
        if line.strip():
            try:
                found = orjson.loads(line)
            except orjson.JSONDecodeError as error:
                raise TargetUnreachableError("the Docker daemon says what is no document") from error
            if isinstance(found, dict):
                yield found


def _line(said: object) -> str:
    if not isinstance(said, str):
        return ""
    return printable(said[:MOST_TEXT_CHARACTERS]).strip()


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what led to it: urllib3 has that as its cause, or among what it says."""
    yield error
    for each in (*error.args, error.__cause__):
        if isinstance(each, BaseException):
            yield from _causes(each)
