"""Free ports on 127.0.0.1, promised to one process of this machine at a time."""

import random
import socket
from collections.abc import Iterable
from typing import Self

from orchestrator.domain.errors import UnavailableError

_STORE_PORTS = range(20_000, 32_000)
"""Below the ports of outgoing connections, so that a store finds its own port free after a restart."""


class Port:
    """A port that was free and that no other copy of this program takes while this object is open."""

    def __init__(self, number: int, promise: socket.socket) -> None:
        self.number = number
        self._promise = promise

    @classmethod
    def take(cls, candidates: Iterable[int]) -> Self:
        """The first of `candidates` that is free. Raises UnavailableError if none is."""
        for number in candidates:
            promise = _promise(number)
            if promise is None:
                continue
            if _is_free(number):
                return cls(number, promise)
            promise.close()
        raise UnavailableError("no free port was found on 127.0.0.1")

    def release(self) -> None:
        """Let others have it."""
        self._promise.close()


def from_preferred(preferred: int) -> range:
    """The preferred port and the hundred after it."""
    return range(preferred, min(preferred + 100, 65_536))


def for_store(last: int | None) -> list[int]:
    """The port a store had last, then random ones."""
    others = random.sample(_STORE_PORTS, 200)  # nosec B311  # no secret: it only keeps copies apart
    return [last, *others] if last else others


def _promise(number: int) -> socket.socket | None:
    # An abstract socket is a lock with a name: it needs no file, and the kernel lets it go with its holder.
    promise = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        promise.bind(f"\0devops-release-manager:{number}")
    except OSError:
        promise.close()
        return None
    return promise


def _is_free(number: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", number))
        except OSError:
            return False
    return True
