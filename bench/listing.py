"""A page of the list of deployments among ten million, beside the same page among ten thousand."""

import json
import os
import secrets
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import urllib3

from bench import world
from bench.world import World, free_port, process
from orchestrator.client import Client, MemoryTokens, UnreachableError
from orchestrator.services.cursors import Cursors

FEW = 10_000
MANY = int(os.environ.get("LISTING_ROWS", "10000000"))
AT_ONCE = 1_000_000
ROUNDS = 150
WARM_UP = 30
APPLICATIONS = 20
WEB = "gunicorn -c python:api.serving --no-control-socket -k gthread --workers 2 --threads 8"
ENVIRONMENTS = ("lab", "staging", "production")

# 95 of 100 succeeded; applications and environments alternate.
_DEPLOYMENTS = """
    INSERT INTO deployments (application_id, release_id, environment, status, requested_by, deployed_by, strategy,
        plan_hash, max_failures, max_parallel, on_failure, wave_count, step_count, event_seq, started_at, ended_at, deployed_at)
    SELECT r.application_id, r.id, (%(environments)s::text[])[n %% 3 + 1], s.status, u.id,
        CASE WHEN s.status = 'succeeded' THEN u.id END, 'rolling', md5(n::text) || md5((-n)::text), 0, 1, 'fail', 1, 1, 4,
        t.at, t.at + interval '30 seconds', CASE WHEN s.status = 'succeeded' THEN t.at + interval '30 seconds' END
    FROM generate_series(%(first)s, %(last)s) n
    JOIN (SELECT id, application_id, row_number() OVER (ORDER BY id) - 1 AS place FROM releases) r ON r.place = n %% %(releases)s
    CROSS JOIN (SELECT min(id) AS id FROM users) u
    CROSS JOIN LATERAL (
        SELECT CASE WHEN n %% 100 < 95 THEN 'succeeded' WHEN n %% 100 < 99 THEN 'failed' ELSE 'cancelled' END) s(status)
    CROSS JOIN LATERAL (SELECT now() - (%(last)s - n) * interval '3 seconds') t(at)
    ORDER BY n
"""
_WAVES = """
    INSERT INTO waves (deployment_id, index, batch, action_index, total, waiting, succeeded, failed, cancelled)
    SELECT d.id, 0, 0, 0, 1, 0, (d.status = 'succeeded')::int, (d.status = 'failed')::int, (d.status = 'cancelled')::int
    FROM deployments d WHERE d.id > %(after)s
"""
_SECONDARY = """
    SELECT i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid) FROM pg_index i
    WHERE i.indrelid = 'deployments'::regclass AND NOT i.indisprimary
"""


