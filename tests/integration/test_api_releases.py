"""Applications and releases: recording, reading, and what is kept in Redis."""

import socket
from threading import Thread

import pytest

from api.schemas import applications as application_schemas
from api.schemas import environments as environment_schemas
from api.schemas import releases as schemas
from orchestrator.cache import Cache
from tests.integration.api_world import V1, ApiWorld, Person, pipeline_of, world

__all__ = ["world"]


def test_a_release_is_recorded_and_read(world: ApiWorld) -> None:
    name = world.application()
    body = {"name": name, "version": "1.0+b7", "artifact": "registry/shop:1", "changes": "é\n💥"}
    made = world.admin.post("/releases/", json=body)
    assert made.status_code == 201
    release = made.get_json()
    schemas.Release().load(release)
    assert made.headers["Location"] == f"/api/v1/releases/{release['id']}"
    assert {key: release[key] for key in body} == body
    assert (release["status"], release["created_by"]) == ("available", "admin")
    assert world.admin.get(f"/releases/{release['id']}").get_json() == release


def test_a_release_knows_when_it_was_committed_where_that_was_said(world: ApiWorld) -> None:
    name = world.application()
    sent = {"name": name, "version": "1", "committed_at": "2026-11-20T10:30:00+01:00"}
    made = world.admin.post("/releases/", json=sent).get_json()
    schemas.Release().load(made)
    assert made["committed_at"] == "2026-11-20T09:30:00Z"
    assert world.admin.get(f"/releases/{made['id']}").get_json() == made
    silent = world.admin.post("/releases/", json={"name": name, "version": "2"}).get_json()
    assert silent["committed_at"] is None


