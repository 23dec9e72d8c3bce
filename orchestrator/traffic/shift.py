"""One server's weight as it is to be: set, and read back until the proxy does so."""

import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

from orchestrator.checks.base import Probe
from orchestrator.domain.durations import parse_duration
from orchestrator.domain.moves import ANY_OTHER
from orchestrator.traffic.base import Proxy, ProxyError, Server

ASIDE_MILLISECONDS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """What a `traffic` step wants of a proxy. It leaves nothing but that, so anybody goes on with it at any moment."""

    proxy: Proxy
    server: str
    weight: int
    beside: tuple[str, ...] = ()
    """Its weight becomes 0 only while one of these, or ANY_OTHER, gets traffic, if there is another server at all."""
    drain_seconds: float = 0.0
    """How long requests that are under way are waited for when its weight has become 0."""
    forced: bool = False
    """It need not be usable to get its weight: this only puts back what was."""

    @classmethod
    def from_settings(cls, proxy: Proxy, settings: Mapping[str, Any]) -> Self:
        """Take what the plan says of the step."""
        return cls(
            proxy=proxy,
            server=settings["server"],
            weight=settings["weight"],
            beside=tuple(settings.get("beside", ())),
            drain_seconds=parse_duration(settings["drain"]),
            forced=settings.get("forced", False),
        )

    def probe(
        self, timeout_seconds: float, *, elapsed_seconds: float, before_writing: Callable[[], None]
    ) -> Probe:
        """Set the weight unless it is so already, and say whether the proxy does what it is to do.

        `elapsed_seconds`: since when it has been tried.
        """
        try:
            found = self.proxy.servers(timeout_seconds)
            if self._is_to_be_set(found):
                set_weight = partial(
                    self.proxy.set_weight, timeout_seconds=timeout_seconds, before_writing=before_writing
                )
                before = found[self.server].weight
                set_weight(self.server, self.weight)
                found = self.proxy.servers(timeout_seconds)
                if self.server in found and not self._leaves_others(found):
                    set_weight(self.server, before)
                    _step_aside(self.server)
                    found = self.proxy.servers(timeout_seconds)
        except ProxyError as error:
            return Probe(False, str(error))
        return self._judge(found, elapsed_seconds)

    def _is_to_be_set(self, found: Mapping[str, Server]) -> bool:
        is_so = self.server not in found or found[self.server].weight == self.weight
        return not is_so and self._leaves_others(found)

    def _leaves_others(self, found: Mapping[str, Server]) -> bool:
        """Whether requests have somewhere to go with that weight; others may be taken out in the same moment."""
        elsewhere = found.keys() - {self.server}
        if self.weight or not self.beside or not elsewhere:
            return True
        others = elsewhere if ANY_OTHER in self.beside else elsewhere.intersection(self.beside)
        return any(found[name].takes for name in others)

    def _judge(self, found: Mapping[str, Server], elapsed_seconds: float) -> Probe:
        if self.server not in found:
            known = ", ".join(list(found)[:10]) or "none"
            return Probe(False, f"the proxy has no server {self.server}; it has {known}")
        server = found[self.server]
        if server.weight != self.weight:
            return Probe(False, self._not_set(server))
        if self.weight:
            return self._raised(server)
        if not server.requests:
            return Probe(True, f"{self.server} has the weight 0")
        busy = f"{self.server} has the weight 0, and {server.requests} requests are under way there"
        waits = elapsed_seconds < self.drain_seconds
        return Probe(not waits, busy if waits else f"{busy} after {self.drain_seconds:g} s")

    def _not_set(self, server: Server) -> str:
        if self.weight == 0 and self.beside:
            others = "any other" if ANY_OTHER in self.beside else ", ".join(self.beside[:3])
            return f"{self.server} keeps its weight {server.weight}: nothing goes to {others}"
        return f"{self.server} has the weight {server.weight}, not {self.weight}"

    def _raised(self, server: Server) -> Probe:
        if server.usable or self.forced:
            return Probe(True, f"{self.server} has the weight {self.weight}")
        return Probe(
            False, f"{self.server} has the weight {self.weight}, but the proxy calls it {server.state}"
        )


def _step_aside(server: str) -> None:
    """Wait, each for a time of its own: two that were taken out in one moment would meet again at the next try."""
    time.sleep(zlib.crc32(server.encode()) % ASIDE_MILLISECONDS / 1000)
