"""Which server, and with which tokens: environment, config file, or a server started in this directory."""

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.client import Client, MemoryTokens, Tokens, TokenStore
from orchestrator.client.transport import normal_url
from orchestrator.domain.errors import MisconfiguredError

UP_FILE = Path(".data/up.json")
NO_SERVER = (
    "No server is configured. Log in to one with `releasectl login --url http://host:port`, "
    "set RELEASECTL_URL, or start one here with `releasectl up`."
)


@dataclass(frozen=True, slots=True)
class Server:
    """A URL and who named it."""

    url: str
    source: str


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """{"url": the default server, "servers": {url: {"username", "access_token", "refresh_token"}}}.

    Tokens are kept under their server's URL, so that none is ever sent to another.
    """

    path: Path

    @classmethod
    def of(cls, env: Mapping[str, str]) -> "ConfigFile":
        """The file of this user."""
        home = env.get("XDG_CONFIG_HOME") or str(Path(env.get("HOME") or "~").expanduser() / ".config")
        return cls(Path(home) / "releasectl" / "config.json")

    def read(self) -> dict[str, Any]:
        """Everything in it; nothing if there is none. Raises MisconfiguredError."""
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise MisconfiguredError(f"{self.path} cannot be read: {error}") from error
        if not isinstance(found, dict) or not isinstance(found.get("servers", {}), dict):
            raise MisconfiguredError(f"{self.path} is not what releasectl wrote: remove it and log in again.")
        return found

    def write(self, content: Mapping[str, Any]) -> None:
        """Replace it at once, readable by this user only; inside `locked`."""
        try:
            handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=".config-")
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(content, file, indent=2)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self.path)
        except OSError as error:
            raise MisconfiguredError(f"{self.path} cannot be written: {error.strerror}") from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One process at a time."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(self.path.with_name("config.lock"), os.O_CREAT | os.O_RDWR, 0o600)
        except OSError as error:
            raise MisconfiguredError(f"{self.path.parent} cannot be used: {error.strerror}") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


@dataclass(frozen=True, slots=True)
class FileTokens:
    """The tokens of one server in the config file."""

    file: ConfigFile
    url: str

    def load(self) -> Tokens | None:
        """Read them anew: another process may have renewed them."""
        entry = self.file.read().get("servers", {}).get(self.url, {})
        access = entry.get("access_token")
        return Tokens(access, entry.get("refresh_token")) if access else None

    def save(self, tokens: Tokens | None) -> None:
        """Keep or forget them."""
        content = self.file.read()
        servers = content.setdefault("servers", {})
        if tokens is None:
            servers.pop(self.url, None)
        else:
            servers.setdefault(self.url, {}).update(access_token=tokens.access, refresh_token=tokens.refresh)
        self.file.write(content)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One process renews, the others wait and read what it got."""
        with self.file.locked():
            yield


def find_server(env: Mapping[str, str], config: ConfigFile, *, directory: Path) -> Server:
    """RELEASECTL_URL, else the config file, else the server started in this directory.

    Raises MisconfiguredError.
    """
    if env.get("RELEASECTL_URL"):
        return Server(normal_url(env["RELEASECTL_URL"]), "RELEASECTL_URL")
    configured = config.read().get("url")
    if configured:
        return Server(normal_url(str(configured)), str(config.path))
    up = directory / UP_FILE
    try:
        found = json.loads(up.read_text(encoding="utf-8"))
        return Server(normal_url(found["url"]), str(UP_FILE))
    except FileNotFoundError:
        raise MisconfiguredError(NO_SERVER) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MisconfiguredError(
            f"{up} cannot be used ({error}): start anew with `releasectl up`."
        ) from error


def connect(url: str | None = None) -> Client:
    """A client for the configured (or the given) server with this user's tokens."""
    config = ConfigFile.of(os.environ)
    chosen = normal_url(url) if url else find_server(os.environ, config, directory=Path.cwd()).url
    fixed = os.environ.get("RELEASECTL_TOKEN")
    tokens: TokenStore = MemoryTokens(Tokens(fixed)) if fixed else FileTokens(config, chosen)
    return Client(chosen, tokens)


def remember(client: Client, *, username: str, is_default: bool) -> None:
    """Write who logged in there, and maybe that this server is the one to talk to."""
    config = ConfigFile.of(os.environ)
    with config.locked():
        content = config.read()
        content.setdefault("servers", {}).setdefault(client.base_url, {})["username"] = username
        if is_default:
            content["url"] = client.base_url
        config.write(content)
