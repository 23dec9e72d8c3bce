"""The check `tcp`: whether somebody takes connections at an address."""

import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from orchestrator.checks.base import Probe, read_latency, refuse_unknown
from orchestrator.domain.errors import SettingsRefusedError

KNOWN = ("tcp", "latency")


@dataclass(frozen=True, slots=True)
class TcpCheck:
    """A connection that is made and closed again; nothing is sent."""

    host: str
    port: int
    latency_seconds: float | None = None

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Take `tcp` (`host:port`, `[::1]:port`) and `latency` (optional); pass over the engine's own."""
        refuse_unknown(settings, KNOWN)
        return cls(*_address(settings.get("tcp")), read_latency(settings))

    def probe(self, timeout_seconds: float) -> Probe:
        """Connect once, within `timeout_seconds` or `latency`, whichever is less (looking up the name not counted)."""
        within = min(timeout_seconds, self.latency_seconds or timeout_seconds)
        begun = time.monotonic()
        try:
            socket.create_connection((self.host, self.port), timeout=within).close()
        except TimeoutError:
            return Probe(False, f"no connection within {within:g} s", silent=True)
        except (OSError, UnicodeError) as error:
            return Probe(False, f"no connection: {error}", silent=True)
        seconds = time.monotonic() - begun
        if self.latency_seconds is not None and seconds > self.latency_seconds:
            return Probe(False, f"connected, but only after {seconds:.3f} s")
        return Probe(True, f"connected to {self.host}:{self.port}")


def _address(value: object) -> tuple[str, int]:
    host, _, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    right = bare and not bare.startswith("[") and (bare == host) == (":" not in bare)
    if not right or not (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 65_536):
        raise SettingsRefusedError(
            "tcp", f"must be a host and a port, such as 127.0.0.1:5432 or [::1]:5432, not {value!r}"
        )
    return bare, int(port)