@dataclass
class Side:
    """A web server before a database, and somebody who reads."""

    url: str
    token: str
    cursors: Cursors
    rows: int
    pool: urllib3.PoolManager

    def read(self, query: str) -> float:
        """The seconds that one page takes."""
        begun = time.perf_counter()
        answer = self.pool.request(
            "GET",
            f"{self.url}/api/v1/deployments/?{query}",
            headers={"Authorization": f"Bearer {self.token}"},
        )
        took = time.perf_counter() - begun
        assert answer.status == 200, answer.data
        assert len(json.loads(answer.data)["items"]) == 50
        return took

    def cursor(self) -> str:
        """Where the page in the middle of all begins."""
        return self.cursors.write("deployments", self.rows // 2)


def measure() -> list[tuple[str, str, str]]:
    """Both servers beside each other, a page from each in turn."""
    with world.world("web", env={"DB_POOL_SIZE": "10"}) as ours, _beside(ours) as few:
        many = _side(ours.stack.url, ours.client, ours.tokens, ours.stack.env, MANY)
        world.say(f"listing: {MANY:,} deployments are written")
        fill(ours.stack.env["DATABASE_URL"], MANY)
        size = ours.query("SELECT pg_size_pretty(pg_database_size(current_database()))")[0][0]
        world.say(f"listing: the database has {size}")
        pages = {
            "the newest": lambda _side: "limit=50",
            "from the middle, by cursor": lambda side: f"limit=50&cursor={side.cursor()}",
            "of an environment": lambda _side: "limit=50&environment=staging",
            "of an application": lambda _side: "limit=50&application=listed-7",
            "those that failed": lambda _side: "limit=50&status=failed",
        }
        found = []
        for name, query in pages.items():
            times: dict[int, list[float]] = {FEW: [], MANY: []}
            for number in range(WARM_UP + ROUNDS):
                for side in (few, many) if number % 2 else (many, few):
                    took = side.read(query(side))
                    if number >= WARM_UP:
                        times[side.rows].append(took)
            small, large = (statistics.median(times[each]) * 1000 for each in (FEW, MANY))
            measured = f"{large:.2f} ms beside {small:.2f} ms"
            found.append(
                (
                    f"50 deployments of {MANY:,}, {name}, p50",
                    measured,
                    f"{large / small:.2f} (goal at most 1.2)",
                )
            )
        return found


@contextmanager
def _beside(ours: World) -> Iterator[Side]:
    """A second database of the same Postgres with few rows, and a web server before it."""
    parts = urlsplit(ours.stack.env["DATABASE_URL"])
    url = urlunsplit(parts._replace(path="/listing_few"))
    with world.filling(ours.stack.env["DATABASE_URL"]) as cursor:
        cursor.execute("CREATE DATABASE listing_few")
    env = ours.stack.env | {"DATABASE_URL": url, "SECRET_KEY": secrets.token_hex(32)}
    said = [
        subprocess.run(
            [sys.executable, "-m", "orchestrator.bootstrap", word], env=env, check=True, capture_output=True
        ).stdout
        for word in ("migrate", "first-admin")
    ]
    admin = json.loads(said[-1])
    port = free_port()
    with process(*WEB.split(), "--bind", f"127.0.0.1:{port}", "api.wsgi:app", env=env):
        tokens = MemoryTokens()
        client = Client(f"http://127.0.0.1:{port}", tokens)
        deadline = time.monotonic() + 60
        while True:
            try:
                client.login(admin["username"], admin["password"])
                break
            except UnreachableError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
        side = _side(f"http://127.0.0.1:{port}", client, tokens, env, FEW)
        fill(url, FEW)
        yield side


def _side(url: str, client: Client, tokens: MemoryTokens, env: dict[str, str], rows: int) -> Side:
    """The applications that deployments are of, and who reads."""
    for number in range(APPLICATIONS):
        name = f"listed-{number}"
        source = (
            f"application: {name}\nenvironments:\n"
            + "".join(f"  {each}:\n    targets: [{{name: one, kind: noop}}]\n" for each in ENVIRONMENTS)
            + "deploy:\n  - run: ./install\n"
        )
        client.apply_pipeline(name, source.encode())
        for version in range(5):
            client.create("/releases/", {"name": name, "version": str(version)})
    known = tokens.load()
    assert known is not None
    return Side(url, known.access, Cursors(env["SECRET_KEY"]), rows, urllib3.PoolManager())


def fill(database_url: str, rows: int) -> None:
    """Write so many deployments by SQL; the indexes are made anew behind them, which is faster."""
    with world.filling(database_url) as cursor:
        cursor.execute("SET maintenance_work_mem = '512MB'")
        cursor.execute(_SECONDARY)
        indexes = cursor.fetchall()
        for name, _definition in indexes:
            cursor.execute(f"DROP INDEX {name}")
        cursor.execute("SELECT count(*) FROM releases")
        found = cursor.fetchone()
        assert found is not None
        for first in range(1, rows + 1, AT_ONCE):
            last = min(first + AT_ONCE - 1, rows)
            numbers = {
                "first": first,
                "last": last,
                "releases": found[0],
                "environments": list(ENVIRONMENTS),
            }
            cursor.execute(_DEPLOYMENTS, numbers)
            cursor.execute(_WAVES, {"after": first - 1})
            world.say(f"listing: {last:,} written")
        for _name, definition in indexes:
            cursor.execute(definition)
        cursor.execute("VACUUM ANALYZE deployments")
        cursor.execute("VACUUM ANALYZE waves")
