"""Artifacts that are files: where a release says its own is, and from where workers may take them."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

SCHEMES = ("https", "http", "file")
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Artifact:
    """The file of a release, and where a target keeps what is in it: `directory`/releases/`version`."""

    url: str
    sha256: str
    version: str
    directory: str


def why_not_a_file(url: str) -> str | None:
    """Why no worker could fetch what a release calls its artifact; None: it is a URL of a file."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  # raises where it is none
    except ValueError:
        return "is not a URL"
    is_local = parts.scheme == "file"
    wrong = {
        "must begin with https://, http:// or file:///": parts.scheme not in SCHEMES,
        "must not hold a user and a password: it is shown to everybody": "@" in parts.netloc,
        "must name a file of the workers as file:///path": is_local
        and (bool(parts.netloc) or not parts.path.startswith("/")),
        "must name a host": not is_local and not parts.hostname,
        "must not hold `..`": ".." in unquote(parts.path).split("/"),
    }
    return next((why for why, is_so in wrong.items() if is_so), None)


def is_allowed(url: str, sources: Sequence[str]) -> bool:
    """Whether the URL lies below one of the sources: the same scheme, host and port, and a path within theirs.

    A source without a host, such as `https://`, is every host of that scheme.
    """
    if why_not_a_file(url):
        return False
    return any(_lies_below(urlsplit(url), urlsplit(source)) for source in sources)


def _lies_below(url: SplitResult, source: SplitResult) -> bool:
    if url.scheme != source.scheme:
        return False
    if source.netloc and (url.hostname, _port(url)) != (source.hostname, _port(source)):
        return False
    folder = unquote(source.path).rstrip("/") + "/"
    return unquote(url.path).startswith(folder)


def _port(url: SplitResult) -> int | None:
    return url.port or _PORTS.get(url.scheme)
