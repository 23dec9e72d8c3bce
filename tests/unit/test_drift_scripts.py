"""`drift` by a script in a pipeline, and what its answer means: by hand."""

from typing import Any

import pytest

from orchestrator.domain.drift import Drift, heard
from orchestrator.domain.errors import InvalidInputError
from orchestrator.domain.pipeline import Pipeline, parse_pipeline, to_document
from orchestrator.services.pipelines import known_plugins


def read(drift: object) -> Pipeline:
    targets = [{"name": "web-a", "kind": "command"}]
    document = {
        "application": "shop",
        "environments": {"lab": {"targets": targets, "drift": drift}},
        "deploy": [{"run": "./install"}],
    }
    return parse_pipeline(document, plugins=known_plugins())


def test_it_is_read_and_written_back_and_its_dollars_are_the_shell_s() -> None:
    written = {"run": 'cat "$(readlink current)"/VERSION ${1:-}', "expect": "$RELEASE_VERSION", "every": "2m"}
    pipeline = read(written)
    (lab,) = pipeline.environments
    assert lab.drift is not None
    assert (lab.drift.check, lab.drift.every_seconds) == ("run", 120)
    assert to_document(pipeline)["environments"]["lab"]["drift"] == written
    assert parse_pipeline(to_document(pipeline), plugins=known_plugins()) == pipeline


@pytest.mark.parametrize(
    ("drift", "pointer", "detail"),
    [
        ({"run": ""}, "/run", "missing"),
        ({"run": 1}, "/run", "must be a text"),
        ({"run": "x", "http": "http://127.0.0.1/"}, "/http", "no key `http`"),
        ({"run": "x", "every": "10s"}, "/every", "from 1m to 24h"),
        ({"run": "x", "expect": "${"}, "/expect", ""),
        ({"run": "x", "expect": "$NO_SUCH"}, "/expect", "NO_SUCH"),
    ],
)
def test_what_cannot_be_asked_is_refused_where_it_stands(
    drift: dict[str, Any], pointer: str, detail: str
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        read(drift)
    found = {problem.pointer: problem.detail for problem in caught.value.problems}
    assert detail in found[f"/environments/lab/drift{pointer}"]


@pytest.mark.parametrize(
    ("code", "output", "expect", "state", "detail"),
    [
        (0, "shop 1.2.0\n", "1.2.0", Drift.SAME, "it says 'shop 1.2.0'"),
        (0, "\n 1.1.9 \n1.2.0", "1.2.1", Drift.DIFFERS, "'1.2.1' is not in what it says: '1.1.9'"),
        (0, "", "1.2.0", Drift.DIFFERS, "'1.2.0' is not in what it says: ''"),
        (2, "cat: VERSION: no such file", "1.2.0", Drift.UNKNOWN, "exit code 2: cat: VERSION: no such file"),
        (0, "", "", Drift.SAME, "exit code 0"),
        (1, "changed by hand", "", Drift.DIFFERS, "exit code 1: changed by hand"),
    ],
)
def test_what_a_script_s_end_means(code: int, output: str, expect: str, state: Drift, detail: str) -> None:
    assert heard(code, output, expect) == (state, detail)
