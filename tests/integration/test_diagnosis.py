"""Each unhealthy thing is planted in a real database, and has to be named with its evidence."""

import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from redis import Redis
from sqlalchemy import text

from orchestrator import clock
from orchestrator.config import Settings
from orchestrator.db import Database
from orchestrator.domain.statuses import Outcome
from orchestrator.presenting.explanations import present_explanation
from orchestrator.queue import Message, send
from orchestrator.repositories import attempts as leases
from orchestrator.repositories import heartbeats
from orchestrator.revisions import known_revisions
from orchestrator.services import attempts, diagnosis, explaining
from orchestrator.services.attempts import Ended
from orchestrator.services.diagnosis import Finding, Severity
from orchestrator.tasks import TaskName, make_celery
from tests.integration.api_world import ApiWorld
from tests.integration.api_world import world as api
from tests.integration.engine_world import World, worker
from tests.integration.stream_world import running, stream_server

__all__ = ["api"]


@pytest.fixture
def world(database: Database) -> World:
    made = World(database)
    made.release("1.0.0")
    live(made)
    return made


def live(world: World) -> None:
    """A worker polls, and the clock ticks."""
    with world.database.transaction() as session:
        heartbeats.node(session, "node-1")
        heartbeats.tick(session)


def examined(world: World, settings: Settings) -> list[Finding]:
    with world.database.reading() as session:
        return diagnosis.examine(session, settings, is_migrated=lambda revision: revision is not None)


def found(world: World, settings: Settings) -> dict[str, str]:
    findings = examined(world, settings)
    codes = {each.code for each in findings}
    return {
        code: "\n".join(f"{each.says} | {each.do}" for each in findings if each.code == code)
        for code in codes
    }


def test_a_healthy_installation_has_no_findings(world: World, settings: Settings) -> None:
    world.run_to_end(world.request("1.0.0"))
    assert found(world, settings) == {}


def test_silence_is_noticed(world: World, settings: Settings) -> None:
    world.execute("UPDATE heartbeats SET heard_at = heard_at - interval '5 minutes'")
    seen = found(world, settings)
    assert "no worker polls; the last was heard 5 min ago" in seen["no_worker"]
    assert "ticked last 5 min ago" in seen["clock_silent"]
    world.execute("DELETE FROM heartbeats")
    seen = found(world, settings)
    assert "none was ever heard" in seen["no_worker"]
    assert "never ticked" in seen["clock_silent"]


def test_a_node_that_is_away_with_runs_on_it_is_named(world: World, settings: Settings) -> None:
    claim = world.advance(world.request("1.0.0"), worker())
    assert claim is not None
    world.execute("UPDATE attempts SET node = 'node-2'")
    world.execute("INSERT INTO heartbeats VALUES ('node:node-2', clock_timestamp() - interval '3 minutes')")
    assert "node node-2, on which 1 run live, was last heard 3 min ago" in found(world, settings)["node_away"]


def test_a_node_with_little_room_is_named_while_it_is_there(world: World, settings: Settings) -> None:
    with world.database.transaction() as session:
        heartbeats.node(session, "node-1", free_bytes=600 * 1024 * 1024)
    assert found(world, settings) == {}
    with world.database.transaction() as session:
        heartbeats.node(session, "node-1", free_bytes=10 * 1024 * 1024)
    assert "node node-1 has 10 MiB left" in found(world, settings)["disk_low"]
    world.execute("UPDATE heartbeats SET heard_at = heard_at - interval '5 minutes'")
    assert "disk_low" not in found(world, settings)


def test_what_does_not_move_is_named(world: World, settings: Settings) -> None:
    deployment = world.request("1.0.0")
    claim = world.advance(deployment, worker())
    assert claim is not None
    world.execute(
        "UPDATE deployments SET wake_at = clock_timestamp() - interval '10 minutes',"
        " started_at = now() - interval '3 days'"
    )
    world.execute("UPDATE attempts SET lease_until = clock_timestamp() - interval '10 minutes'")
    seen = found(world, settings)
    assert (
        f"deployment {deployment} (shop -> staging) should have been looked at 10 min ago" in seen["overdue"]
    )
    assert f"attempt {claim.attempt_id} of deployment {deployment} on web-a" in seen["nobody_follows"]
    assert "has held shop in staging since 3 days ago" in seen["held_long"]


def test_a_question_to_a_person_is_named_with_what_to_type(world: World, settings: Settings) -> None:
    deployment = world.request("1.0.0")
    claim = world.advance(deployment, worker())
    assert claim is not None
    with world.database.transaction() as session:
        attempts.finish(session, claim, Ended(Outcome.LOST, failure="rebooted"), None)
    seen = found(world, settings)["asks_a_person"]
    assert "the end of 1 step is unknown" in seen
    (finding,) = examined(world, settings)
    assert finding.evidence == {
        "deployment_id": deployment,
        "step_ids": [world.scalar("SELECT step_id FROM attempts WHERE id = :id", id=claim.attempt_id)],
    }
    assert f"releasectl deployments resume {deployment} --answer" in seen


def test_a_target_that_gives_trouble_is_named_until_it_no_longer_does(
    world: World, settings: Settings
) -> None:
    deployment = world.request("1.0.0")
    claim = world.advance(deployment, worker())
    assert claim is not None
    held, why = {claim.attempt_id: claim.token}, {claim.attempt_id: "the port is closed"}
    with world.database.transaction() as session:
        leases.renew(session, held, lease_seconds=30, troubles=why)
    says = f"deployment {deployment} does not go on at web-a (noop), and tries again: the port is closed"
    assert says in found(world, settings)["target_trouble"]
    with world.database.reading() as session:
        told = explaining.explain(session, deployment, actor=world.actor)
    explained = present_explanation(told)
    assert explained["because"] == "it is in wave 1 of 2; web-a: the port is closed"
    assert [each["trouble"] for each in explained["troubles"]] == ["the port is closed"]
    with world.database.transaction() as session:
        leases.renew(session, held, lease_seconds=30)
    assert found(world, settings) == {}


