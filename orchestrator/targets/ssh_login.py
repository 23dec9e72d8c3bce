"""Opens one connection: whose keys are accepted, what the worker shows of itself, and what a refusal means."""

import asyncio
import re
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import asyncssh

from orchestrator.targets.base import TargetError, TargetUnreachableError
from orchestrator.targets.ssh_hosts import AccessRefusedError, HostKeyError, Way

LOGIN_SECONDS = 15.0
"""How long connecting may take, with all that follows until calls can be made."""
_CIPHERS = "^aes256-gcm@openssh.com,aes128-gcm@openssh.com"
"""First, because one call of OpenSSL does all of it."""
_HOST_KEYS = "+ssh-ed25519,ecdsa-sha2-*,rsa-sha2-*"
"""Also kinds of keys of which none is recorded: who shows one of them is told apart from who cannot be understood."""
_POST_QUANTUM = "*76?x25519*"
"""mlkem768x25519 and, where the worker has liboqs, sntrup761x25519. Without being told so they are preferred."""
_NAMES = re.compile(r"^\s*(@\S+\s+)?([^|\s]\S*)")


async def connect(way: Way, tunnel: asyncssh.SSHClientConnection | None) -> asyncssh.SSHClientConnection:
    """Connect and log in, through `tunnel` if there is one. Raises HostKeyError, AccessRefusedError, TargetUnreachableError."""
    known, shown = await asyncio.to_thread(lambda: (_recorded(way), _shown(way)))
    try:
        async with asyncio.timeout(LOGIN_SECONDS):
            return await asyncssh.connect(
                way.hop.host,
                way.hop.port,
                tunnel=tunnel,
                config=None,  # files of the worker's user (`~/.ssh/config`) decide nothing
                known_hosts=known,
                server_host_key_algs=_HOST_KEYS,
                x509_trusted_certs=None,
                preferred_auth="publickey",
                encryption_algs=_CIPHERS,
                kex_algs=_POST_QUANTUM if way.post_quantum else (),
                compression_algs="none",
                **shown,
            )
    except TimeoutError as error:
        why = f"no answer within {LOGIN_SECONDS:g} s"
        raise TargetUnreachableError(f"{way} cannot be reached: {why}") from error
    except asyncssh.HostKeyNotVerifiable as error:
        raise HostKeyError(_about_key(way, "is not the recorded one")) from error
    except ValueError as error:
        raise AccessRefusedError(f"{way} lets the worker not in: {error}") from error
    except (asyncssh.Error, OSError) as error:
        raise _failure(way, error) from error


def _failure(way: Way, error: asyncssh.Error | OSError) -> TargetError:
    why = error.strerror or str(error) if isinstance(error, OSError) else error.reason
    if isinstance(error, asyncssh.PermissionDenied) or "Too many authentication failures" in why:
        return AccessRefusedError(f"{way} lets the worker not in: {why}")
    if isinstance(error, asyncssh.KeyExchangeFailed) and way.post_quantum:
        return AccessRefusedError(f"{way} and the worker have no key exchange that is `post_quantum`: {why}")
    return TargetUnreachableError(f"{way} cannot be reached: {why}")


def _about_key(way: Way, what: str) -> str:
    return (
        f"the key of {way} {what}: look who answers there, then record its key with `releasectl targets scan`"
        f" ({way.known_hosts})"
    )


def _shown(way: Way) -> dict[str, Any]:
    """As whom and with what the worker comes. Raises AccessRefusedError where its key cannot be read."""
    user = {"username": way.hop.user} if way.hop.user else {}
    if not way.identity:
        return user
    try:
        keys = asyncssh.load_keypairs([way.identity])
    except (OSError, asyncssh.KeyImportError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise AccessRefusedError(f"{way.identity} on the worker is no key for {way}: {why}") from error
    return {**user, "client_keys": keys, "agent_path": None}


def _recorded(way: Way) -> "_KnownHosts":
    """The keys that are accepted. Raises HostKeyError where there is none of that host."""
    try:
        stat = way.known_hosts.stat()
        known = _read(way.known_hosts, stat.st_mtime_ns, stat.st_size, stat.st_ino)
    except FileNotFoundError:
        known = _KnownHosts()
    except OSError as error:
        raise TargetError(f"{way.known_hosts} on the worker cannot be read: {error.strerror}") from error
    if not known.has(way.hop.host, way.hop.port):
        raise HostKeyError(_about_key(way, "is not recorded"))
    return known


class _KnownHosts(asyncssh.SSHKnownHosts):
    """Recorded keys by the name under which a host is set, whatever address that has today."""

    def match(self, host: str, addr: str, port: int | None) -> Any:
        return super().match(host.lower(), "", port)

    def has(self, host: str, port: int) -> bool:
        """Whether there is a key, of the host or of who signs for it."""
        keys, authorities, *_ = self.match(host, "", port if port != 22 else None)
        return bool(keys or authorities)


@lru_cache(maxsize=8)
def _read(file: Path, *_as_of: int) -> _KnownHosts:
    """The file as it was then; names in it are the same in capitals, and lines that cannot be read are none, as for OpenSSH."""
    known = _KnownHosts()
    for line in file.read_text(errors="replace").splitlines():
        with suppress(ValueError):
            known.load(_NAMES.sub(lambda found: (found[1] or "") + found[2].lower(), line, count=1))
    return known
