"""Reading how traffic is moved, and what is put back: each mistake has its place and says what to do."""

from typing import Any

import pytest

from orchestrator.domain.errors import InvalidInputError
from orchestrator.domain.pipeline import Pipeline, TrafficSpec, parse_pipeline, to_document
from orchestrator.services.pipelines import known_plugins

HAPROXY = {"haproxy": "/run/haproxy.sock", "backend": "shop"}


def parsed(environment: dict[str, Any], action: dict[str, Any] | None = None) -> Pipeline:
    targets = [
        {"name": "web-a", "kind": "noop", "variables": {"PORT": "1"}},
        {"name": "web-b", "kind": "noop"},
    ]
    document = {
        "application": "shop",
        "environments": {"lab": {"targets": targets, **environment}},
        "deploy": [{"run": "./install", **(action or {})}],
    }
    return parse_pipeline(document, plugins=known_plugins())


def test_every_default_is_spelt_out_and_read_back() -> None:
    smoke = parsed({}, {"verifies": True})
    assert parse_pipeline(to_document(smoke), plugins=known_plugins()) == smoke
    pipeline = parsed({"traffic": HAPROXY}, {"undo": "./uninstall"})
    assert pipeline.environments[0].traffic == TrafficSpec(
        kind="haproxy",
        settings=HAPROXY,
        server="$TARGET_NAME",
        weight=100,
        drain_seconds=30,
        within_seconds=60,
    )
    assert pipeline.deploy[0].undo == "./uninstall"
    assert parse_pipeline(to_document(pipeline), plugins=known_plugins()) == pipeline


@pytest.mark.parametrize(
    ("environment", "pointer", "detail"),
    [
        ({"traffic": {}}, "/traffic", "name exactly one proxy here: `caddy` or `haproxy`"),
        ({"traffic": {**HAPROXY, "caddy": "http://127.0.0.1:1"}}, "/traffic", "name exactly one proxy"),
        (
            {"traffic": {"haproxy": "run/x", "backend": "shop"}},
            "/traffic/haproxy",
            "must be an absolute path",
        ),
        ({"traffic": {"haproxy": "/run/x"}}, "/traffic/backend", "must be a text without spaces"),
        ({"traffic": {**HAPROXY, "wieght": 1}}, "/traffic/wieght", "there is no such setting"),
        ({"traffic": {**HAPROXY, "weight": 257}}, "/traffic/weight", "must be a whole number from 1 to 256"),
        ({"traffic": {**HAPROXY, "drain": "2h"}}, "/traffic/drain", "must be from 0s to 1h"),
        ({"traffic": {**HAPROXY, "server": "$"}}, "/traffic/server", "a lone `$` names no variable"),
        (
            {"traffic": {**HAPROXY, "server": "web:$PORT"}},
            "/traffic/server",
            "is not defined for target web-b",
        ),
        (
            {"strategy": "blue-green"},
            "/strategy",
            "blue-green moves traffic: say with `traffic` which proxy does",
        ),
    ],
)
def test_a_mistake_has_its_place(environment: dict[str, Any], pointer: str, detail: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        parsed(environment)
    found = {problem.pointer: problem.detail for problem in refused.value.problems}
    assert detail in found[f"/environments/lab{pointer}"]


def test_what_can_be_undone_is_not_irreversible() -> None:
    with pytest.raises(InvalidInputError) as refused:
        parsed({}, {"undo": "./uninstall", "irreversible": True})
    assert [problem.pointer for problem in refused.value.problems] == ["/deploy/0/undo"]


def test_what_verifies_changes_nothing() -> None:
    assert parsed({}, {"verifies": True}).deploy[0].verifies
    for more in ({"undo": "./uninstall"}, {"irreversible": True}):
        with pytest.raises(InvalidInputError) as refused:
            parsed({}, {"verifies": True, **more})
        assert [problem.pointer for problem in refused.value.problems] == ["/deploy/0/verifies"]
