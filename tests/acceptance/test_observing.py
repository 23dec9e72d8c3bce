"""What an installation says of itself while it works: its numbers and its logs, of every kind of process."""

from collections.abc import Iterator

import pytest
import urllib3

from tests.acceptance.fleet import eventually
from tests.acceptance.installation import Installation, Samples, on_a_database
from tests.integration.stream_world import Listener
from tests.servers import PostgresServer


@pytest.fixture(scope="module")
def site(
    postgres_server: PostgresServer, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("site")
    with on_a_database(postgres_server, redis_url, folder, LOG_LEVEL="DEBUG") as made:
        yield made


def figure(found: Samples, name: str, **labels: str) -> float:
    return found.get((f"release_manager_{name}", frozenset(labels.items())), 0.0)


def test_every_process_counts_what_it_does(site: Installation) -> None:
    site.application("counted", "true")
    before, web_before = site.samples("worker"), site.samples("web")
    made = site.deploy("counted")
    worker, web = site.samples("worker"), site.samples("web")

    def grown(name: str, **labels: str) -> float:
        return figure(worker, name, **labels) - figure(before, name, **labels)

    assert grown("step_seconds_count", kind="command", outcome="succeeded") == 1
    assert grown("deployments_total", environment="lab", status="running") == 1
    assert grown("deployments_total", environment="lab", status="succeeded") == 1
    assert grown("query_seconds_count", verb="with") > 0
    route = {"method": "POST", "route": "/api/v1/deployments/", "status": "202"}
    answered = "http_request_seconds_count"
    assert figure(web, answered, **route) == figure(web_before, answered, **route) + 1
    assert figure(web, "query_seconds_count", verb="select") > figure(
        web_before, "query_seconds_count", verb="select"
    )
    eventually(lambda: figure(site.samples("beat"), "ticks_sent_total") >= 2, "beat counts its ticks")
    eventually(lambda: figure(site.samples("worker"), "tick_lag_seconds_count") >= 1, "ticks are timed")
    assert made > 0


def test_a_stream_counts_its_followers_while_they_follow(site: Installation) -> None:
    site.application("followed", "true")
    made = site.deploy("followed")
    assert figure(site.samples("stream"), "followers") == 0
    tokens = site.tokens.load()
    assert tokens is not None
    listener = Listener(
        site.stream.port,
        f"/api/v1/deployments/{made}/stream",
        {"Authorization": f"Bearer {tokens.access}"},
    )
    assert listener.until("end")
    listener.close()
    assert figure(site.samples("stream"), "look_seconds_count") >= 1
    eventually(lambda: figure(site.samples("stream"), "followers") == 0, "nobody follows any more")


def test_nobody_reads_the_numbers_of_a_process_without_the_token(site: Installation) -> None:
    for port in site.metrics_ports.values():
        url = f"http://127.0.0.1:{port}/metrics"
        assert urllib3.request("GET", url).status == 401
        assert urllib3.request("GET", url, headers={"Authorization": "Bearer guessed"}).status == 401
        assert urllib3.request("GET", f"http://127.0.0.1:{port}/health/live").status == 200


def test_lines_say_which_request_deployment_attempt_and_worker_they_are_about(site: Installation) -> None:
    site.application("logged", "true")
    made = site.deploy("logged", **{"X-Request-ID": "asked-by-a-test"})
    asked = [
        line
        for line in site.lines("web")
        if line.get("request_id") == "asked-by-a-test" and line["event"] == "request"
    ]
    assert [(line["process"], line["deployment"], line["status"]) for line in asked] == [("web", made, 202)]
    ended = site.of_attempt(made)
    assert len(ended) == 1
    assert (ended[0]["process"], ended[0]["outcome"]) == ("worker", "succeeded")
    assert ended[0]["attempt"] > 0
    for process in ("web", "worker", "beat", "stream"):
        names = [line.get("process") for line in site.lines(process)]
        assert set(names[names.index(process) :]) == {process}
    assert all(":" in line["worker"] for line in site.lines("worker")[-5:])


def test_at_debug_each_operation_on_the_cache_and_each_message_is_a_line(site: Installation) -> None:
    """A Redis that is slow for once is left alone for a while, and there is no line."""
    site.application("looked-into", "true")
    release = site.client.deployment(site.deploy("looked-into"))["release_id"]

    def is_found() -> bool:
        site.client.call("GET", f"/releases/{release}")
        operations = [
            (line["operation"], line["found"])
            for line in site.lines("web")
            if line["event"] == "redis" and line["key"] == f"cache:releases:{release}"
        ]
        return operations[-3:] == [("get", False), ("put", True), ("get", True)]

    eventually(is_found, "it was missed, kept and found")

    def sent() -> list[str]:
        made = site.deploy("looked-into")
        lines = [line for line in site.lines("web") if line["event"] == "message_sent"]
        return [line["task"] for line in lines if line["subject"] == made]

    assert eventually(sent, "a message was sent") == ["deployments.advance"]


def test_the_web_server_itself_logs_as_its_application_does(site: Installation) -> None:
    first, *rest = site.logs["web"].read_text().splitlines()
    assert "Starting gunicorn" in first  # before it reads what it is told
    assert any('"logger": "gunicorn.error"' in line for line in rest)
    assert [line for line in rest if not line.startswith("{")] == []
