"""Images by their digests: whether a daemon has one, and pulling it beside what the worker does."""

import base64
import binascii
import re
import stat
import threading
from collections.abc import Mapping
from pathlib import Path

import orjson

from orchestrator.targets.base import TargetError, TargetUnreachableError
from orchestrator.targets.docker_engine import Engine

IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:-]*@sha256:[0-9a-f]{64}")
PATIENCE_SECONDS = 5.0
"""How long a start waits for an image before it is looked whether somebody wants something else."""
SILENCE_SECONDS = 300.0
"""How long a daemon that pulls may say nothing."""
_HUB = "https://index.docker.io/v1/"

_pulls: dict[tuple[str, str], "_Pull"] = {}
_lock = threading.Lock()


class ImageOnItsWayError(TargetError):
    """The daemon is still pulling the image."""

    retryable = True


def require(engine: Engine, image: str, *, credentials: str) -> None:
    """Return when the daemon has the image; pulls it if need be.

    A pull goes on in the background when this call gives up waiting; with the worker it ends, and the layers that came stay.
    Raises ImageOnItsWayError, TargetUnreachableError, and TargetError for an image that cannot be had.
    """
    if not IMAGE.fullmatch(image):
        raise TargetError(f"{image!r} is no image with its digest (registry/name@sha256:...)")
    if engine.ask("GET", f"/images/{image}/json").ok:
        return
    key = (engine.host, image)
    with _lock:
        pull = _pulls.get(key)
        if pull is None:
            pull = _pulls[key] = _Pull(engine, image, _headers(credentials, image))
            pull.start()
    pull.join(PATIENCE_SECONDS)
    if pull.is_alive():
        raise ImageOnItsWayError(f"{image} is being pulled: {pull.said}")
    with _lock:
        _pulls.pop(key, None)
    if pull.error is not None:
        raise pull.error


class _Pull(threading.Thread):
    def __init__(self, engine: Engine, image: str, headers: Mapping[str, str]) -> None:
        super().__init__(name="docker-pull", daemon=True)
        self.said = "it has begun"
        self.error: TargetError | None = None
        self._engine = engine
        self._image = image
        self._headers = headers

    def run(self) -> None:
        query = {"fromImage": self._image}
        try:
            for said in self._engine.lines(
                "/images/create", query=query, headers=self._headers, seconds=SILENCE_SECONDS
            ):
                if "error" in said:
                    self.error = TargetUnreachableError(
                        f"{self._image} cannot be pulled: {str(said['error'])[:500]}"
                    )
                self.said = str(said.get("status", ""))[:100]
        except TargetError as error:
            self.error = error


def _headers(file: str, image: str) -> dict[str, str]:
    """How the daemon shows the registry who asks. Raises TargetError, which never holds any of it."""
    if not file:
        return {}
    path = Path(file)
    try:
        if path.stat().st_mode & stat.S_IRWXO:
            raise TargetError(f"the credentials {file} can be read by everybody: `chmod 600` them")
        document = orjson.loads(path.read_bytes())
        registry = _registry(image)
        kept = document["auths"][registry]["auth"]
        user, _, password = base64.b64decode(kept, validate=True).decode().partition(":")
    except OSError as error:
        raise TargetError(f"the credentials {file} cannot be read: {error.strerror}") from error
    except (orjson.JSONDecodeError, binascii.Error, UnicodeDecodeError, KeyError, TypeError):
        raise TargetError(f"the credentials {file} have none for the registry of {image}") from None
    said = orjson.dumps({"username": user, "password": password, "serveraddress": registry})
    return {"X-Registry-Auth": base64.urlsafe_b64encode(said).decode()}


def _registry(image: str) -> str:
    """Where an image comes from, as `docker login` writes it down."""
    first, slash, _ = image.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else _HUB
