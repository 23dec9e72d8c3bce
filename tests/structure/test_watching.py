"""What watches: alerts and the board ask for metrics that there are, by labels that they have, and the documents name all."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from prometheus_client import Counter, Gauge, Histogram

import api.metrics
import orchestrator.metrics
import stream.metrics
import workers.metrics

ROOT = Path(__file__).resolve().parents[2]
ALERTS = ROOT / "deploy" / "alerts.yml"
BOARD = ROOT / "deploy" / "grafana.json"
OPERATIONS = ROOT / "docs" / "operations.md"
PREFIX = "release_manager_"
SUFFIXES = {Counter: ("_total",), Gauge: ("",), Histogram: ("_bucket", "_count", "_sum")}
BY_POSTGRES = {"queue_messages": {"queue"}}
OF_PROMETHEUS = {"le", "instance", "job"}
SELECTOR = re.compile(r"(release_manager_\w+)(?:\{([^}]*)\})?")
GROUPED = re.compile(r"by \(([^)]*)\)")


def counted() -> Iterator[tuple[str, set[str]]]:
    """Every sample's name with its labels, as the code defines them."""
    for module in (api.metrics, orchestrator.metrics, stream.metrics, workers.metrics):
        for metric in vars(module).values():
            for kind, suffixes in SUFFIXES.items():
                if type(metric) is kind:
                    described = next(iter(metric.describe()))
                    for suffix in suffixes:
                        yield described.name + suffix, set(metric._labelnames)
    for suffix, _meaning in api.metrics.ENGINE.values():
        yield PREFIX + suffix, set()
    for suffix, labels in BY_POSTGRES.items():
        yield PREFIX + suffix, labels


def expressions() -> Iterator[tuple[str, str]]:
    """Where an expression stands, and the expression."""
    for rule in yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"]:
        yield rule["alert"], rule["expr"]
    for panel in json.loads(BOARD.read_text())["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


ASKED = list(expressions())


def test_there_is_something_to_ask_for() -> None:
    assert len(dict(counted())) > 20
    assert len(ASKED) > 40


@pytest.mark.parametrize(("where", "expression"), ASKED)
def test_an_expression_asks_for_what_there_is(where: str, expression: str) -> None:
    known = dict(counted())
    asked = SELECTOR.findall(expression)
    assert asked, where
    labels: set[str] = set()
    for name, matchers in asked:
        assert name in known, f"{where}: nothing counts {name}"
        labels |= known[name]
        by = {matcher.split("=")[0].rstrip("!~") for matcher in matchers.split(",") if matcher}
        assert by <= known[name], f"{where}: {name} has no {by - known[name]}"
    for group in GROUPED.findall(expression):
        by = {each.strip() for each in group.split(",")}
        assert by <= labels | OF_PROMETHEUS, f"{where}: there is no {by}"


def test_the_documents_name_every_metric() -> None:
    told = set(re.findall(r"release_manager_\w+", OPERATIONS.read_text()))
    for name, _labels in counted():
        bare = re.sub(r"_(bucket|count|sum)$", "", name)
        assert bare in told, f"docs/operations.md does not name {bare}"


def test_the_panels_of_the_board_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(BOARD.read_text())["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken
        assert at["x"] + at["w"] <= 24
        taken |= cells


@pytest.mark.parametrize(
    "words",
    [("check", "rules", str(ALERTS)), ("test", "rules", str(Path(__file__).parent / "alerts.test.yml"))],
)
def test_prometheus_takes_the_alerts_and_they_wake_for_what_they_say(words: tuple[str, ...]) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("NOT CHECKED: there is no promtool here (it comes with Debian's package prometheus)")
    done = subprocess.run([promtool, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
