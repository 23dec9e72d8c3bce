"""A deployment followed live through the real stream process: what is seen, from where, by whom."""

import json
from pathlib import Path

import pytest

from orchestrator.client.sse import ServerEvent
from tests.acceptance.fleet import eventually
from tests.integration.api_world import Person, world
from tests.integration.stream_world import StreamWorld, running, stream_server, streams, text_of

__all__ = ["streams", "world"]


def data_of(events: list[ServerEvent], kind: str) -> list[dict[str, object]]:
    return [json.loads(event.data) for event in events if event.type == kind]


def step_statuses(events: list[ServerEvent]) -> list[object]:
    last = {step["id"]: step for page in data_of(events, "steps") for step in page["items"]}  # type: ignore[attr-defined]
    return [last[id]["status"] for id in sorted(last)]


def test_a_follower_sees_status_steps_and_log_to_the_end(streams: StreamWorld) -> None:
    claim = streams.running()
    streams.write(claim, b"unpack")
    listener = streams.follow(claim.work.deployment_id)
    assert listener.status == 200
    assert listener.answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    seen = listener.until("log")
    streams.write(claim, b"ing\n\xe2\x82")
    seen += listener.until("log")
    streams.write(claim, b"\xac\xff\n\xf0\x9f")
    streams.end(claim)
    seen += listener.until("end")
    assert list(listener.events()) == []
    assert text_of(seen) == "unpacking\n€\ufffd\n\ufffd"
    shown = data_of(seen, "status")
    assert [shown[0]["status"], shown[-1]["status"]] == ["running", "succeeded"]
    assert shown[-1] == streams.person.get(f"/deployments/{claim.work.deployment_id}").get_json()
    assert step_statuses(seen) == ["succeeded", "succeeded"]
    assert data_of(seen, "log")[-1]["complete"] is True


def test_who_waits_is_told_why_and_when_it_begins(streams: StreamWorld) -> None:
    first = streams.running("lab")
    streams.engine.release("2.0.0")
    waiting = streams.engine.request("2.0.0", "lab")
    listener = streams.follow(waiting)
    shown = data_of(listener.until("status"), "status")[0]
    assert shown == streams.person.get(f"/deployments/{waiting}").get_json()
    assert shown["waiting_for"]
    streams.end(first)
    while data_of(listener.until("status"), "status")[0]["waiting_for"]:
        pass
    assert streams.engine.run_to_end(waiting) == "succeeded"
    assert data_of(listener.until("end"), "end") == [{"id": waiting, "status": "succeeded"}]


def test_the_end_of_each_wave_is_seen_also_by_who_was_away(streams: StreamWorld) -> None:
    claim = streams.running("production")
    deployment_id = claim.work.deployment_id
    listener = streams.follow(deployment_id)
    seen = listener.until("steps")
    assert step_statuses(seen) == ["running"]
    listener.close()
    streams.end(claim)
    assert streams.engine.run_to_end(deployment_id) == "succeeded"
    back = streams.follow(deployment_id, last_id=listener.last_id).until("end")
    assert step_statuses(back) == ["succeeded"] * 6


def test_who_leaves_between_a_status_and_its_steps_is_told_the_steps(streams: StreamWorld) -> None:
    claim = streams.running("production")
    deployment_id = claim.work.deployment_id
    listener = streams.follow(deployment_id)
    seen = listener.until("steps")
    streams.end(claim)
    seen += listener.until("status")
    listener.close()
    assert streams.engine.run_to_end(deployment_id) == "succeeded"
    seen += streams.follow(deployment_id, last_id=listener.last_id).until("end")
    assert step_statuses(seen) == ["succeeded"] * 6


@pytest.mark.parametrize("query", ["", "last_event_id"])
def test_who_comes_back_goes_on_with_the_next_byte(streams: StreamWorld, query: str) -> None:
    claim = streams.running()
    deployment_id = claim.work.deployment_id
    streams.write(claim, b"one\n\xe2")
    listener = streams.follow(deployment_id)
    seen = listener.until("log")
    listener.close()
    streams.write(claim, b"\x82\xactwo\n")
    if query:
        again = streams.follow(deployment_id, query=f"?last_event_id={listener.last_id}")
    else:
        again = streams.follow(deployment_id, last_id=listener.last_id)
    seen += again.until("log")
    streams.write(claim, b"three\n")
    streams.end(claim)
    seen += again.until("end")
    assert text_of(seen) == "one\n€two\nthree\n"
    at_the_end = streams.follow(deployment_id, last_id=again.last_id).until("end")
    assert text_of(at_the_end) == ""


