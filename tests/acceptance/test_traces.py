"""One trace from the request through the worker to the step, as a collector receives it."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.acceptance.fleet import eventually
from tests.acceptance.installation import Installation, on_a_database
from tests.servers import PostgresServer

TRACE_ID, SPAN_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"  # of the W3C's own example
ASKED = "POST /api/v1/deployments/"
WANTED = {ASKED, "advance", "run", "finish"}


@dataclass
class Collector:
    """Takes OTLP over HTTP on loopback: spans by the service that sent them."""

    spans: list[tuple[str, Span]] = field(default_factory=list)
    url: str = ""

    def take(self, body: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            names = [a.value.string_value for a in resource.resource.attributes if a.key == "service.name"]
            self.spans += [(names[0], span) for scope in resource.scope_spans for span in scope.spans]

    def of_trace(self, trace_id: str) -> dict[str, tuple[str, Span]]:
        return {span.name: (name, span) for name, span in self.spans if span.trace_id.hex() == trace_id}


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    made = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            made.take(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_details: object) -> None:
            """Keep still."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    made.url = f"http://127.0.0.1:{server.server_port}"
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def site(
    postgres_server: PostgresServer,
    redis_url: str,
    tmp_path_factory: pytest.TempPathFactory,
    collector: Collector,
) -> Iterator[Installation]:
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "200"}
    with on_a_database(postgres_server, redis_url, tmp_path_factory.mktemp("site"), **env) as made:
        yield made


def test_one_trace_leads_from_the_request_to_the_step(site: Installation, collector: Collector) -> None:
    site.application("traced", "echo $TRACEPARENT")
    made = site.deploy("traced", traceparent=f"00-{TRACE_ID}-{SPAN_ID}-01")
    eventually(lambda: collector.of_trace(TRACE_ID).keys() >= WANTED, "every span of the trace has arrived")
    spans = collector.of_trace(TRACE_ID)
    service, request = spans[ASKED]
    assert service == "release-manager-web"
    assert request.parent_span_id.hex() == SPAN_ID
    for name in WANTED - {ASKED}:
        service, span = spans[name]
        assert service == "release-manager-worker"
        assert span.parent_span_id == request.span_id, name
        known = {each.key: each.value.int_value or each.value.string_value for each in span.attributes}
        assert (known["deployment"], known["target"]) == (made, "one")
        assert request.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano
    _, run = spans["run"]
    said = site.client.log_page(made, cursor=None).items
    assert [each["text"] for each in said] == [f"00-{TRACE_ID}-{run.span_id.hex()}-01\n"]
    lines = [line for line in site.lines("web") if line.get("trace_id") == TRACE_ID]
    assert [line["deployment"] for line in lines if line["event"] == "request"] == [made]


def test_a_request_without_a_trace_begins_one(site: Installation, collector: Collector) -> None:
    site.application("untraced", "true")
    site.deploy("untraced")

    def whole() -> dict[str, tuple[str, Span]] | None:
        """Its trace, once web and worker have both sent theirs."""
        for _, span in collector.spans:
            found = collector.of_trace(span.trace_id.hex())
            if span.name == "finish" and ASKED in found and span.trace_id.hex() != TRACE_ID:
                return found
        return None

    _, request = eventually(whole, "the request and the end of the step have arrived")[ASKED]
    assert request.parent_span_id == b""
    assert not any("/health" in span.name for _, span in collector.spans)
