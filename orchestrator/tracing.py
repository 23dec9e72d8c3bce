"""Traces by OpenTelemetry, from a request through the worker to the step. Without the extra `otel`, or unconfigured: nothing."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from orchestrator import log
from orchestrator.config import Settings

try:
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    INSTALLED = True
except ImportError:
    INSTALLED = False

if TYPE_CHECKING:
    from opentelemetry.context import Context

HEADER = "traceparent"
VARIABLE = "TRACEPARENT"
_TRACES = "/v1/traces"

_logger = log.get(__name__)
_tracers: list["trace.Tracer"] = []
"""The one of this process, once it traces."""


def start(settings: Settings, process: str) -> None:
    """Send spans from now on, if settings say where to. Call it in the process that makes them: a fork would lose them."""
    endpoint = settings.otel_exporter_otlp_endpoint.rstrip("/")
    if not endpoint or _tracers:
        return
    if not INSTALLED:
        _logger.warning("traces_not_sent", why="the extra otel is not installed")
        return
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: f"release-manager-{process}"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint + _TRACES)))
    _tracers.append(provider.get_tracer("orchestrator"))


def is_on() -> bool:
    """Whether this process traces."""
    return bool(_tracers)


@contextmanager
def span(name: str, *, parent: str | None = None, **attributes: str | int) -> Iterator[None]:
    """What is done within is a span of the parent's trace (a W3C traceparent), or of the one around it, or of a new one."""
    if not _tracers:
        yield
        return
    with _tracers[0].start_as_current_span(name, context=_context(parent), attributes=attributes) as opened:
        trace_id = trace.format_trace_id(opened.get_span_context().trace_id)
        with log.about(trace_id=trace_id):
            yield


def record(name: str, *, parent: str | None, begun_ns: int, **attributes: str | int) -> None:
    """A span of what began then (nanoseconds since the epoch) and ends now: for what learns only by it whose it is."""
    if _tracers and parent:
        _tracers[0].start_span(
            name, context=_context(parent), start_time=begun_ns, attributes=attributes
        ).end()


def note(**attributes: str | int) -> None:
    """Say more about the span that is open."""
    if _tracers:
        trace.get_current_span().set_attributes(attributes)


def current() -> str | None:
    """The traceparent of the span that is open; None: nothing is traced."""
    if not _tracers:
        return None
    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier.get(HEADER)


def variables() -> Mapping[str, str]:
    """What lets a program that is started now go on with the trace."""
    found = current()
    return {VARIABLE: found} if found else {}


def _context(parent: str | None) -> "Context | None":
    return TraceContextTextMapPropagator().extract({HEADER: parent}) if parent else None
