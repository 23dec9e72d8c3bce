"""`health` in a pipeline: what is read, what is refused, and for which soaks it is asked."""

from typing import Any

import pytest

from orchestrator.domain.errors import InvalidInputError
from orchestrator.domain.pipeline import Pipeline, parse_pipeline, to_document
from orchestrator.services.pipelines import known_plugins

URL = "http://127.0.0.1:$PORT/health"


def environment(**changes: Any) -> dict[str, Any]:
    web = {"name": "web-a", "kind": "noop", "variables": {"PORT": "8101"}}
    return {"targets": [web], **changes}


def read(health: object, **more: Any) -> Pipeline:
    document = {
        "application": "shop",
        "environments": {"staging": environment(health=health), **more},
        "deploy": [{"run": "./install"}],
    }
    return parse_pipeline(document, plugins=known_plugins())


def problems(health: object) -> dict[str, str]:
    with pytest.raises(InvalidInputError) as caught:
        read(health)
    return {problem.pointer: problem.detail for problem in caught.value.problems}


def test_it_is_read_and_written_back() -> None:
    pipeline = read({"http": URL, "expect": "$RELEASE_VERSION", "every": "1m"})
    (staging,) = pipeline.environments
    assert staging.health is not None
    assert (staging.health.check, staging.health.every_seconds) == ("http", 60)
    assert staging.health.settings == {"http": URL, "expect": "$RELEASE_VERSION"}
    assert parse_pipeline(to_document(pipeline), plugins=known_plugins()) == pipeline
    assert to_document(pipeline)["environments"]["staging"]["health"] == {
        "http": URL,
        "expect": "$RELEASE_VERSION",
        "every": "1m",
    }


def test_it_is_asked_every_half_minute_if_nothing_is_said_and_never_if_it_is_not_written() -> None:
    (staging,) = read({"http": URL}).environments
    assert staging.health is not None
    assert staging.health.every_seconds == 30
    (silent,) = read(None).environments
    assert silent.health is None
    assert "health" not in to_document(read(None))["environments"]["staging"]


@pytest.mark.parametrize(
    ("health", "pointer", "detail"),
    [
        ({"every": "1m"}, "", "name exactly one check here: `http` or `prometheus` or `tcp`"),
        ({"http": URL, "every": "2h"}, "/every", "must be from 1s to 1h, not 2h"),
        ({"http": URL, "every": 30}, "/every", "must say its unit: write 30s for 30 seconds"),
        ({"http": URL, "within": "9s"}, "/within", "is for `verify`; say with `every` how often it is asked"),
        ({"http": URL, "interval": "9s"}, "/interval", "is for `verify`; say with `every` how often it is asked"),
        ({"http": "ftp://127.0.0.1/"}, "/http", "must begin with http:// or https:// and a host, not 'ftp://127.0.0.1/'"),
        ({"http": "http://me:pw@127.0.0.1/"}, "/http", "must not hold a user and a password: it is shown to everybody"),
        ({"http": "http://127.0.0.1/$"}, "/http", "a lone `$` names no variable; write `$$` for a dollar sign"),
        (
            {"http": "http://127.0.0.1:$PROT/"},
            "/http",
            "`$PROT` is not defined for target web-a of staging; did you mean `PORT`?",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(health: dict[str, Any], pointer: str, detail: str) -> None:
    assert problems(health) == {f"/environments/staging/health{pointer}": detail}


def test_a_name_alone_is_no_check() -> None:
    assert set(problems("http")) == {"/environments/staging/health"}


def test_variables_have_to_be_there_only_where_it_is_asked() -> None:
    read({"http": URL}, lab={"targets": [{"name": "lab-a", "kind": "noop"}]})


def test_soaks_are_those_of_all_that_come_after_it() -> None:
    pipeline = read(
        {"http": URL},
        lab=environment(after="staging"),
        europe=environment(after="staging", soak="1h"),
        asia=environment(after=["staging", "lab"], soak="30m"),
        africa=environment(after="staging", soak="30m"),
        moon=environment(after="lab", soak="9h"),
    )
    assert pipeline.soaks_after("staging") == (1800, 3600)
    assert pipeline.soaks_after("moon") == ()
