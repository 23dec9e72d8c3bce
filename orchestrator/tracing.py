"""Traces by OpenTelemetry, from a request through the worker to the step. Without the extra `otel`, or unconfigured: nothing."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from orchestrator import log
from orchestrator.config import Settings

if TYPE_CHECKING:
    from orchestrator.spans import Tracer

HEADER = "traceparent"
VARIABLE = "TRACEPARENT"
_TRACES = "/v1/traces"

_logger = log.get(__name__)
_tracers: list["Tracer"] = []
"""The one of this process, once it traces."""


def start(settings: Settings, process: str) -> None:
    """Send spans from now on, if settings say where to. Call it in the process that makes them: a fork would lose them."""
    endpoint = settings.otel_exporter_otlp_endpoint.rstrip("/")
    if not endpoint or _tracers:
        return
    try:
        from orchestrator.spans import Tracer  # noqa: PLC0415 - only who traces pays for it
    except ImportError:
        _logger.warning("traces_not_sent", why="the extra otel is not installed")
        return
    _tracers.append(Tracer(endpoint + _TRACES, f"release-manager-{process}"))


def is_on() -> bool:
    """Whether this process traces."""
    return bool(_tracers)


@contextmanager
def span(name: str, *, parent: str | None = None, **attributes: str | int) -> Iterator[None]:
    """What is done within is a span of the parent's trace (a W3C traceparent), or of the one around it, or of a new one."""
    if not _tracers:
        yield
        return
    with _tracers[0].span(name, parent, attributes) as trace_id, log.about(trace_id=trace_id):
        yield


def record(name: str, *, parent: str | None, begun_ns: int, **attributes: str | int) -> None:
    """A span of what began then (nanoseconds since the epoch) and ends now: for what learns only by it whose it is."""
    if _tracers and parent:
        _tracers[0].record(name, parent, attributes, begun_ns=begun_ns)


def note(**attributes: str | int) -> None:
    """Say more about the span that is open."""
    if _tracers:
        _tracers[0].note(attributes)


def current() -> str | None:
    """The traceparent of the span that is open; None: nothing is traced."""
    return _tracers[0].current() if _tracers else None


def variables() -> Mapping[str, str]:
    """What lets a program that is started now go on with the trace."""
    found = current()
    return {VARIABLE: found} if found else {}
