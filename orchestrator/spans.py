"""Spans by OpenTelemetry. Only a process that traces loads it: the exporter takes as long to load as all of our own modules."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_HEADER = "traceparent"
Attributes = Mapping[str, str | int]


class Tracer:
    """Makes spans and sends them on, in batches by a thread of its own."""

    def __init__(self, url: str, service: str) -> None:
        provider = TracerProvider(resource=Resource.create({SERVICE_NAME: service}))
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(url)))
        self._tracer = provider.get_tracer("orchestrator")

    @contextmanager
    def span(self, name: str, parent: str | None, attributes: Attributes) -> Iterator[str]:
        """What is done within is a span; the id of its trace."""
        context = _context(parent)
        with self._tracer.start_as_current_span(name, context=context, attributes=attributes) as opened:
            yield trace.format_trace_id(opened.get_span_context().trace_id)

    def record(self, name: str, parent: str, attributes: Attributes, *, begun_ns: int) -> None:
        """A span of what began then and ends now."""
        self._tracer.start_span(
            name, context=_context(parent), start_time=begun_ns, attributes=attributes
        ).end()

    def note(self, attributes: Attributes) -> None:
        """Say more about the span that is open."""
        trace.get_current_span().set_attributes(attributes)

    def current(self) -> str | None:
        """The traceparent of the span that is open; None: there is none."""
        carrier: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carrier)
        return carrier.get(_HEADER)


def _context(parent: str | None) -> Context | None:
    return TraceContextTextMapPropagator().extract({_HEADER: parent}) if parent else None