def test_a_log_greater_than_any_queue_is_read_in_pieces_and_joined(streams: StreamWorld) -> None:
    claim = streams.running()
    lines = [f"{number:07}\n".encode() * 2000 for number in range(200)]
    for line in lines:
        streams.write(claim, line)
    listener = streams.follow(claim.work.deployment_id)
    seen = listener.until("log")
    streams.write(claim, b"live\n")
    streams.end(claim)
    seen += listener.until("end")
    assert text_of(seen) == b"".join(lines).decode() + "live\n"


def test_one_step_alone_can_be_followed(streams: StreamWorld) -> None:
    claim = streams.running("lab")
    streams.write(claim, b"of this\n")
    deployment_id, step = claim.work.deployment_id, claim.work.step_id
    listener = streams.follow(deployment_id, query=f"?step={step}")
    seen = listener.until("log")
    for other in streams.engine.open_attempts(deployment_id):
        taken = streams.claim_other(other, claim)
        if taken is not None:
            streams.write(taken, b"of another\n")
    streams.write(claim, b"of this again\n")
    streams.write_to_end(deployment_id, claim)
    seen += listener.until("end")
    assert text_of(seen) == "of this\nof this again\n"


@pytest.mark.parametrize(
    ("path", "headers", "status", "code"),
    [
        ("/1/stream", {}, 401, "unauthenticated"),
        ("/1/stream", {"Authorization": "Bearer abc"}, 401, "unauthenticated"),
        ("/999999/stream", None, 404, "not_found"),
        ("/99999999999999999999/stream", None, 404, "not_found"),
        ("/1/stream?step=999999", None, 404, "not_found"),
        ("/1/stream?step=x", None, 422, "invalid_input"),
        ("/1/stream?nonsense=1", None, 422, "invalid_input"),
        ("/1/stream?last_event_id=1.abc", None, 400, "bad_cursor"),
        ("/1/stream?last_event_id=x", None, 400, "bad_cursor"),
        ("/1/nothing", None, 404, "not_found"),
    ],
)
def test_errors_are_the_problems_of_the_api(
    streams: StreamWorld, path: str, headers: dict[str, str] | None, status: int, code: str
) -> None:
    answer = streams.get(f"/api/v1/deployments{path}", headers)
    assert answer.status == status
    assert answer.answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.problem()
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["request_id"] == answer.answer.headers["X-Request-ID"]
    assert ("WWW-Authenticate" in answer.answer.headers) == (status == 401)


def test_an_id_of_another_deployment_is_refused(streams: StreamWorld) -> None:
    claim, other = streams.running("staging"), streams.running("lab")
    listener = streams.follow(claim.work.deployment_id)
    listener.until("status")
    listener.close()
    answer = streams.follow(other.work.deployment_id, last_id=listener.last_id)
    assert answer.problem()["code"] == "bad_cursor"
    streams.end(claim)
    streams.write_to_end(other.work.deployment_id, other)


def test_logging_out_ends_the_stream_and_says_so(streams: StreamWorld) -> None:
    claim = streams.running()
    visitor = streams.api.person("viewer")
    listener = streams.follow(claim.work.deployment_id, person=visitor)
    listener.until("status")
    assert visitor.post("/auth/logout", json={}).status_code == 204
    assert data_of(listener.until("cut"), "cut")[0]["code"] == "unauthenticated"
    assert list(listener.events()) == []
    assert streams.follow(claim.work.deployment_id, person=visitor).status == 401
    streams.end(claim)


def test_a_machine_follows_until_its_token_is_revoked(streams: StreamWorld) -> None:
    claim = streams.running()
    owner = streams.api.person("viewer")
    made = owner.post("/tokens/", json={"name": "ci", "scopes": ["read"]}).get_json()
    machine = Person(owner.client, {"access_token": made["token"]})
    listener = streams.follow(claim.work.deployment_id, person=machine)
    listener.until("status")
    assert owner.call("DELETE", f"/tokens/{made['id']}").status_code == 200
    assert data_of(listener.until("cut"), "cut")[0]["code"] == "unauthenticated"
    assert streams.follow(claim.work.deployment_id, person=machine).status == 401
    streams.end(claim)