def test_a_long_transaction_is_named(
    world: World, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diagnosis, "LONG_TRANSACTION_SECONDS", 0.0)
    with world.database.engine.connect() as other:
        pid = other.scalar(text("SELECT pg_backend_pid()"))
        seen = found(world, settings)["long_transaction"]
    assert f"pg_terminate_backend({pid})" in seen


@pytest.fixture
def queue() -> Iterator[str]:
    name = "node.node-1"
    yield name
    with make_celery().connection_for_write() as connection:
        connection.default_channel.client.delete(name)


def test_a_deep_queue_is_named(
    world: World, settings: Settings, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diagnosis, "DEEP_QUEUE", 1)
    for number in range(2):
        assert send(Message(TaskName.ADVANCE, number, "planted", queue))
    assert f"2 messages wait in the queue {queue}" in found(world, settings)["deep_queue"]
    deep = [each for each in examined(world, settings) if each.evidence.get("queue") == queue]
    assert [(each.severity, each.evidence["messages"]) for each in deep] == [(Severity.WARNING, 2)]


def test_a_broker_that_is_away_is_named_without_a_wait_for_it(world: World, settings: Settings) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        away = replace(settings, redis_url=f"redis://127.0.0.1:{nobody.getsockname()[1]}/0")
        assert set(found(world, away)) == {"broker_away"}
    with socket.create_server(("127.0.0.1", 0)) as silent:
        away = replace(settings, redis_url=f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        assert set(found(world, away)) == {"broker_away"}


def test_a_broker_that_answers_and_takes_nothing_is_named(world: World, settings: Settings) -> None:
    parts = urlsplit(settings.redis_url)
    reader = replace(
        settings, redis_url=f"redis://reader:only-reads@{parts.hostname}:{parts.port}{parts.path}"
    )
    with Redis.from_url(settings.redis_url) as admin:
        admin.acl_setuser(
            "reader",
            enabled=True,
            passwords=["+only-reads"],
            categories=["+@read", "+@connection"],
            keys=["*"],
        )
        told = found(world, reader)
        admin.acl_deluser("reader")
    assert set(told) == {"broker_refuses"}
    assert "Redis answers and takes no messages (" in told["broker_refuses"]
    assert "permissions" in told["broker_refuses"]


def test_a_stream_that_serves_nobody_is_named(
    world: World, settings: Settings, api: ApiWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diagnosis, "STREAM_PATIENCE_SECONDS", 30.0)
    with running(stream_server(api, tmp_path)) as stream:
        led = replace(settings, stream_url=f"{stream.url}/")
        live(world)  # it took its time to begin
        assert found(world, led) == {}
    live(world)
    assert set(found(world, led)) == {"stream_away"}
    assert f"STREAM_URL ({stream.url}) serves nobody: no answer" in found(world, led)["stream_away"]


def test_a_skewed_clock_is_named(world: World, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    right = clock.now
    monkeypatch.setattr(clock, "now", lambda: right() + timedelta(hours=1))
    (finding,) = [each for each in examined(world, settings) if each.code == "clocks_differ"]
    assert finding.evidence["ahead_of_postgres_seconds"] == pytest.approx(3600, abs=60)
    assert "the clocks of the web server and of Postgres differ by 3" in finding.says


def test_operators_are_told_over_http_and_others_are_not(api: ApiWorld) -> None:
    answer = api.person("operator").get("/diagnosis")
    assert answer.status_code == 200
    told = {each["code"]: each for each in answer.get_json()["findings"]}["no_worker"]
    assert (told["severity"], told["evidence"]) == ("error", {"heard_seconds_ago": {}})
    assert "celery -A workers.app worker" in told["do"]
    assert api.person("deployer").get("/diagnosis").status_code == 403


def test_tables_that_are_older_than_the_code_are_named_and_nothing_else_is_asked(api: ApiWorld) -> None:
    operator = api.person("operator")
    newest, known = known_revisions()
    first = min(known)
    set_revision(api, first)
    (finding,) = operator.get("/diagnosis").get_json()["findings"]
    set_revision(api, newest)
    assert (finding["code"], finding["evidence"]) == ("tables_behind", {"revision": first})
    assert "python -m orchestrator.bootstrap migrate" in finding["do"]


def set_revision(api: ApiWorld, revision: str) -> None:
    with api.database.transaction() as session:
        session.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})


def test_webhooks_that_were_not_told_are_named(world: World, settings: Settings) -> None:
    insert = """
        INSERT INTO webhooks (name, kind, settings, events, applications, environments, at_once, after_event_id, created_by,
            disabled_at, disabled_because)
        SELECT :name, 'webhook', '{}', '{*}', '{}', '{}', 1, 0, :user, CASE WHEN :because <> '' THEN now() END, nullif(:because, '')
    """
    for name, because in (("fine", ""), ("chat", ""), ("gone", "it answered: status 410")):
        world.execute(insert, name=name, because=because, user=world.actor.id)
    world.execute(
        "INSERT INTO deliveries (webhook_id, status) SELECT id, 'dead' FROM webhooks WHERE name = 'chat'"
    )
    seen = found(world, settings)
    assert seen.keys() == {"untold", "webhook_disabled"}
    assert "(chat) was not told 1 event" in seen["untold"]
    assert "it answered: status 410" in seen["webhook_disabled"]
