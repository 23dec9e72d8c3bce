"""How many requests a minute: by hand with a clock of its own, over HTTP, and with and without Redis."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field

import pytest
import redis
from flask import Flask

from api import quotas
from api.quotas import Quotas, Standing
from orchestrator.domain.access import Role
from orchestrator.services.actors import Actor
from tests.acceptance.fleet import eventually
from tests.chaos.proxy import Mode, Proxy
from tests.integration.api_world import PASSWORD, V1, ApiWorld, Person, world
from tests.integration.test_keeping_still import through

__all__ = ["world"]

NOWHERE = "redis://127.0.0.1:1/0"
ADA, BEN = (Actor(number, name, Role.VIEWER, name) for number, name in ((1, "ada"), (2, "ben")))
LIMIT = 10


@dataclass
class Web:
    """Some web processes that share a Redis, and a clock that stands still."""

    url: str
    at: float = 6000.0
    processes: list[Quotas] = field(default_factory=list)

    def start(self) -> Quotas:
        made = Quotas(self.url, limit=LIMIT, anonymous_limit=3, now=lambda: self.at)
        self.processes.append(made)
        return made

    def tell(self) -> None:
        """As a second does."""
        for process in self.processes:
            process.tell()

    def close(self) -> None:
        """Let none of them tell anything from now on."""
        for process in self.processes:
            process.close()


@pytest.fixture
def web(redis_url: str) -> Iterator[Web]:
    store = redis.Redis.from_url(redis_url)
    for key in store.scan_iter("quotas:*"):
        store.delete(key)
    store.close()
    made = Web(redis_url)
    yield made
    made.close()


def spend(process: Quotas, times: int, actor: Actor = ADA) -> list[bool]:
    """Whether each of so many requests was let through."""
    return [process.spend(actor).wait_seconds is None for _ in range(times)]


def test_so_many_and_then_none(web: Web) -> None:
    process = web.start()
    assert [process.spend(ADA).remaining for _ in range(LIMIT)] == list(range(LIMIT - 1, -1, -1))
    assert spend(process, 3) == [False] * 3
    assert spend(process, 1, BEN) == [True]


def test_the_minute_slides(web: Web) -> None:
    """All of it was spent at the end of a minute; of ten, one slides out each six seconds."""
    process = web.start()
    web.at += 59
    assert spend(process, LIMIT) == [True] * LIMIT
    for at, room in ((60, 0), (65, 0), (66, 1), (71, 0), (78, 2), (119, 6)):
        web.at = 6000.0 + at
        assert spend(process, room + 1) == [True] * room + [False], at


@pytest.mark.parametrize("begun", [0, 1, 30, 59])
def test_who_waits_as_they_were_told_is_let_through_and_not_before(web: Web, begun: int) -> None:
    process = web.start()
    web.at += begun
    spend(process, LIMIT)
    refused = process.spend(ADA)
    assert refused.wait_seconds is not None
    web.at += refused.wait_seconds - 1
    assert spend(process, 1) == [False]
    web.at += 1
    assert spend(process, 1) == [True]


def test_processes_tell_each_other(web: Web) -> None:
    one, two = web.start(), web.start()
    assert spend(one, 6) == [True] * 6
    assert spend(two, 1) == [True]
    web.tell()
    web.tell()
    assert spend(two, 4) == [True] * 3 + [False]
    three = web.start()
    web.at += 60
    assert spend(three, 1) == [True]
    web.tell()
    assert spend(three, 1) == [False]


def test_what_one_minute_told_counts_in_the_next(web: Web) -> None:
    process = web.start()
    spend(process, LIMIT)
    web.tell()
    web.at += 90
    assert spend(process, 6) == [True] * 5 + [False]
    web.tell()
    assert spend(process, 1) == [False]


def test_redis_that_was_emptied_gives_nobody_more(web: Web, redis_url: str) -> None:
    process = web.start()
    spend(process, 6)
    web.tell()
    store = redis.Redis.from_url(redis_url)
    for key in store.scan_iter("quotas:*"):
        store.delete(key)
    store.close()
    assert spend(process, 1) == [True]
    web.tell()
    assert spend(process, 4) == [True] * 3 + [False]


def test_without_redis_each_process_counts_for_itself() -> None:
    web = Web(NOWHERE)
    one, two = web.start(), web.start()
    for process in (one, two):
        assert spend(process, 5) == [True] * 5
        web.tell()
        assert spend(process, 6) == [True] * 5 + [False]
    web.close()


def test_who_closes_waits_for_what_is_being_told(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quotas, "TIMEOUT_SECONDS", 60.0)
    with Proxy() as proxy, ThreadPoolExecutor(1) as other, redis.Redis.from_url(web.url) as store:
        process = Quotas(through(proxy, "redis", web.url), limit=LIMIT, anonymous_limit=3, now=lambda: web.at)
        proxy.turn("redis", Mode.STALLED)
        spend(process, 1)
        eventually(lambda: proxy.links["redis"].pieces, "it is being told")
        closing = other.submit(process.close)
        assert not wait([closing], timeout=0.5).done
        proxy.heal()
        closing.result()
        assert store.get("quotas:user:1:100") == b"1"


def test_an_address_has_a_quota_of_its_own(web: Web) -> None:
    process = web.start()
    standings = [process.spend_anonymous("192.0.2.1") for _ in range(4)]
    assert standings[0] == Standing(limit=3, remaining=2, reset_seconds=60)
    assert [each.wait_seconds is None for each in standings] == [True] * 3 + [False]
    assert process.spend_anonymous("192.0.2.2").wait_seconds is None


@pytest.fixture
def small(world: ApiWorld) -> Flask:
    """A web process that lets few requests through, and counts for itself."""
    return world.another(rate_limit=5, anonymous_rate_limit=3, redis_url=NOWHERE)


def until_refused(person: Person, path: str) -> int:
    """How many are let through, of many more than that."""
    for number in range(50):
        answer = person.get(path)
        if answer.status_code == 429:
            assert answer.get_json()["code"] == "too_many_requests"
            assert answer.headers["RateLimit-Remaining"] == "0"
            assert 1 <= int(answer.headers["Retry-After"]) <= 120
            return number
        assert answer.status_code == 200, answer.text
    raise AssertionError("nobody was refused")


def test_every_answer_says_how_it_stands(world: ApiWorld, small: Flask) -> None:
    person = world.person("viewer")
    answer = Person(small.test_client(), person.tokens).get("/auth/me")
    assert answer.headers["RateLimit-Limit"] == "5"
    assert answer.headers["RateLimit-Remaining"] == "4"
    assert 0 < int(answer.headers["RateLimit-Reset"]) <= 60
    missing = Person(small.test_client(), person.tokens).get("/releases/999999999")
    assert (missing.status_code, missing.headers["RateLimit-Remaining"]) == (404, "3")


def test_a_user_and_each_token_are_counted_by_themselves(world: ApiWorld, small: Flask) -> None:
    person = world.person("deployer")
    username = person.get("/auth/me").get_json()["username"]
    again = Person(small.test_client(), world.login(username).tokens)
    made = person.post("/tokens/", json={"name": "ci", "scopes": ["read"]}).get_json()
    first = Person(small.test_client(), person.tokens)
    assert until_refused(first, "/auth/me") >= 5
    assert again.get("/auth/me").status_code == 429
    machine = Person(small.test_client(), {"access_token": made["token"]})
    assert until_refused(machine, "/auth/me") >= 5


def test_who_is_not_known_is_counted_by_address(world: ApiWorld, small: Flask) -> None:
    client, person = small.test_client(), world.person("viewer")
    bad = {"Authorization": "Bearer nonsense"}
    statuses = [client.get(f"{V1}/auth/me", headers=bad).status_code for _ in range(50)]
    assert statuses[:3] == [401] * 3
    assert 429 in statuses
    login = client.post(f"{V1}/auth/login", json={"username": "admin", "password": PASSWORD})
    assert login.status_code == 429
    assert Person(client, person.tokens).get("/auth/me").status_code == 200


def test_whoever_asks_for_health_is_never_refused(small: Flask) -> None:
    client = small.test_client()
    answers = [client.get("/health/live") for _ in range(20)]
    assert {answer.status_code for answer in answers} == {200}
    assert "RateLimit-Limit" not in answers[0].headers
