"""A Chromium, and an installation for it to look at."""

import secrets
from collections.abc import Iterator

import pytest
import redis
from playwright.sync_api import Browser, expect, sync_playwright

from tests.acceptance.fleet import fleet
from tests.browser.site import CHROMIUM, FLAGS, STREAM, WEB, Site, serving
from tests.conftest import environment, migrate
from tests.servers import PostgresServer, worker_id

PATIENCE_MS = 20_000
"""For what will come: a machine that runs other tests, too, may take long."""


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One Chromium for all pages, and gone after them: while it is there, this thread has an event loop that runs."""
    if CHROMIUM is None:
        pytest.skip(
            "NO CHROMIUM: nobody looks at the web UI. `apt-get install chromium` lets these tests run."
        )
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture(scope="package")
def site(
    browser: Browser,
    postgres_server: PostgresServer,
    redis_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    """An installation for all of them: they make names of their own, and leave no rule behind that stops others."""
    folder = tmp_path_factory.mktemp("site")
    template = postgres_server.template("migrated", lambda url: migrate(url, redis_url, folder))
    name = f"browser_{worker_id()}_{secrets.token_hex(3)}"
    url = postgres_server.create_database(name, template=template)
    with redis.Redis.from_url(redis_url) as store:
        store.flushdb()  # what is kept there names ids of another database
    env = environment(url, redis_url, folder)
    with (
        fleet(env, folder) as processes,
        serving("stream", STREAM, env, folder) as streams,
        serving("web", WEB, {**env, "STREAM_URL": streams.url}, folder) as web,
    ):
        processes.worker()
        processes.beat()
        made = Site(web.url, browser, processes, redis_url, folder, streams)
        made.person()
        yield made
        made.end_all()
    postgres_server.drop_database(name)
