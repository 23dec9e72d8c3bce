"""The client's promises about retries, tokens and errors, against a real HTTP server."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.cli.context import ConfigFile, FileTokens
from orchestrator.client import ApiError, Client, MemoryTokens, Patience, Tokens, UnreachableError
from orchestrator.domain.errors import MisconfiguredError
from tests.unit.cli_server import DROPPED, Request, ScriptedServer, listed, problem, scripted_server

RELEASE = {"id": 1, "name": "shop", "version": "1.0.0"}


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as script:
        yield script


def client_of(
    server: ScriptedServer, *, tokens: MemoryTokens | FileTokens | None = None
) -> tuple[Client, list[float]]:
    waits: list[float] = []
    return Client(server.url, tokens, patience=Patience(sleep=waits.append)), waits


def test_a_get_whose_answer_is_lost_is_repeated(server: ScriptedServer) -> None:
    server.on("GET", "/api/v1/auth/me", DROPPED, DROPPED, {"username": "ann"})
    client, waits = client_of(server)
    assert client.me() == {"username": "ann"}
    assert waits == [0.1, 0.2]


def test_a_get_is_given_up_after_a_bounded_number_of_tries(server: ScriptedServer) -> None:
    server.on("GET", "/api/v1/auth/me", DROPPED)
    with pytest.raises(UnreachableError, match=server.url):
        client_of(server)[0].me()
    assert len(server.requests) == 4


def test_a_creating_post_is_repeated_under_the_same_key(server: ScriptedServer) -> None:
    server.on("POST", "/api/v1/deployments/", DROPPED, (202, {"id": 42}))
    made = client_of(server)[0].request_deployment("shop", "1.0.0", environment="staging")
    assert made == {"id": 42}
    keys = [request.headers["idempotency-key"] for request in server.requests]
    assert len(keys) == 2
    assert keys[0] == keys[1]


def test_two_creations_have_two_keys(server: ScriptedServer) -> None:
    server.on("POST", "/api/v1/releases/", (201, RELEASE))
    client, _ = client_of(server)
    client.create("/releases/", {})
    client.create("/releases/", {})
    assert len({request.headers["idempotency-key"] for request in server.requests}) == 2


def test_a_conflict_after_a_lost_answer_says_that_it_may_be_ours(server: ScriptedServer) -> None:
    server.on("POST", "/api/v1/releases/", DROPPED, problem(409, "conflict", "shop 1.0.0 is there already."))
    with pytest.raises(ApiError, match=r"is there already\. .*first try was lost"):
        client_of(server)[0].create("/releases/", RELEASE)


def test_a_post_without_a_key_is_not_repeated_when_its_answer_is_lost(server: ScriptedServer) -> None:
    server.on("POST", "/api/v1/deployments/42/resume", DROPPED)
    with pytest.raises(UnreachableError):
        client_of(server)[0].resume(42, answer="retry")
    assert len(server.requests) == 1


def test_retry_after_is_honoured(server: ScriptedServer) -> None:
    busy = (*problem(429, "too_many_requests", "Slow down."), {"Retry-After": "7"})
    server.on("POST", "/api/v1/auth/login", busy, {"access_token": "a", "refresh_token": "r"})
    client, waits = client_of(server)
    client.login("ann", "secret")
    assert waits == [7.0]
    assert client.tokens.load() == Tokens("a", "r")


def test_an_hour_of_retry_after_is_told_instead_of_waited(server: ScriptedServer) -> None:
    server.on(
        "GET", "/api/v1/auth/me", (*problem(429, "too_many_requests", "Later."), {"Retry-After": "3600"})
    )
    client, waits = client_of(server)
    with pytest.raises(ApiError) as caught:
        client.me()
    assert waits == []
    assert caught.value.problem.retry_after_seconds == 3600


def protected(good: str) -> object:
    """Answers 401 to every access token but one."""

    def answer(request: Request) -> object:
        if request.headers.get("authorization") == f"Bearer {good}":
            return {"username": "ann"}
        return problem(401, "unauthenticated", "The token has expired.")

    return answer


def test_an_expired_access_token_is_renewed_once(server: ScriptedServer) -> None:
    server.on("GET", "/api/v1/auth/me", protected("new"))
    server.on("POST", "/api/v1/auth/refresh", {"access_token": "new", "refresh_token": "r2"})
    tokens = MemoryTokens(Tokens("old", "r1"))
    assert client_of(server, tokens=tokens)[0].me() == {"username": "ann"}
    assert [each.json() for each in server.got("POST", "/api/v1/auth/refresh")] == [{"refresh_token": "r1"}]
    assert tokens.load() == Tokens("new", "r2")


def test_a_refused_refresh_ends_the_login(server: ScriptedServer) -> None:
    server.on("GET", "/api/v1/auth/me", protected("never"))
    server.on("POST", "/api/v1/auth/refresh", problem(401, "unauthenticated", "The session is over."))
    tokens = MemoryTokens(Tokens("old", "r1"))
    with pytest.raises(ApiError) as caught:
        client_of(server, tokens=tokens)[0].me()
    assert caught.value.status == 401
    assert tokens.load() is None


def test_a_fixed_token_is_never_refreshed(server: ScriptedServer) -> None:
    server.on("GET", "/api/v1/auth/me", protected("other"))
    with pytest.raises(ApiError):
        client_of(server, tokens=MemoryTokens(Tokens("dpl_x")))[0].me()
    assert server.got("POST", "/api/v1/auth/refresh") == []


def test_clients_that_share_a_file_renew_once_between_them(server: ScriptedServer, tmp_path: Path) -> None:
    both_expired = threading.Barrier(2)

    def expired(_: Request) -> object:
        both_expired.wait(10)
        return problem(401, "unauthenticated", "The token has expired.")

    server.on("GET", "/api/v1/auth/me", expired, expired, protected("new"))
    fresh = {"access_token": "new", "refresh_token": "r2"}
    server.on("POST", "/api/v1/auth/refresh", fresh, problem(401, "unauthenticated", "Used twice."))
    file = ConfigFile(tmp_path / "releasectl" / "config.json")
    with file.locked():
        FileTokens(file, server.url).save(Tokens("old", "r1"))
    found: list[object] = []

    def ask() -> None:
        found.append(client_of(server, tokens=FileTokens(file, server.url))[0].me())

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [{"username": "ann"}] * 2
    assert len(server.got("POST", "/api/v1/auth/refresh")) == 1


def test_tokens_are_kept_private_and_only_for_their_server(server: ScriptedServer, tmp_path: Path) -> None:
    file = ConfigFile(tmp_path / "releasectl" / "config.json")
    server.on("POST", "/api/v1/auth/login", {"access_token": "a", "refresh_token": "r"})
    client_of(server, tokens=FileTokens(file, server.url))[0].login("ann", "secret")
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert FileTokens(file, server.url).load() == Tokens("a", "r")
    assert FileTokens(file, "http://another:8000").load() is None


def test_a_list_is_read_page_by_page_up_to_its_limit(server: ScriptedServer) -> None:
    first = listed(*({"id": n} for n in range(200)), cursor="c1")
    server.on("GET", "/api/v1/releases/", first, listed(*({"id": n} for n in range(200, 250)), cursor="c2"))
    found = list(client_of(server)[0].items("/releases/", limit=250, name="shop"))
    assert [each["id"] for each in found] == list(range(250))
    assert [each.query for each in server.requests] == [
        {"name": "shop", "limit": "200"},
        {"name": "shop", "limit": "50", "cursor": "c1"},
    ]


def test_a_cursor_that_does_not_move_ends_the_list(server: ScriptedServer) -> None:
    server.on("GET", "/api/v1/releases/", listed({"id": 1}, cursor="same"))
    assert len(list(client_of(server)[0].items("/releases/"))) == 2


def test_a_proxys_html_page_becomes_an_error_that_says_so(server: ScriptedServer) -> None:
    server.on("GET", "/api/v1/auth/me", (200, b"<html>welcome</html>", {"Content-Type": "text/html"}))
    with pytest.raises(ApiError, match="not JSON"):
        client_of(server)[0].me()


def test_a_redirect_is_told_and_the_token_not_carried_there(server: ScriptedServer) -> None:
    server.on("GET", "/api/v1/auth/me", (301, b"", {"Location": "https://real.example/api/v1/auth/me"}))
    with pytest.raises(ApiError, match="sends us on to https://real"):
        client_of(server, tokens=MemoryTokens(Tokens("a")))[0].me()
    assert len(server.requests) == 1


def test_a_name_cannot_leave_its_place_in_the_path(server: ScriptedServer) -> None:
    server.on("GET", "/api/v1/applications/..%2Fusers", {"name": "../users"})
    assert client_of(server)[0].application("../users") == {"name": "../users"}


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://host", "http://", ""])
def test_what_is_no_url_of_a_server_is_refused(url: str) -> None:
    with pytest.raises(MisconfiguredError):
        Client(url)


def test_the_apis_own_path_may_be_in_the_url() -> None:
    assert Client("http://host:8000/prefix/api/v1/").base_url == "http://host:8000/prefix"