@pytest.mark.parametrize("at", ["9999-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "0001-01-01T00:00:00+23:00"])
def test_nothing_was_committed_in_the_future_or_before_there_were_computers_to_do_it(
    world: ApiWorld, at: str
) -> None:
    name = world.application()
    refused = world.admin.post("/releases/", json={"name": name, "version": "1", "committed_at": at})
    assert (refused.status_code, refused.get_json()["errors"][0]["pointer"]) == (422, "/committed_at")


def test_releases_are_found_newest_first(world: ApiWorld) -> None:
    name = world.application("1", "2", "3")
    page = world.admin.get(f"/releases?name={name}").get_json()
    schemas.ReleasePage().load(page)
    assert [each["version"] for each in page["items"]] == ["3", "2", "1"]
    first = world.admin.get(f"/releases?name={name}&limit=2").get_json()
    rest = world.admin.get(f"/releases?name={name}&limit=2&cursor={first['next_cursor']}").get_json()
    assert [each["version"] for each in rest["items"]] == ["1"]
    assert rest["next_cursor"] is None
    skipped = world.admin.get(f"/releases?name={name}&skip=2").get_json()
    assert [each["version"] for each in skipped["items"]] == ["1"]
    assert world.admin.get(f"/releases?name={name}&version=2").get_json()["items"][0]["version"] == "2"


def test_a_new_release_is_in_the_next_list(world: ApiWorld) -> None:
    name = world.application()
    for version in ("1", "2", "3"):
        world.admin.get("/releases/")
        world.admin.post("/releases/", json={"name": name, "version": version})
        assert world.admin.get("/releases/").get_json()["items"][0]["version"] == version


def test_a_release_is_kept_in_redis_as_it_is_sent(world: ApiWorld) -> None:
    release_id = release_of(world)
    first = world.admin.get(f"/releases/{release_id}")
    assert world.redis.get(f"cache:releases:{release_id}") == first.data
    assert 1700 < int(world.redis.ttl(f"cache:releases:{release_id}")) <= 1800  # type: ignore[arg-type]  # not asynchronous
    assert world.admin.get(f"/releases/{release_id}").data == first.data
    listed = world.admin.get("/releases/")
    assert world.redis.get("api:releases:all") == listed.data


def test_what_is_read_before_a_change_is_never_kept_after_it(world: ApiWorld) -> None:
    cache = Cache(world.settings.redis_url)
    late = cache.get("api:users:777", namespace="users")
    assert not isinstance(late, bytes)
    cache.forget("users")
    cache.put(late, b"old", seconds=60)
    assert not isinstance(cache.get("api:users:777", namespace="users"), bytes)
    fresh = cache.get("api:users:777", namespace="users")
    assert not isinstance(fresh, bytes)
    cache.put(fresh, b"new", seconds=60)
    assert cache.get("api:users:777", namespace="users") == b"new"


def test_what_was_read_before_a_flush_is_not_kept(world: ApiWorld) -> None:
    cache = Cache(world.settings.redis_url)
    late = cache.get("api:users:778", namespace="users")
    assert not isinstance(late, bytes)
    cache.forget("users")
    world.redis.flushdb()
    cache.put(late, b"old", seconds=60)
    assert not isinstance(cache.get("api:users:778", namespace="users"), bytes)


def test_without_redis_everything_is_served_from_postgres(world: ApiWorld) -> None:
    release_id = release_of(world)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"redis://127.0.0.1:{nobody.getsockname()[1]}/0"
        client = world.another(redis_url=url).test_client()
        person = Person(client, world.admin.tokens)
        assert person.get(f"/releases/{release_id}").get_json()["id"] == release_id
        assert person.get("/releases/").status_code == 200
        name = world.application()
        assert person.post("/releases/", json={"name": name, "version": "1"}).status_code == 201
        assert person.get("/releases/").get_json()["items"][0]["name"] == name
        health = client.get("/health")
        assert (health.status_code, health.get_json()["status"]) == (200, "degraded")


def test_an_etag_saves_the_body(world: ApiWorld) -> None:
    release_id = release_of(world)
    first = world.admin.get(f"/releases/{release_id}")
    tag = first.headers["ETag"]
    same = world.admin.get(f"/releases/{release_id}", headers={"If-None-Match": tag})
    assert (same.status_code, same.data, same.headers["ETag"]) == (304, b"", tag)
    other = world.admin.get(f"/releases/{release_id}", headers={"If-None-Match": '"other", W/"x"'})
    assert (other.status_code, other.data) == (200, first.data)


def release_of(world: ApiWorld) -> int:
    name = world.application("1")
    return int(world.admin.get(f"/releases?name={name}").get_json()["items"][0]["id"])


def test_the_same_release_twice_with_one_key_is_one(world: ApiWorld) -> None:
    name = world.application()
    body, headers = {"name": name, "version": "1"}, {"Idempotency-Key": f"key-{name}"}
    first = world.admin.post("/releases/", json=body, headers=headers)
    again = world.admin.post("/releases/", json=body, headers=headers)
    assert (again.status_code, again.data) == (201, first.data)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.headers["Location"] == first.headers["Location"]
    other = world.admin.post("/releases/", json={**body, "version": "2"}, headers=headers)
    assert (other.status_code, other.get_json()["code"]) == (422, "idempotency_key_reused")


def test_a_pipeline_is_applied_once_and_read_back(world: ApiWorld) -> None:
    name = world.application()
    again = world.apply(name, pipeline_of(name))
    assert (again.status_code, again.get_json()["changed"], again.get_json()["revision"]) == (200, False, 1)
    found = world.admin.get(f"/applications/{name}/pipeline").get_json()
    application_schemas.Pipeline().load(found)
    assert (found["source"], found["created_by"]) == (pipeline_of(name), "admin")
    application = world.admin.get(f"/applications/{name}").get_json()
    application_schemas.Application().load(application)
    assert application["environments"] == [
        {
            "name": "staging",
            "after": [],
            "strategy": "all-at-once",
            "targets": [{"name": "web-a", "kind": "noop"}],
        },
        {
            "name": "production",
            "after": ["staging"],
            "strategy": "rolling",
            "targets": [{"name": "web-a", "kind": "noop"}, {"name": "web-b", "kind": "noop"}],
        },
    ]


def test_a_dry_run_changes_nothing(world: ApiWorld) -> None:
    before = world.count("pipelines")
    answer = world.apply("dry", pipeline_of("dry"), "?dry_run=true")
    assert (answer.status_code, answer.get_json()["changed"]) == (200, True)
    assert world.admin.get("/applications/dry").status_code == 404
    assert world.count("pipelines") == before


def test_an_application_belongs_to_who_recorded_it(world: ApiWorld) -> None:
    name = world.application()
    source = pipeline_of(name).replace("./install", "./other")
    sent = {"data": source, "content_type": "text/yaml"}
    path = f"/applications/{name}/pipeline"
    assert world.person("viewer").call("PUT", path, **sent).status_code == 403
    assert world.person("deployer").call("PUT", path, **sent).status_code == 403
    assert world.person("operator").call("PUT", path, **sent).status_code == 200


def test_a_pipeline_must_be_called_yaml(world: ApiWorld) -> None:
    answer = world.admin.call("PUT", "/applications/shop/pipeline", json={"application": "shop"})
    assert answer.status_code == 415


def test_applications_environments_and_installations_are_listed(world: ApiWorld) -> None:
    names = {world.application(), world.application()}
    listed = application_schemas.ApplicationPage().load(world.admin.get("/applications?limit=200").get_json())
    assert names <= {each["name"] for each in listed["items"]}
    page = world.admin.get("/environments/?limit=1").get_json()
    environment_schemas.EnvironmentPage().load(page)
    rest = world.admin.get(f"/environments?cursor={page['next_cursor']}").get_json()
    assert [each["name"] for each in page["items"] + rest["items"]] == ["staging", "production"]
    assert world.admin.get("/environments/staging").get_json() == page["items"][0]
    name = names.pop()
    first = world.admin.get(f"/installations?application={name}&limit=2").get_json()
    second = world.admin.get(f"/installations?application={name}&cursor={first['next_cursor']}").get_json()
    rows = [
        (each["environment"], each["target"], each["version"]) for each in first["items"] + second["items"]
    ]
    assert rows == [("staging", "web-a", None), ("production", "web-a", None), ("production", "web-b", None)]


@pytest.mark.parametrize(
    "path", ["/releases", "/releases/1", "/applications", "/installations", "/users", "/deployments"]
)
def test_nothing_is_read_without_a_login(world: ApiWorld, path: str) -> None:
    assert world.client().get(V1 + path).status_code == 401


def test_of_two_equal_releases_at_once_one_is_made(world: ApiWorld) -> None:
    name = world.application()
    statuses: list[int] = []

    def record() -> None:
        answer = world.admin.post("/releases/", json={"name": name, "version": "1"})
        statuses.append(answer.status_code)

    threads = [Thread(target=record) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [201, 409]
