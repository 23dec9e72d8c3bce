"""Any pipeline is read back as it was written, and no nonsense breaks the reading."""

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.domain.errors import InvalidInputError
from orchestrator.domain.pipeline import KnownPlugins, parse_pipeline, to_document
from orchestrator.strategies.all_at_once import AllAtOnce
from orchestrator.strategies.rolling import Rolling


def accept(_settings: object) -> None:
    return None


PLUGINS = KnownPlugins(
    targets={"noop": accept},
    strategies={"all-at-once": AllAtOnce.from_settings, "rolling": Rolling.from_settings},
    checks={"http": accept},
)

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
names = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
variables = st.dictionaries(st.from_regex(r"[A-QU-Z_][A-Z0-9_]{0,8}", fullmatch=True), texts, max_size=3)
target = st.fixed_dictionaries(
    {"name": names, "kind": st.just("noop")},
    optional={
        "weight": st.integers(0, 9),
        "labels": st.dictionaries(names, texts, max_size=2),
        "variables": variables,
    },
)
some_environment = st.fixed_dictionaries(
    {"targets": st.lists(target, min_size=1, max_size=4, unique_by=lambda each: each["name"])},
    optional={
        "variables": variables,
        "on_failure": st.sampled_from(["fail", "rollback"]),
        "strategy": st.sampled_from(
            ["rolling", {"kind": "rolling", "batch": ["1", "25%"]}, {"kind": "all-at-once"}]
        ),
    },
)
script = texts.filter(lambda text: text.strip() != "")
action = st.one_of(
    st.fixed_dictionaries(
        {"run": script},
        optional={
            "name": st.text("abc ", min_size=1, max_size=9),
            "timeout": st.integers(1, 86_400).map(lambda seconds: f"{seconds}s"),
            "grace": st.integers(0, 60).map(lambda seconds: f"{seconds}s"),
            "retries": st.integers(0, 10),
            "idempotent": st.booleans(),
            "variables": variables,
        },
    ),
    st.fixed_dictionaries({"verify": st.just({"http": "http://$TARGET_NAME/", "within": "90s"})}),
)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    environments = draw(st.dictionaries(names, some_environment, min_size=1, max_size=4))
    before: list[str] = []
    for name, each in environments.items():
        if before:
            each["after"] = draw(st.lists(st.sampled_from(before), unique=True))
        before.append(name)
    deploy = draw(st.lists(action, min_size=1, max_size=4))
    return {
        "application": draw(names),
        "environments": environments,
        "deploy": deploy,
        "variables": draw(variables),
    }


@settings(suppress_health_check=[HealthCheck.too_slow])  # the machine may be busy
@given(documents())
def test_a_pipeline_is_read_back_as_it_was_written(written: dict[str, Any]) -> None:
    pipeline = parse_pipeline(written, plugins=PLUGINS)
    kept = json.loads(json.dumps(to_document(pipeline)))
    assert parse_pipeline(kept, plugins=PLUGINS) == pipeline


plain = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=6),
        st.sampled_from(["rolling", "noop", "5s"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                [
                    "application",
                    "environments",
                    "deploy",
                    "targets",
                    "strategy",
                    "kind",
                    "run",
                    "verify",
                    "http",
                    "after",
                    "name",
                    "variables",
                    "a",
                ]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=20,
)


VALID = {
    "application": "shop",
    "environments": {"a": {"targets": [{"name": "a", "kind": "noop"}]}},
    "deploy": [{"run": "x"}],
}


@given(plain, st.sampled_from(["application", "environments", "deploy", "variables", "description", ""]))
def test_nonsense_is_refused_and_never_breaks(nonsense: object, key: str) -> None:
    changed = {**VALID, key: nonsense} if key else nonsense
    try:
        parse_pipeline(changed, plugins=PLUGINS)
    except InvalidInputError as error:
        assert error.problems
        assert all(problem.pointer == "" or problem.pointer.startswith("/") for problem in error.problems)