def test_a_deactivated_user_is_sent_away(streams: StreamWorld) -> None:
    claim = streams.running()
    visitor = streams.api.person("viewer")
    listener = streams.follow(claim.work.deployment_id, person=visitor)
    listener.until("status")
    answer = streams.person.call("PATCH", f"/users/{visitor.id}", json={"active": False})
    assert answer.status_code == 200
    assert data_of(listener.until("cut"), "cut")[0]["code"] == "unauthenticated"
    streams.end(claim)


def test_a_full_process_refuses_and_serves_again_when_somebody_goes(
    streams: StreamWorld, tmp_path: Path
) -> None:
    claim = streams.running()
    deployment_id = claim.work.deployment_id
    with running(stream_server(streams.api, tmp_path, STREAM_LIMIT="2")) as small:
        ours = streams.on(small)
        listeners = [ours.follow(deployment_id) for _ in range(2)]
        refused = ours.follow(deployment_id)
        assert (refused.status, refused.answer.headers["Retry-After"]) == (503, "2")
        assert refused.problem()["code"] == "stream_full"
        listeners[0].close()
        eventually(lambda: ours.follow(deployment_id).status == 200, "a place is free again")
    streams.end(claim)


def test_who_reads_too_slowly_is_cut_off_and_misses_nothing(streams: StreamWorld, tmp_path: Path) -> None:
    claim = streams.running()
    deployment_id = claim.work.deployment_id
    with running(stream_server(streams.api, tmp_path, STREAM_QUEUE_BYTES="100000")) as narrow:
        ours = streams.on(narrow)
        slow, quick = ours.follow(deployment_id), ours.follow(deployment_id)
        seen, also = slow.until("status"), quick.until("status")
        written, shown = b"", 0
        for number in range(40):  # more than the sockets of both ends hold
            for part in [f"{number:07}\n".encode() * 8000] * 8:
                written += part
                streams.write(claim, part)
            while shown < len(written):
                also.append(next(quick.events()))
                shown += also[-1].data.count("\\n") * 8
        seen += slow.until("cut")
        assert data_of(seen, "cut")[0]["code"] == "too_slow"
        assert list(slow.events()) == []
        streams.end(claim)
        seen += ours.follow(deployment_id, last_id=seen[-1].id).until("end")
        assert text_of(seen) == written.decode()
        assert text_of(also + quick.until("end")) == written.decode()


def test_a_killed_process_costs_no_byte_and_repeats_none(streams: StreamWorld, tmp_path: Path) -> None:
    claim = streams.running()
    deployment_id = claim.work.deployment_id
    with running(stream_server(streams.api, tmp_path)) as server:
        ours = streams.on(server)
        seen: list[ServerEvent] = []
        last_id, written = "", b""
        for kill in range(3):
            listener = ours.follow(deployment_id, last_id=last_id)
            for number in range(20):
                part = f"{kill} {number} ä\n".encode()
                written += part
                streams.write(claim, part[:-2])
                seen += listener.until("log")
                streams.write(claim, part[-2:])
            server.kill()
            seen += listener.events()  # what was on its way; the rest was not sent to anybody
            last_id = listener.last_id
            server.start()
        streams.end(claim)
        seen += ours.follow(deployment_id, last_id=last_id).until("end")
        assert text_of(seen) == written.decode()


def test_an_upgrade_sends_followers_away_politely(streams: StreamWorld, tmp_path: Path) -> None:
    claim = streams.running()
    with running(stream_server(streams.api, tmp_path)) as server:
        listener = streams.on(server).follow(claim.work.deployment_id)
        listener.until("status")
        server.popen.terminate()
        assert data_of(listener.until("cut"), "cut")[0]["code"] == "unavailable"
        assert server.popen.wait(30) == 0
    streams.end(claim)


def test_connections_to_postgres_that_break_send_nobody_away(streams: StreamWorld) -> None:
    claim = streams.running()
    streams.write(claim, b"before\n")
    listener = streams.follow(claim.work.deployment_id)
    seen = listener.until("log")
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    cut = f"SELECT count(pg_terminate_backend(pid)) {others}"
    assert int(str(streams.engine.scalar(cut))) > 0
    streams.engine.database.close()
    eventually(lambda: streams.api.admin.get("/auth/me").status_code == 200, "the API has connections again")
    streams.write(claim, b"after\n")
    seen += listener.until("log")
    assert streams.follow(claim.work.deployment_id).status == 200
    streams.end(claim)
    seen += listener.until("end")
    assert text_of(seen) == "before\nafter\n"
