"""The chaos harness names each broken promise: every invariant is violated here once, by hand."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.gates import Closed
from tests.chaos.invariants import INVARIANTS
from tests.chaos.ledger import Entry
from tests.chaos.traffic import Request
from tests.chaos.world import Bearer, bearers
from tests.integration.chaos_scene import Scene, scene

__all__ = ["scene"]

RUN_AGAIN = """
    UPDATE deployments SET status = 'running', ended_at = NULL, deployed_at = NULL, wake_at = clock_timestamp()
"""


def test_nothing_is_found_where_all_is_well(scene: Scene) -> None:
    assert scene.violations() == []


def two_are_active(scene: Scene) -> None:
    scene.sql("DROP INDEX uq_deployments_active_slot")
    active = "status = 'running', ended_at = NULL, deployed_at = NULL, wake_at = clock_timestamp()"
    scene.sql(
        f"UPDATE deployments SET {active} WHERE id IN (%(one)s, %(two)s)",  # noqa: S608
        one=scene.good,
        two=scene.bad,
    )


def two_were_active(scene: Scene) -> None:
    earlier = "UPDATE deployments SET started_at = started_at - interval '1 hour' WHERE id = %(id)s"
    scene.sql(earlier, id=scene.bad)


def started_twice(scene: Scene) -> None:
    first = scene.entries[0]
    scene.entries.insert(2, first)


def started_without_a_claim(scene: Scene) -> None:
    scene.entries.append(Entry("S", f"{scene.good}-999999-1", "shop.staging.web-a", 0.0))


def beside_another_deployment(scene: Scene) -> None:
    end = scene.entries.pop(scene.index_of("E", scene.good))
    start = scene.index_of("S", scene.bad)
    late = Entry("S", scene.entries[start].run, "shop.staging.web-a", 0.0)
    scene.entries[start : start + 1] = [late, end]


def beside_itself(scene: Scene) -> None:
    end = scene.entries.pop(scene.index_of("E", scene.wide))
    start = next(
        i
        for i, e in enumerate(scene.entries)
        if e.kind == "S" and e.deployment_id == scene.wide and e.run != end.run
    )
    scene.entries[start] = Entry("S", scene.entries[start].run, scene.entries[start].place, 0.0)
    scene.entries.insert(start + 1, end)


def accepted_and_gone(scene: Scene) -> None:
    scene.accepted["key-4"] = {999_999}


def one_key_two_answers(scene: Scene) -> None:
    scene.accepted["key-1"].add(scene.bad)


def one_key_two_deployments(scene: Scene) -> None:
    scene.sql("UPDATE deployments SET reason = 'key-1'")


def left_running(scene: Scene) -> None:
    scene.sql(f"{RUN_AGAIN} WHERE id = %(id)s", id=scene.wide)


def lost_without_a_reason(scene: Scene) -> None:
    scene.sql("UPDATE attempts SET outcome = 'lost' WHERE deployment_id = %(id)s", id=scene.bad)


def left_a_terminal_status(scene: Scene) -> None:
    scene.sql(
        "INSERT INTO chaos.statuses (deployment_id, old, new) VALUES (%(id)s, 'failed', 'succeeded')",
        id=scene.good,
    )


def changed_in_secret(scene: Scene) -> None:
    scene.sql("UPDATE deployments SET status = 'failed', deployed_at = NULL WHERE id = %(id)s", id=scene.good)


def changed_before_our_eyes(scene: Scene) -> None:
    scene.contradictions.append("deployment 1 was failed and is succeeded")


def failed_at_its_target(scene: Scene) -> None:
    place = scene.index_of("E", scene.good)
    scene.entries[place] = Entry("E", scene.entries[place].run, "1", scene.entries[place].at)


def never_ended_at_its_target(scene: Scene) -> None:
    del scene.entries[scene.index_of("E", scene.good)]


def succeeded_with_a_failed_step(scene: Scene) -> None:
    scene.sql("UPDATE steps SET status = 'failed' WHERE deployment_id = %(id)s", id=scene.good)


def succeeded_with_too_few_steps(scene: Scene) -> None:
    scene.sql("UPDATE deployments SET step_count = step_count + 1 WHERE id = %(id)s", id=scene.good)


def alive_after_the_end(scene: Scene) -> None:
    scene.bearers.append(Bearer(4711, scene.run_of(scene.bad), "sleep 600"))


def writes_after_the_end(scene: Scene) -> None:
    scene.entries.append(Entry("D", scene.run_of(scene.bad), "-", 4_000_000_000.0))


def attempt_left_open(scene: Scene) -> None:
    scene.sql(
        "UPDATE attempts SET ended_at = NULL, outcome = NULL WHERE deployment_id = %(id)s", id=scene.bad
    )


def smaller_token(scene: Scene) -> None:
    scene.sql(
        "INSERT INTO chaos.tokens (attempt_id, old, new) SELECT attempt_id, new, new - 1000 FROM chaos.tokens LIMIT 1"
    )


def token_given_twice(scene: Scene) -> None:
    scene.sql(
        "UPDATE chaos.tokens SET new = (SELECT min(new) FROM chaos.tokens) WHERE n = (SELECT max(n) FROM chaos.tokens)"
    )


def token_of_nobody(scene: Scene) -> None:
    scene.sql("UPDATE attempts SET token = token + 1000 WHERE deployment_id = %(id)s", id=scene.good)


def event_is_gone(scene: Scene) -> None:
    scene.sql(
        "DELETE FROM events WHERE kind = 'deployment.running' AND deployment_id = %(id)s", id=scene.good
    )


def event_was_changed(scene: Scene) -> None:
    scene.sql("""UPDATE events SET data = '{"version": "3"}' WHERE kind = 'deployment.requested'""")


def event_came_twice(scene: Scene) -> None:
    scene.sql("""
        INSERT INTO events (subject, seq, deployment_id, kind, at, data, hash)
        SELECT subject, seq + 100, deployment_id, kind, at, data, hash FROM events WHERE kind = 'deployment.running'
    """)


def chain_was_cut(scene: Scene) -> None:
    scene.sql("DELETE FROM events WHERE kind IN ('deployment.failed', 'deployment.succeeded')")


def byte_is_wrong(scene: Scene) -> None:
    scene.sql("UPDATE log_chunks SET data = 'oNe\n' WHERE start_byte = 0")


def piece_is_missing(scene: Scene) -> None:
    scene.sql("DELETE FROM log_chunks WHERE start_byte = 0")


def end_is_missing(scene: Scene) -> None:
    scene.sql("DELETE FROM log_chunks WHERE start_byte = 4")
    scene.sql("UPDATE attempts SET output_bytes = 4")


def stored_twice(scene: Scene) -> None:
    scene.sql("UPDATE log_chunks SET data = data || data WHERE start_byte = 4")


def not_promoted(scene: Scene) -> None:
    scene.sql("UPDATE deployments SET promote_after = '{nowhere}' WHERE id = %(id)s", id=scene.wide)


def promoted_too_early(scene: Scene) -> None:
    scene.sql(
        "UPDATE deployments SET ended_at = clock_timestamp() + interval '1 hour' WHERE id = %(id)s",
        id=scene.good,
    )


def out_of_line(scene: Scene) -> None:
    scene.accepted_at[scene.good] = 0.0
    later = "UPDATE deployments SET started_at = clock_timestamp(), ended_at = clock_timestamp() WHERE id = %(id)s"
    scene.sql(later, id=scene.good)


def past_a_lock(scene: Scene) -> None:
    scene.said.closed.append(Closed("lock 7", "shop", "staging", 0.0))


def past_a_freeze(scene: Scene) -> None:
    scene.said.closed.append(Closed("freeze 7", None, "staging", 0.0))


def without_approval(scene: Scene) -> None:
    scene.said.needs_yes = frozenset({"shop.production"})


def approved_too_late(scene: Scene) -> None:
    scene.said.needs_yes = frozenset({"shop.production"})
    scene.said.yeses[scene.wide] = 4_000_000_000.0


def target_has_another(scene: Scene) -> None:
    (scene.folder / "state" / "shop.staging.web-a").write_text("2\n")


def nothing_is_said_of_a_target(scene: Scene) -> None:
    scene.sql("DELETE FROM installations WHERE deployment_id = %(id)s", id=scene.wide)


def piece_was_not_told(scene: Scene) -> None:
    del scene.followed[2].pieces[1]


def end_of_the_log_was_not_told(scene: Scene) -> None:
    scene.followed[0].pieces.pop()


def piece_was_told_twice(scene: Scene) -> None:
    scene.followed[2].pieces.insert(2, scene.followed[2].pieces[1])


def pieces_came_in_another_order(scene: Scene) -> None:
    pieces = scene.followed[2].pieces
    pieces[0:4] = [*pieces[2:4], *pieces[0:2]]


def other_text_was_told(scene: Scene) -> None:
    step, number, start, _ = scene.followed[0].pieces[1]
    scene.followed[0].pieces[1] = (step, number, start, "two\nthr\ufffde\n")


def other_end_was_told(scene: Scene) -> None:
    scene.followed[1].end = "succeeded"


def end_was_not_told(scene: Scene) -> None:
    scene.followed[1].end = None


def end_was_not_shown(scene: Scene) -> None:
    scene.followed[1].statuses.pop()


def status_went_back(scene: Scene) -> None:
    scene.followed[1].statuses.insert(2, "pending")


def step_was_shown_otherwise(scene: Scene) -> None:
    scene.followed[1].steps[next(iter(scene.followed[1].steps))] = "succeeded"


def server_has_another_weight(scene: Scene) -> None:
    scene.weights["web.live.green"] = 50


def traffic_is_on_the_other_side(scene: Scene) -> None:
    scene.sql("UPDATE deployments SET side = 'blue' WHERE id = %(id)s", id=scene.switched)


def request_failed(scene: Scene) -> None:
    scene.failed_requests.append("a request to live failed at 1.000: status 503")


def request_came_in_the_middle(scene: Scene) -> None:
    start = scene.entries[scene.index_of("S", scene.switched)]
    end = scene.index_of("E", scene.switched)
    scene.entries[end] = Entry("E", start.run, "0", start.at + 2)
    scene.requests_at_servers.append(Request("web.live.green", start.at + 1))


PLANTED: list[tuple[str, Callable[[Scene], None], str]] = [
    ("I1", two_are_active, "has the active deployments"),
    ("I1", two_were_active, "started at"),
    ("I2", started_twice, "was started 2 times"),
    ("I2", started_without_a_claim, "no attempt of it was ever claimed"),
    ("I3", beside_another_deployment, "started beside run"),
    ("I3", beside_itself, "started beside run"),
    ("I4", accepted_and_gone, "999999 is not there"),
    ("I4", one_key_two_answers, "was answered with the deployments"),
    ("I4", one_key_two_deployments, "made 4 deployments"),
    ("I4", left_running, "is running and nothing"),
    ("I4", lost_without_a_reason, "counts as lost"),
    ("I5", left_a_terminal_status, "went from failed to succeeded"),
    ("I5", changed_in_secret, "became succeeded last and is failed"),
    ("I5", changed_before_our_eyes, "was failed and is succeeded"),
    ("I6", failed_at_its_target, "ended with 1 at its target"),
    ("I6", never_ended_at_its_target, "ended with None at its target"),
    ("I6", succeeded_with_a_failed_step, "is failed"),
    ("I6", succeeded_with_too_few_steps, "of 3 steps"),
    ("I7", alive_after_the_end, "process 4711"),
    ("I7", writes_after_the_end, "after its recorded end"),
    ("I7", attempt_left_open, "of it is open"),
    ("I8", smaller_token, "got the token"),
    ("I8", token_given_twice, "was given 2 times"),
    ("I8", token_of_nobody, "the last that was given"),
    ("I9", event_is_gone, "its events say"),
    ("I9", event_was_changed, "does not follow"),
    ("I9", event_came_twice, "its events say"),
    ("I9", chain_was_cut, "does not end where its row says"),
    ("I10", byte_is_wrong, "is not what it wrote"),
    ("I10", piece_is_missing, "goes on at byte 4 after byte 0"),
    ("I10", end_is_missing, "is not what it wrote"),
    ("I10", stored_twice, "is not what it wrote"),
    ("I11", not_promoted, "before its release succeeded in nowhere"),
    ("I11", promoted_too_early, "before its release succeeded in staging"),
    ("I11", out_of_line, "which came first"),
    ("I11", past_a_lock, "started in shop.staging past lock 7"),
    ("I11", past_a_freeze, "started in shop.staging past freeze 7"),
    ("I11", without_approval, "started in shop.production before anybody had approved it"),
    ("I11", approved_too_late, "started in shop.production before anybody had approved it"),
    ("I12", target_has_another, "has 2, and installations says 1"),
    ("I12", nothing_is_said_of_a_target, "installations says None"),
    ("live", piece_was_not_told, "as piece 1 of the log"),
    ("live", end_of_the_log_was_not_told, "got nothing as piece"),
    ("live", piece_was_told_twice, "as piece 2 of the log"),
    ("live", pieces_came_in_another_order, "as piece 0 of the log"),
    ("live", other_text_was_told, "as piece 1 of the log"),
    ("live", other_end_was_told, "ended as succeeded, and it is failed"),
    ("live", end_was_not_told, "was never told its end"),
    ("live", end_was_not_shown, "was shown ['running'] last"),
    ("live", status_went_back, "and it was ['pending', 'running', 'failed']"),
    ("live", step_was_shown_otherwise, "as succeeded last, and it is failed"),
    ("traffic", server_has_another_weight, "green weighs 50 at its proxy, and the last step says [100]"),
    (
        "traffic",
        traffic_is_on_the_other_side,
        "blue weighs 0 at its proxy, and the traffic of web.live is on",
    ),
    ("traffic", request_failed, "status 503"),
    ("traffic", request_came_in_the_middle, "came to web.live.green 1.000 s after run"),
]


@pytest.mark.parametrize(
    ("invariant", "plant", "words"), PLANTED, ids=[f"{name}-{plant.__name__}" for name, plant, _ in PLANTED]
)
def test_a_violation_is_named(
    scene: Scene, invariant: str, plant: Callable[[Scene], None], words: str
) -> None:
    plant(scene)
    assert any(found.invariant == invariant and words in found.text for found in scene.violations())


def test_what_was_open_or_approved_in_time_speaks_against_nobody(scene: Scene) -> None:
    scene.said.closed = [
        Closed("lock 1", "shop", "lab", 0.0),
        Closed("lock 2", "web", "staging", 0.0),
        Closed("freeze 3", None, "staging", 0.0, until=1.0),
        Closed("freeze 4", None, "staging", 4_000_000_000.0),
    ]
    scene.said.needs_yes = frozenset({"shop.production"})
    scene.said.yeses[scene.wide] = 1.0
    assert scene.violations() == []


def test_every_invariant_is_planted_here() -> None:
    all_of_them = {f"I{number}" for number in range(1, 13)} | {"live", "traffic"}
    assert {name for name, _, _ in PLANTED} == set(INVARIANTS) == all_of_them


def test_what_a_run_left_alive_is_found_in_proc(tmp_path: Path) -> None:
    mark = {"DEPLOYMENT_RUN": "7-8-1", "CHAOS": f"{tmp_path}/"}
    sleeper = subprocess.Popen(
        [sys.executable, "-c", "input()"], env=os.environ | mark, stdin=subprocess.PIPE
    )
    try:
        assert [(each.pid, each.run) for each in bearers(tmp_path)] == [(sleeper.pid, "7-8-1")]
        assert bearers(tmp_path / "elsewhere") == []
    finally:
        sleeper.communicate()
    assert bearers(tmp_path) == []
