"""The proxy `haproxy`: HAProxy, by the commands of its runtime socket."""

import csv
import re
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from orchestrator.domain.errors import SettingsRefusedError
from orchestrator.traffic.base import ProxyError, Server, at_any_time, refuse_unknown, required_text

KNOWN = ("haproxy", "backend")
MOST_BYTES = 16 * 1024 * 1024
_NAME = re.compile(r"[A-Za-z0-9_.:-]+")
_USABLE = ("UP", "no check")
_SERVERS = "4"
"""The kind of line of `show stat` that is about a server."""


@dataclass(frozen=True, slots=True)
class HaproxyProxy:
    """One backend of an HAProxy whose socket (`level admin`) is a file on the worker or a port."""

    address: str
    backend: str

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Take `haproxy` (an absolute path or `host:port`) and `backend`; pass over the engine's own."""
        refuse_unknown(settings, KNOWN)
        address = required_text(settings, "haproxy", example="/run/haproxy/admin.sock")
        host, _, port = address.rpartition(":")
        is_port = host and port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 65_536
        if not address.startswith("/") and not is_port:
            raise SettingsRefusedError(
                "haproxy", f"must be an absolute path or host:port, such as 127.0.0.1:9999, not {address!r}"
            )
        backend = required_text(settings, "backend", example="shop")
        if not _NAME.fullmatch(backend):
            raise SettingsRefusedError("backend", f"{backend!r} cannot be the name of a backend in HAProxy")
        return cls(address, backend)

    def servers(self, timeout_seconds: float) -> Mapping[str, Server]:
        """Ask `show stat` for the backend's servers."""
        answer = self._say(f"show stat {self.backend} {_SERVERS} -1", timeout_seconds)
        if not answer.startswith("# pxname,"):
            raise ProxyError(f"HAProxy says of the backend {self.backend}: {_shown(answer)}")
        rows = csv.DictReader(answer.removeprefix("# ").splitlines())
        return {row["svname"]: _server(row) for row in rows}

    def set_weight(
        self, server: str, weight: int, *, timeout_seconds: float, before_writing: Callable[[], None]
    ) -> None:
        """Say `set weight`, which answers with nothing when it is done."""
        if not _NAME.fullmatch(server):
            raise ProxyError(f"{server!r} cannot be the name of a server in HAProxy")
        answer = self._say(
            f"set weight {self.backend}/{server} {weight}", timeout_seconds, before_writing=before_writing
        )
        if answer.strip():
            raise ProxyError(f"HAProxy does not set the weight of {server}: {_shown(answer)}")

    def _say(
        self, command: str, timeout_seconds: float, before_writing: Callable[[], None] = at_any_time
    ) -> str:
        """One command on a connection of its own, which HAProxy closes behind its answer."""
        deadline = time.monotonic() + timeout_seconds
        said = b""
        try:
            with self._connect(timeout_seconds) as connection:
                before_writing()
                connection.sendall(command.encode() + b"\n")
                while piece := connection.recv(65_536):
                    said += piece
                    left = deadline - time.monotonic()
                    if left <= 0 or len(said) > MOST_BYTES:
                        raise ProxyError(f"HAProxy has not answered within {timeout_seconds:g} s")
                    connection.settimeout(left)
        except TimeoutError as error:
            raise ProxyError(f"HAProxy has not answered within {timeout_seconds:g} s") from error
        except (OSError, UnicodeError) as error:
            raise ProxyError(f"HAProxy cannot be reached at {self.address}: {error}") from error
        return said.decode(errors="replace")

    def _connect(self, timeout_seconds: float) -> socket.socket:
        if not self.address.startswith("/"):
            host, _, port = self.address.rpartition(":")
            return socket.create_connection((host.strip("[]"), int(port)), timeout=timeout_seconds)
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(timeout_seconds)
            connection.connect(self.address)
        except BaseException:
            connection.close()
            raise
        return connection


def _server(row: Mapping[str, str]) -> Server:
    """`uweight` is what was set; `weight` is what counts just now, and grows slowly where `slowstart` says so."""
    try:
        weight, requests = int(row.get("uweight") or row["weight"]), int(row["scur"]) + int(row["qcur"])
    except (KeyError, ValueError) as error:
        raise ProxyError(f"HAProxy says of {row.get('svname')} what nobody understands: {error}") from error
    state = row.get("status", "")
    return Server(weight, state.startswith(_USABLE), requests, state)


def _shown(answer: str) -> str:
    return repr(answer.strip()[:200])
