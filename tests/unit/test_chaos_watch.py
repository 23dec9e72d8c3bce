"""The parts of the chaos harness that judge time, and that draw by a seed."""

import random
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.chaos.campaign import plan
from tests.chaos.faults import WEIGHTS, draw
from tests.chaos.invariants import Violation
from tests.chaos.ledger import Entry, Tail, parse
from tests.chaos.observer import Observer, Sample
from tests.chaos.recovery import Ability, Recoveries
from tests.chaos.report import Report, percentile

WORKERS = ("worker1", "worker2", "worker3")
NODES = {"worker1": "a", "worker2": "a", "worker3": "b"}


@dataclass
class Deployment:
    """A deployment as the observer reads it."""

    id: int
    status: str = "running"
    application: int = 1
    environment: str = "lab"
    priority: int = 0
    held_by: str | None = None
    wave_index: int = 0
    event_seq: int = 1


@dataclass
class Attempt:
    """An attempt as the observer reads it."""

    id: int
    deployment_id: int
    token: int = 5
    worker: str | None = "a:1"
    node: str | None = "a"
    output_bytes: int = 0
    idle: bool = False
    due: bool = True


def sample(at: float, *rows: Deployment | Attempt) -> Sample:
    return Sample(
        at,
        {row.id: row for row in rows if isinstance(row, Deployment)},
        {row.id: row for row in rows if isinstance(row, Attempt)},
    )


@pytest.fixture
def now() -> list[float]:
    """What the clock says, as a list of one number that the test sets."""
    return [100.0]


@pytest.fixture
def ability(now: list[float]) -> Ability:
    return Ability(NODES, now=lambda: now[0])


def test_the_same_seed_draws_the_same_faults() -> None:
    assert plan(50, 7, WORKERS, rate=1.6) == plan(50, 7, WORKERS, rate=1.6)
    assert plan(50, 7, WORKERS, rate=1.6) != plan(50, 8, WORKERS, rate=1.6)


def test_every_kind_of_fault_is_drawn() -> None:
    rng = random.Random(1)
    assert {draw(rng, WORKERS).kind for _ in range(3000)} == set(WEIGHTS)


def test_lines_of_the_ledger_are_read_once_and_whole(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    ledger.write_text("S 1-2-1 shop.lab.a 10.5\nE 1-2-")
    tail = Tail(ledger)
    assert tail.new() == [Entry("S", "1-2-1", "shop.lab.a", 10.5)]
    ledger.write_text("S 1-2-1 shop.lab.a 10.5\nE 1-2-1 0 11\n")
    assert tail.new() == [Entry("E", "1-2-1", "0", 11.0)]
    assert tail.new() == []


def test_what_no_command_writes_is_refused() -> None:
    with pytest.raises(ValueError, match="not a line"):
        parse("X 1-2-1 a 1")


def test_the_first_in_line_of_a_free_slot_could_go_on_and_others_could_not() -> None:
    waits = [Deployment(1, "pending"), Deployment(2, "pending"), Deployment(3, "pending", priority=100)]
    held = Deployment(4, "pending", application=2, held_by="promotion")
    assert sample(0, *waits, held).movable() == [3]
    assert sample(0, *waits, Deployment(5)).movable() == [5]
    assert sample(0, Deployment(6, "paused")).movable() == []


def test_a_deployment_that_makes_no_progress_is_noted(tmp_path: Path) -> None:
    def look(seen: Sample) -> None:
        observer._note_standstills(seen)

    observer = Observer(lambda: pytest.fail("nobody connects"), tmp_path)
    look(sample(0, Deployment(1), Attempt(9, 1, output_bytes=1)))
    look(sample(16, Deployment(1), Attempt(9, 1, output_bytes=1)))
    assert observer.standstills[1].seconds == 16
    look(sample(17, Deployment(1), Attempt(9, 1, output_bytes=2)))
    look(sample(20, Deployment(1), Attempt(9, 1, output_bytes=2)))
    assert observer.standstills[1].seconds == 16


def test_a_terminal_status_that_changes_is_noted(tmp_path: Path) -> None:
    observer = Observer(lambda: pytest.fail("nobody connects"), tmp_path)
    observer._note_ends(sample(0, Deployment(1, "failed")))
    observer._note_ends(sample(1, Deployment(1, "succeeded")))
    assert observer.contradictions == ["deployment 1 was failed and is succeeded"]


def test_recovery_lasts_until_the_killed_workers_attempt_is_claimed_anew(ability: Ability) -> None:
    recoveries = Recoveries(ability)
    recoveries.healed("kill worker worker1", workers=frozenset({"a:1"}))
    recoveries.look(sample(101, Deployment(1), Attempt(9, 1), Attempt(8, 1, worker="a:2")))
    recoveries.look(sample(106, Deployment(1), Attempt(9, 1), Attempt(8, 1, worker="a:2")))
    assert recoveries.done == []
    assert recoveries.unfinished() == ["kill worker worker1: attempts [9], pending []"]
    recoveries.look(sample(108, Deployment(1), Attempt(9, 1, token=6), Attempt(8, 1, worker="a:2")))
    assert [(r.held_up, r.seconds, r.able_seconds) for r in recoveries.of_consequence()] == [(1, 8, 8)]
    assert recoveries.of_consequence()[0].last == "attempt 9 of deployment 1 on a"


def test_a_fault_that_held_nothing_up_is_none_of_consequence(ability: Ability) -> None:
    recoveries = Recoveries(ability)
    recoveries.healed("flush valkey")
    recoveries.look(sample(101, Deployment(1), Attempt(9, 1)))
    assert len(recoveries.done) == 1
    assert recoveries.of_consequence() == []


def test_the_clock_stands_while_the_node_has_no_worker(ability: Ability, now: list[float]) -> None:
    recoveries = Recoveries(ability)
    recoveries.healed("cut worker3-postgres")
    left = Attempt(9, 1, node="b", idle=True)
    recoveries.look(sample(101, Deployment(1), left))
    with ability.without("worker3"):
        now[0] = 110.0
    recoveries.look(sample(113, Deployment(1), Attempt(9, 1, node="b", token=6)))
    assert [(r.seconds, r.able_seconds) for r in recoveries.done] == [(13, 3)]


def test_the_clock_runs_while_one_worker_of_the_node_is_well(ability: Ability, now: list[float]) -> None:
    recoveries = Recoveries(ability)
    recoveries.healed("cut worker1-postgres")
    recoveries.look(sample(101, Deployment(1), Attempt(9, 1, idle=True)))
    with ability.without("worker1"):
        now[0] = 110.0
    recoveries.look(sample(113, Deployment(1), Attempt(9, 1, token=6)))
    assert [(r.seconds, r.able_seconds) for r in recoveries.done] == [(13, 13)]


def test_the_clock_stands_while_postgres_is_away(ability: Ability, now: list[float]) -> None:
    with ability.without("postgres"):
        now[0] = 110.0
    assert [ability.since(node) for node in ("a", "b", None)] == [110.0, 110.0, 110.0]


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50), (0.99, 99), (1.0, 100)])
def test_percentiles_are_values_that_were_measured(share: float, expected: float) -> None:
    assert percentile([float(n) for n in range(100, 0, -1)], share) == expected


def test_a_report_with_a_violation_is_no_good_one_and_says_why() -> None:
    report = Report(violations=[Violation("I2", "the command of run 1-2-1 was started 2 times")])
    assert not report.good
    assert "| doubled | 1 |" in report.table()
    assert "VIOLATED I2: the command of run 1-2-1 was started 2 times" in report.table()
    assert not Report(stuck=[4]).good
    assert Report().good
