"""The check `prometheus`: a query whose every value must lie within bounds."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlencode

from orchestrator.checks.base import Probe, refuse_unknown
from orchestrator.checks.fetching import NoAnswerError, checked_url, fetch
from orchestrator.domain.errors import SettingsRefusedError

MAX_BODY_BYTES = 1024 * 1024
MAX_QUERY_CHARACTERS = 4000
PRINTED_CHARACTERS = 200
KNOWN = ("prometheus", "query", "at_least", "at_most")


@dataclass(frozen=True, slots=True)
class PrometheusCheck:
    """An instant query. No series, not a number and an answer that comes with a warning are all no."""

    url: str
    query: str
    at_least: float = -math.inf
    at_most: float = math.inf

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Take `prometheus` (its URL), `query`, and `at_least`, `at_most` or both; pass over the engine's own."""
        refuse_unknown(settings, KNOWN)
        url = checked_url("prometheus", settings.get("prometheus"))
        if "?" in url or "#" in url:
            raise SettingsRefusedError("prometheus", "must be Prometheus' own URL, without a query in it")
        query = settings.get("query")
        if not isinstance(query, str) or not query.strip() or len(query) > MAX_QUERY_CHARACTERS:
            raise SettingsRefusedError(
                "query", f"must be a query of at most {MAX_QUERY_CHARACTERS} characters"
            )
        if "at_least" not in settings and "at_most" not in settings:
            raise SettingsRefusedError("query", "needs a bound beside it: `at_least` or `at_most`, or both")
        least, most = _bound(settings, "at_least", -math.inf), _bound(settings, "at_most", math.inf)
        if least > most:
            raise SettingsRefusedError("at_least", f"must not be more than `at_most`, which is {most:g}")
        return cls(url.rstrip("/"), query, least, most)

    def probe(self, timeout_seconds: float) -> Probe:
        """Ask once; the answer must be there within `timeout_seconds`."""
        asked = {"query": self.query, "timeout": f"{timeout_seconds:.3f}"}
        try:
            found = fetch(
                f"{self.url}/api/v1/query?{urlencode(asked)}", timeout_seconds, most_bytes=MAX_BODY_BYTES
            )
        except NoAnswerError as error:
            return Probe(False, str(error), silent=True)
        try:
            return self._judge(found.status, json.loads(found.body))
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            seen = found.body[:PRINTED_CHARACTERS].decode(errors="replace")
            return Probe(
                False, f"status {found.status}, and this is no answer of Prometheus: {seen!r}", silent=True
            )

    def _judge(self, status: int, answer: Any) -> Probe:
        if answer["status"] != "success":
            return Probe(False, f"status {status}: {str(answer['error'])[:PRINTED_CHARACTERS]}", silent=True)
        if answer.get("warnings"):
            return Probe(
                False, f"not all data: {str(answer['warnings'][0])[:PRINTED_CHARACTERS]}", silent=True
            )
        kind, result = answer["data"]["resultType"], answer["data"]["result"]
        if kind not in {"vector", "scalar"}:
            return Probe(
                False, f"the query gives a {kind}; it must give a number, or one for each series", silent=True
            )
        samples = [({}, result)] if kind == "scalar" else [(each["metric"], each["value"]) for each in result]
        if not samples:
            return Probe(False, "no data", silent=True)
        for series, (_, text) in samples:
            if not self.at_least <= float(text) <= self.at_most:
                return Probe(False, f"{text}{_named(series)} is not {self._bounds()}")
        shown = samples[0][1][1] if len(samples) == 1 else f"all {len(samples)} values"
        return Probe(True, f"{shown} {'is' if len(samples) == 1 else 'are'} {self._bounds()}")

    def _bounds(self) -> str:
        parts = [f"at least {self.at_least:g}"] if self.at_least > -math.inf else []
        return " and ".join([*parts, *([f"at most {self.at_most:g}"] if self.at_most < math.inf else [])])


def _bound(settings: Mapping[str, Any], field: str, default: float) -> float:
    value = settings.get(field, default)
    if field not in settings:
        return default
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise SettingsRefusedError(field, f"must be a number, such as 0.01, not {value!r}")
    return number


def _named(series: Mapping[str, str]) -> str:
    pairs = ", ".join(f'{name}="{value}"' for name, value in sorted(series.items()))
    return f" of {{{pairs[:PRINTED_CHARACTERS]}}}" if pairs else ""
