"""Targets are asked whether what was installed is what runs there: on real Postgres, with time that is told how to pass."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from api.schemas.installations import present
from orchestrator.checks.base import Probe
from orchestrator.checks.http import HttpCheck
from orchestrator.domain.errors import RuleViolationError
from orchestrator.repositories import drift as rows
from orchestrator.repositories import figures, installations
from orchestrator.services import drift, pipelines
from tests.integration.engine_world import PIPELINE, World, worker
from tests.integration.time_travel import BEGINNING, Clocks, clocks, use_pipeline, world

__all__ = ["clocks", "world"]

LAB = "  lab:\n"
ASKED = """  lab:
    drift: {http: "http://127.0.0.1:9/version", expect: $RELEASE_VERSION, every: 1m}
"""
MINUTE = timedelta(minutes=1)


@dataclass
class Lab:
    """Three targets that are asked; workers are played by hand."""

    world: World
    runs: dict[str, str] = field(default_factory=dict)
    """What really runs on each; one that is not here does not answer."""
    asked: list[str] = field(default_factory=list)

    def deploy(self, version: str) -> int:
        made = self.world.request(version, "lab")
        assert self.world.run_to_end(made) == "succeeded"
        self.runs = dict.fromkeys(("lab-a", "lab-b", "lab-c"), version)
        self.enrol()
        return made

    def enrol(self) -> None:
        with self.world.database.transaction() as session:
            rows.enrol(session)

    def take(self) -> tuple[list[Any], dict[int, Any]]:
        with self.world.database.transaction() as session:
            return drift.take(session, limit=64)

    def answer(self, questions: list[Any], about: dict[int, Any]) -> None:
        names: dict[int, str] = dict(self.world.rows("SELECT id, name FROM targets"))
        answers = {}
        for each in questions:
            assert isinstance(each.check, HttpCheck)
            self.asked.append(names[each.target_id])
            found = self.runs.get(names[each.target_id])
            said = Probe(found == each.check.expect, f"it is {found}", silent=found is None)
            answers[each.target_id] = (each.asked_at, said)
        with self.world.database.transaction() as session:
            drift.record(session, answers, about)

    def ask(self) -> None:
        self.answer(*self.take())

    def states(self) -> dict[str, Any]:
        with self.world.database.reading() as session:
            found = installations.page(session, application="shop", environment="lab", skip=0, limit=9)
        return {row.target: present(row)["drift"] for row in found}

    def events(self, deployment: int) -> list[tuple[str, list[str]]]:
        found = self.world.rows(
            "SELECT kind, data FROM events WHERE deployment_id = :id AND kind LIKE 'drift.%' ORDER BY seq",
            id=deployment,
        )
        return [(kind, data["targets"]) for kind, data in found]

    def drifted(self) -> int:
        with self.world.database.reading() as session:
            return int(figures.figures(session, silent_seconds=15).drifted_targets)


@pytest.fixture
def lab(world: World, clocks: Clocks) -> Lab:
    use_pipeline(world, LAB, ASKED)
    return Lab(world)


def test_what_differs_is_marked_told_once_and_told_again_when_it_is_gone(lab: Lab, clocks: Clocks) -> None:
    deployment = lab.deploy("1.0.0")
    lab.ask()
    assert {each["state"] for each in lab.states().values()} == {"same"}
    lab.runs["lab-b"] = "0.9.9"
    for _ in range(3):
        clocks.go(60)
        lab.ask()
    assert lab.states()["lab-b"] == {
        "state": "differs",
        "detail": "it is 0.9.9",
        "since": BEGINNING + MINUTE,
        "checked_at": BEGINNING + 3 * MINUTE,
    }
    assert lab.states()["lab-a"]["state"] == "same"
    assert (lab.drifted(), lab.events(deployment)) == (1, [("drift.found", ["lab-b"])])
    lab.runs["lab-b"] = "1.0.0"
    clocks.go(60)
    lab.ask()
    assert (lab.drifted(), lab.events(deployment)) == (
        0,
        [("drift.found", ["lab-b"]), ("drift.gone", ["lab-b"])],
    )


def test_who_says_nothing_does_not_differ_and_ends_no_drift(lab: Lab, clocks: Clocks) -> None:
    deployment = lab.deploy("1.0.0")
    lab.runs = {"lab-b": "0.9.9", "lab-c": "1.0.0"}
    lab.ask()
    assert {name: each["state"] for name, each in lab.states().items()} == {
        "lab-a": "unknown",
        "lab-b": "differs",
        "lab-c": "same",
    }
    lab.runs = {}
    clocks.go(60)
    lab.ask()
    assert {each["state"] for each in lab.states().values()} == {"unknown"}
    lab.runs = {"lab-b": "0.9.9"}
    clocks.go(60)
    lab.ask()
    assert lab.events(deployment) == [("drift.found", ["lab-b"])]


def test_each_is_asked_so_often_and_by_one_only(lab: Lab, clocks: Clocks) -> None:
    lab.deploy("1.0.0")
    taken = lab.take()
    assert lab.take() == ([], {})
    lab.answer(*taken)
    clocks.go(59)
    lab.ask()
    assert lab.asked == ["lab-a", "lab-b", "lab-c"]
    clocks.go(1)
    lab.ask()
    assert len(lab.asked) == 6


def test_an_answer_that_does_not_come_is_asked_for_again(lab: Lab, clocks: Clocks) -> None:
    lab.deploy("1.0.0")
    lost = lab.take()
    clocks.go(20)
    lab.ask()
    lab.runs = dict.fromkeys(lab.runs, "0.9.9")
    lab.answer(*lost)
    assert {each["state"] for each in lab.states().values()} == {"same"}


def test_nobody_asks_while_a_deployment_goes_on_and_what_was_asked_before_does_not_count(
    lab: Lab, clocks: Clocks
) -> None:
    lab.deploy("1.0.0")
    taken = lab.take()
    begun = lab.world.request("1.1.0", "lab")
    assert lab.world.advance(begun, worker()) is not None
    lab.runs = dict.fromkeys(lab.runs, "1.1.0")
    lab.answer(*taken)
    clocks.go(60)
    lab.ask()
    assert set(lab.states().values()) == {None}
    assert lab.asked == ["lab-a", "lab-b", "lab-c"]


def test_another_deployment_makes_what_was_said_before_void(lab: Lab, clocks: Clocks) -> None:
    lab.deploy("1.0.0")
    lab.runs["lab-a"] = "0.9.9"
    lab.ask()
    clocks.go(60)
    second = lab.deploy("1.1.0")
    assert (set(lab.states().values()), lab.drifted()) == ({None}, 0)
    lab.ask()
    assert {each["state"] for each in lab.states().values()} == {"same"}
    assert lab.events(second) == []


def test_the_pipeline_of_now_says_how_and_whether(lab: Lab, clocks: Clocks) -> None:
    lab.deploy("1.0.0")
    lab.ask()
    with lab.world.database.transaction() as session:
        pipelines.apply(session, name="shop", source=PIPELINE, actor=lab.world.actor)
    clocks.go(60)
    lab.ask()
    assert lab.world.scalar("SELECT count(*) FROM drift_checks") == 0


def test_asking_at_once_counts_and_refuses_where_nobody_can_be_asked(lab: Lab, clocks: Clocks) -> None:
    def now(environment: str) -> dict[str, Any]:
        with lab.world.database.transaction() as session:
            return drift.ask_now(session, application="shop", environment=environment, actor=lab.world.actor)

    with pytest.raises(RuleViolationError, match="nothing of shop is installed in lab yet"):
        now("lab")
    with pytest.raises(RuleViolationError, match="give it a `drift`"):
        now("staging")
    lab.deploy("1.0.0")
    lab.ask()
    clocks.go(10)
    assert now("lab") == {"targets": 3, "asked_at": BEGINNING + timedelta(seconds=10)}
    lab.ask()
    assert {each["checked_at"] for each in lab.states().values()} == {BEGINNING + timedelta(seconds=10)}


def test_a_pipeline_is_read_once_and_not_for_each_of_its_targets(lab: Lab) -> None:
    """It is as long as it has targets: with 10,000 that took minutes, in one transaction for which all live logs waited."""
    lab.deploy("1.0.0")
    with lab.world.database.reading() as session:
        lines = session.execute(text(f"EXPLAIN (ANALYZE, FORMAT TEXT) {rows.ASKED_TARGETS}")).scalars().all()
    reads = [n for n, line in enumerate(lines) if "Filter:" in line and "'drift'" in line]
    (scan,) = [lines[n - 1] for n in reads]
    assert "Function Scan on json_each" in scan
    applications = lab.world.scalar("SELECT count(*) FROM applications")
    assert f"loops={applications})" in scan
