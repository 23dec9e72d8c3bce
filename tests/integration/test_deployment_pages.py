"""The page of a deployment: what it brings, and what happened to it."""

from sqlalchemy import text

from tests.integration.api_world import ApiWorld, world
from tests.integration.test_overview import succeed

__all__ = ["world"]

# Each step that fails is an entry.
MANY = """
    INSERT INTO events (subject, seq, deployment_id, kind, at, data, hash)
    SELECT concat('deployment:', CAST(:id AS bigint)), n, :id, 'step.failed', now(),
        jsonb_build_object('target', 'host-' || n), '\\x00'
    FROM generate_series(2, 251) AS n
"""


def test_a_long_trail_shows_how_it_ended(world: ApiWorld) -> None:
    client, _ = world.browser("viewer")
    made = world.deploy(world.application("1.0"), "1.0")["id"]
    assert "These are the newest" not in client.get(f"/deployments/{made}").text
    with world.database.transaction() as session:
        session.execute(text(MANY), {"id": made})
    trail = client.get(f"/deployments/{made}").text.partition('id="trail"')[2]
    assert "These are the newest 200." in trail
    assert [f"host-{n}<" in trail for n in (51, 52, 251)] == [False, True, True]


def test_a_deployment_says_which_releases_it_brings(world: ApiWorld) -> None:
    client, _ = world.browser("viewer")
    name = world.application("1.0")
    first = world.deploy(name, "1.0")["id"]
    succeed(world, first)
    for version, changes in (("1.1", "mends <b>it</b>"), ("1.2", "is faster")):
        body = {"name": name, "version": version, "changes": changes}
        assert world.admin.post("/releases/", json=body).status_code == 201
    page = client.get(f"/deployments/{world.deploy(name, '1.2')['id']}").text
    assert "Brings 2 releases since what was there" in page
    assert page.index("is faster") < page.index("mends")
    assert "<b>it" not in page
    assert "Brings" not in client.get(f"/deployments/{first}").text
