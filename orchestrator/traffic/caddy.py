"""The proxy `caddy`: Caddy, by its admin API. The weights are those of a `weighted_round_robin`."""

import http.client
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from orchestrator.domain.errors import SettingsRefusedError
from orchestrator.traffic.base import ProxyError, Server, at_any_time, refuse_unknown, required_text

KNOWN = ("caddy", "id")
POLICY = "weighted_round_robin"
MOST_TRIES = 20
"""How often a change is made anew because another one came between reading and writing."""
MOST_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes
    etag: str


@dataclass(frozen=True, slots=True)
class CaddyProxy:
    """The `reverse_proxy` handler with an `@id` in Caddy's configuration; servers are named by where they are dialled."""

    host: str
    port: int
    handler: str

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Take `caddy` (the admin API's URL) and `id` (the handler's `@id`); pass over the engine's own."""
        refuse_unknown(settings, KNOWN)
        url = required_text(settings, "caddy", example="http://127.0.0.1:2019")
        try:
            parts = parse_url(url)
        except LocationParseError as error:
            raise SettingsRefusedError("caddy", f"{url!r} is not a URL") from error
        if parts.scheme != "http" or not parts.host or parts.auth or parts.path not in {None, "", "/"}:
            raise SettingsRefusedError("caddy", f"must be such as http://127.0.0.1:2019, not {url!r}")
        handler = required_text(settings, "id", example="shop")
        if not handler.isascii() or not handler.replace("-", "").replace("_", "").isalnum():
            raise SettingsRefusedError("id", "must be an `@id` of letters, digits, hyphens and underscores")
        return cls(parts.host.strip("[]"), parts.port or 80, handler)

    def servers(self, timeout_seconds: float) -> Mapping[str, Server]:
        """Read the handler, and how many requests each of its upstreams has."""
        found, _ = self._read(timeout_seconds)
        busy = self._requests(timeout_seconds)
        return {name: Server(weight, requests=busy.get(name, 0)) for name, weight in found.items()}

    def set_weight(
        self, server: str, weight: int, *, timeout_seconds: float, before_writing: Callable[[], None]
    ) -> None:
        """Write all weights with one changed, under the condition that nobody has changed them since they were read."""
        for _ in range(MOST_TRIES):
            found, etag = self._read(timeout_seconds)
            if server not in found:
                raise ProxyError(f"Caddy's handler {self.handler} has no upstream {server}")
            weights = [weight if name == server else each for name, each in found.items()]
            path = f"/id/{self.handler}/load_balancing/selection_policy/weights"
            answer = self._ask(
                "PATCH", path, timeout_seconds, body=weights, etag=etag, before_writing=before_writing
            )
            if answer.status == http.client.OK:
                return
            if answer.status != http.client.PRECONDITION_FAILED:
                raise ProxyError(f"Caddy does not set the weight of {server}: {_shown(answer)}")
        raise ProxyError(f"Caddy's weights changed {MOST_TRIES} times while that of {server} was being set")

    def _read(self, timeout_seconds: float) -> tuple[dict[str, int], str]:
        """The weights by upstream, in their order, and what names this state of the handler."""
        answer = self._ask("GET", f"/id/{self.handler}", timeout_seconds)
        if answer.status != http.client.OK:
            raise ProxyError(f"Caddy says of the handler {self.handler}: {_shown(answer)}")
        try:
            handler = json.loads(answer.body)
            names = [str(each["dial"]) for each in handler["upstreams"]]
            policy = handler["load_balancing"]["selection_policy"]
            weights = [int(each) for each in policy["weights"]]
        except (ValueError, KeyError, TypeError) as error:
            raise ProxyError(f"Caddy's handler {self.handler} has no upstreams with weights") from error
        if policy.get("policy") != POLICY or len(set(names)) != len(weights) or len(names) != len(weights):
            raise ProxyError(
                f"Caddy's handler {self.handler} has no {POLICY} with a weight for each upstream"
            )
        return dict(zip(names, weights, strict=True)), answer.etag

    def _requests(self, timeout_seconds: float) -> dict[str, int]:
        answer = self._ask("GET", "/reverse_proxy/upstreams", timeout_seconds)
        try:
            return {str(each["address"]): int(each["num_requests"]) for each in json.loads(answer.body)}
        except (ValueError, KeyError, TypeError) as error:
            raise ProxyError(
                f"Caddy does not say how many requests are under way: {_shown(answer)}"
            ) from error

    def _ask(self, method: str, path: str, timeout_seconds: float, **more: Any) -> _Answer:
        """Ask, and again where Caddy hung up: it does when its configuration changes under a request, and each may come twice."""
        for _ in range(MOST_TRIES):
            try:
                return self._ask_once(method, path, timeout_seconds, **more)
            except (ConnectionResetError, BrokenPipeError) as error:
                hung_up = error
            except (OSError, http.client.HTTPException) as error:
                raise ProxyError(f"Caddy cannot be asked at {self.host}:{self.port}: {error}") from error
        raise ProxyError(f"Caddy hung up {MOST_TRIES} times: {hung_up}") from hung_up

    def _ask_once(
        self,
        method: str,
        path: str,
        timeout_seconds: float,
        *,
        body: object = None,
        etag: str = "",
        before_writing: Callable[[], None] = at_any_time,
    ) -> _Answer:
        headers = {"Content-Type": "application/json", "Connection": "close"}
        if etag:
            headers["If-Match"] = etag
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout_seconds)
        try:
            connection.connect()
            before_writing()
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            return _Answer(response.status, response.read(MOST_BYTES), response.headers.get("Etag", ""))
        finally:
            connection.close()


def _shown(answer: _Answer) -> str:
    return f"status {answer.status}, {answer.body[:200].decode(errors='replace').strip()!r}"
