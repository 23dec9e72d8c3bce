"""Numbers for Prometheus, read by Prometheus' own parser."""

from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text
from sqlalchemy.orm import Session

from api.metrics import ENGINE
from orchestrator.services import attempts
from tests.integration.api_world import ApiWorld, world
from tests.integration.engine_world import worker

__all__ = ["world"]


def scrape(world: ApiWorld) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    made = world.admin.post("/tokens/", json={"name": "prometheus", "scopes": ["read"]}).get_json()
    answer = world.client().get("/metrics", headers={"Authorization": f"Bearer {made['token']}"})
    assert answer.status_code == 200, answer.text
    assert answer.content_type.startswith("text/plain")
    families = text_string_to_metric_families(answer.text)
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def figure(found: dict[tuple[str, frozenset[tuple[str, str]]], float], name: str, **labels: str) -> float:
    return found.get((name, frozenset(labels.items())), 0.0)


def test_requests_are_counted_by_their_route(world: ApiWorld) -> None:
    name = world.application("1.0")
    labels = {"method": "GET", "route": "/api/v1/applications/<name:application>", "status": "200"}
    route = next(
        rule.rule
        for rule in world.app.url_map.iter_rules()
        if rule.endpoint == "applications.get_application"
    )
    labels["route"] = route
    count = "release_manager_http_request_seconds_count"
    before = figure(scrape(world), count, **labels)
    for _ in range(3):
        assert world.admin.get(f"/applications/{name}").status_code == 200
    assert figure(scrape(world), count, **labels) == before + 3
    world.client().get("/nothing/here")
    assert figure(scrape(world), count, method="GET", route="none", status="404") >= 1


def test_the_engines_figures_are_those_of_postgres(world: ApiWorld) -> None:
    name = world.application("1.0")
    before = scrape(world)
    for _ in range(2):
        world.deploy(name, "1.0", "production")
    after = scrape(world)
    pending = "release_manager_deployments_pending"
    assert figure(after, pending) == figure(before, pending) + 2
    assert figure(after, "release_manager_tick_silence_seconds") == -1
    assert all(any(key[0] == f"release_manager_{suffix}" for key in after) for suffix, _ in ENGINE.values())


def test_looks_into_the_cache_are_counted(world: ApiWorld) -> None:
    name = world.application("1.0")
    release = world.admin.get(f"/releases/?name={name}").get_json()["items"][0]["id"]
    lookups = "release_manager_cache_lookups_total"
    before = scrape(world)
    for _ in range(3):
        world.admin.get(f"/releases/{release}")
    after = scrape(world)
    assert figure(after, lookups, result="miss") == figure(before, lookups, result="miss") + 1
    assert figure(after, lookups, result="hit") == figure(before, lookups, result="hit") + 2


def test_nobody_reads_them_without_a_token(world: ApiWorld) -> None:
    assert world.client().get("/metrics").status_code == 401


def test_the_age_of_the_queue_is_how_long_an_attempt_waits_for_a_worker(world: ApiWorld) -> None:
    assert figure(scrape(world), "release_manager_attempts_untaken_seconds") == 0
    name = world.application("1.0")
    made = world.deploy(name, "1.0")["id"]
    with world.database.transaction() as session:
        attempts.advance(session, made, None)
    assert figure(scrape(world), "release_manager_attempts_untaken") == 1
    with world.database.transaction() as session:
        ago = "UPDATE attempts SET not_before = clock_timestamp() - interval '90 seconds' WHERE deployment_id = :id"
        session.execute(text(ago), {"id": made})
    assert 90 <= figure(scrape(world), "release_manager_attempts_untaken_seconds") < 180
    with world.database.transaction() as session:
        claim = attempts.claim(session, open_attempt(session, made), worker(), deployment_id=made)
        assert claim is not None
    assert figure(scrape(world), "release_manager_attempts_untaken") == 0
    assert figure(scrape(world), "release_manager_attempts_untaken_seconds") == 0


def open_attempt(session: Session, deployment_id: int) -> int:
    found = session.execute(text("SELECT id FROM attempts WHERE deployment_id = :id"), {"id": deployment_id})
    return int(found.scalar_one())
