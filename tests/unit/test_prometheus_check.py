"""The check `prometheus`, against the real one on the loopback, which looks at itself."""

import json
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from orchestrator.checks.prometheus import PrometheusCheck
from orchestrator.domain.errors import SettingsRefusedError
from tests.acceptance.fleet import eventually
from tests.ports import free_port
from tests.unit.cli_server import scripted_server

SELF = 'up{job="itself"}'


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Prometheus that has looked at itself, and at a port where nobody listens, at least once."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("NOT CHECKED: there is no prometheus here (Debian's package prometheus has it)")
    folder, port = tmp_path_factory.mktemp("prometheus"), free_port()
    jobs = {"itself": port, "nobody": free_port()}
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "scrape_configs": [
            {"job_name": name, "static_configs": [{"targets": [f"127.0.0.1:{each}"]}]}
            for name, each in jobs.items()
        ],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))
    command = [
        program,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    url = f"http://127.0.0.1:{port}"
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as running:
        try:
            ready = PrometheusCheck.from_settings(
                {"prometheus": url, "query": f"{SELF} + on() up{{job='nobody'}}", "at_least": 1}
            )
            eventually(lambda: ready.probe(5).ok, f"Prometheus looked at its targets; see {folder / 'log'}")
            yield url
        finally:
            running.terminate()


def check(url: str, query: str, **bounds: Any) -> PrometheusCheck:
    return PrometheusCheck.from_settings({"prometheus": url, "query": query, **bounds})


@pytest.mark.parametrize(
    ("query", "bounds", "ok", "says"),
    [
        (SELF, {"at_least": 1}, True, "1 is at least 1"),
        (SELF, {"at_most": 1}, True, "1 is at most 1"),
        (SELF, {"at_least": "0.5", "at_most": 1.5}, True, "1 is at least 0.5 and at most 1.5"),
        (SELF, {"at_most": 0.99}, False, "1 of {"),
        (SELF, {"at_least": 1.01}, False, "is not at least 1.01"),
        ("up", {"at_least": 1}, False, 'job="nobody"'),
        ("up", {"at_least": 0}, True, "all 2 values are at least 0"),
        ("scalar(vector(42))", {"at_most": 50}, True, "42 is"),
        ("vector(42)", {"at_most": 50}, True, "42 is"),
        ("42", {"at_most": 50}, True, "42 is"),
        ("42", {"at_most": 41}, False, "42 is not at most 41"),
        ("-1 * vector(1)", {"at_most": 0}, True, "-1 is"),
    ],
)
def test_every_value_must_lie_within_the_bounds(
    prometheus: str, query: str, bounds: dict[str, Any], ok: bool, says: str
) -> None:
    probe = check(prometheus, query, **bounds).probe(10)
    assert (probe.ok, says in probe.detail) == (ok, True), probe.detail


@pytest.mark.parametrize("bounds", [{"at_least": -1e300}, {"at_most": 1e300}, {"at_least": 0, "at_most": 1}])
@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("no_such_metric", "no data"),
        ("up > 5", "no data"),
        ("sum(no_such_metric) / sum(up)", "no data"),
        ("0 / 0", "NaN"),
        ("vector(0) / vector(0)", "NaN"),
        ("up[1m]", "matrix"),
        ('"text"', "string"),
        ("sum(", "parse error"),
        ("up + on() group_left up", "found duplicate series"),
    ],
)
def test_no_data_and_no_number_are_never_a_success(
    prometheus: str, query: str, says: str, bounds: dict[str, Any]
) -> None:
    probe = check(prometheus, query, **bounds).probe(10)
    assert not probe.ok
    assert says in probe.detail


def test_a_path_before_the_api_is_kept_and_what_is_not_there_is_no(prometheus: str) -> None:
    assert check(f"{prometheus}/", "vector(1)", at_least=1).probe(10).ok
    probe = check(f"{prometheus}/elsewhere", "vector(1)", at_least=1).probe(10)
    assert not probe.ok
    assert "404" in probe.detail


@pytest.mark.parametrize("body", [b"[" * 100_000, b"[]", b"null", b'{"status": "success"}', b"\xff"])
def test_what_is_no_answer_of_prometheus_is_no(body: bytes) -> None:
    with scripted_server() as service:
        service.on("GET", "/api/v1/query", body)
        probe = check(service.url, "up", at_least=0).probe(10)
    assert (probe.ok, probe.silent) == (False, True)
    assert "this is no answer of Prometheus" in probe.detail


def test_nobody_there_is_no() -> None:
    port = free_port()
    probe = check(f"http://127.0.0.1:{port}", "up", at_least=0).probe(10)
    assert not probe.ok
    assert "no answer" in probe.detail


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"prometheus": None}, "prometheus"),
        ({"prometheus": "localhost:9090"}, "prometheus"),
        ({"prometheus": "http://ann:secret@host/"}, "prometheus"),
        ({"prometheus": "http://host/?x=1"}, "prometheus"),
        ({"query": ""}, "query"),
        ({"query": 5}, "query"),
        ({"query": "x" * 4001}, "query"),
        ({"at_most": None}, "at_most"),
        ({"at_most": True}, "at_most"),
        ({"at_most": "many"}, "at_most"),
        ({"at_most": "nan"}, "at_most"),
        ({"at_most": "inf"}, "at_most"),
        ({"at_least": 2}, "at_least"),
        ({"above": 2}, "above"),
    ],
)
def test_setting_that_cannot_work_is_refused(changed: dict[str, Any], field: str) -> None:
    settings = {"prometheus": "http://host:9090", "query": "up", "at_most": 1}
    with pytest.raises(SettingsRefusedError) as refused:
        PrometheusCheck.from_settings({**settings, **changed})
    assert refused.value.field == field
    assert "secret" not in str(refused.value)


def test_a_query_without_a_bound_is_refused() -> None:
    with pytest.raises(SettingsRefusedError, match="at_least"):
        PrometheusCheck.from_settings({"prometheus": "http://host:9090", "query": "up"})


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"status":"success"}', b'{"status":"success","data":{"resultType":"vector","result":[{}]}}',
     b'{"status":"success","warnings":["half of the stores did not answer"],'
     b'"data":{"resultType":"scalar","result":[1,"1"]}}'],
)  # fmt: skip
def test_an_answer_that_says_less_than_it_should_is_no(body: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            client, _ = listener.accept()
            with client:
                client.recv(65536)
                client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

        thread = threading.Thread(target=serve)
        thread.start()
        probe = check(f"http://127.0.0.1:{listener.getsockname()[1]}", "1", at_least=1).probe(10)
        thread.join()
    assert not probe.ok
    assert probe.detail
