"""Pipelines read from plain structures: what is accepted, and that every mistake is found and placed."""

from typing import Any

import pytest

from orchestrator.domain.errors import InvalidInputError
from orchestrator.domain.pipeline import KnownPlugins, SettingsRefusedError, parse_pipeline, to_document
from orchestrator.strategies.all_at_once import AllAtOnce
from orchestrator.strategies.rolling import Rolling


def accept(_settings: object) -> None:
    return None


def need_directory(settings: Any) -> None:
    if "directory" not in settings:
        raise SettingsRefusedError("directory", "is missing; write the folder to work in")


PLUGINS = KnownPlugins(
    targets={"command": need_directory, "noop": accept},
    strategies={"all-at-once": AllAtOnce.from_settings, "rolling": Rolling.from_settings},
    checks={"http": accept},
)


def document(**changes: Any) -> dict[str, Any]:
    return {
        "application": "shop",
        "environments": {"staging": environment()},
        "deploy": [{"run": "./install"}],
        **changes,
    }


def environment(*targets: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"targets": list(targets) or [{"name": "web-a", "kind": "noop"}], **changes}


def problems(found: object) -> dict[str, str]:
    with pytest.raises(InvalidInputError) as caught:
        parse_pipeline(found, plugins=PLUGINS)
    return {problem.pointer: problem.detail for problem in caught.value.problems}


def problems_of_action(**action: Any) -> dict[str, str]:
    return problems(document(deploy=[action]))


def test_what_is_not_written_has_its_default() -> None:
    pipeline = parse_pipeline(document(), plugins=PLUGINS)
    (action,) = pipeline.deploy
    assert (action.title, action.settings, action.timeout_seconds) == (
        "./install",
        {"script": "./install"},
        600,
    )
    assert (action.grace_seconds, action.retries, action.idempotent) == (10, 0, False)
    (staging,) = pipeline.environments
    assert (staging.strategy.kind, staging.on_failure, staging.after) == ("all-at-once", "fail", ())


def test_a_key_without_a_value_counts_as_not_written() -> None:
    changed = document(
        description=None, variables=None, deploy=[{"run": "x", "timeout": None, "variables": None}]
    )
    assert to_document(parse_pipeline(changed, plugins=PLUGINS)) == to_document(
        parse_pipeline(document(deploy=[{"run": "x"}]), plugins=PLUGINS)
    )


def test_whole_numbers_become_texts_in_variables_and_labels() -> None:
    target = {"name": 7, "kind": "noop", "variables": {"PORT": 8101}, "labels": {"ring": 1}}
    (found,) = parse_pipeline(document(environments={"a": environment(target)}), plugins=PLUGINS).environments
    assert (found.targets[0].name, found.targets[0].variables) == ("7", {"PORT": "8101"})
    assert found.targets[0].labels == {"ring": "1"}


def test_environments_are_in_order_of_promotion_however_they_are_written() -> None:
    written = {
        "production": environment(after=["qa", "staging"]),
        "qa": environment(after="staging"),
        "staging": environment(),
    }
    pipeline = parse_pipeline(document(environments=written), plugins=PLUGINS)
    assert [each.name for each in pipeline.environments] == ["staging", "qa", "production"]


def test_every_mistake_is_found_at_once() -> None:
    found = problems(
        document(
            aplication="shop",
            environments={"Staging": environment(after="prod"), "prod": environment(on_failure="explode")},
            deploy=[{"run": "x", "retries": 11}, {"verify": {"http": "x", "within": "1 minute"}}],
        )
    )
    assert found == {
        "/aplication": "there is no key `aplication` here; did you mean `application`?",
        "/environments/Staging": "'Staging' cannot be a name; use 1 to 63 small letters, digits and hyphens,"
        " with a letter or digit at both ends",
        "/environments/prod/on_failure": "must be fail or rollback, not `explode`",
        "/deploy/0/retries": "must be a whole number from 0 to 10, not `11`",
        "/deploy/1/verify/within": "must be a duration such as 30s, 10m or 1h30m, not `1 minute`",
    }


@pytest.mark.parametrize(
    ("environments", "pointer", "detail"),
    [
        ({"a": {"after": "a"}}, "/environments/a/after", "an environment cannot come after itself"),
        (
            {"a": {"after": "b"}, "b": {"after": ["c"]}, "c": {"after": "a"}},
            "/environments/a/after",
            "a after b after c after a",
        ),
        ({"a": {}, "b": {"after": ["a", "x"]}}, "/environments/b/after/1", "there is no environment `x`"),
        (
            {"a": {"after": {"b": 1}}},
            "/environments/a/after",
            "must be the name of an environment, not a mapping",
        ),
        ({"a": {"after": 5}}, "/environments/a/after", "must be the name of an environment, not `5`"),
    ],
)
def test_impossible_orders(environments: dict[str, Any], pointer: str, detail: str) -> None:
    found = problems(
        document(environments={name: environment(**each) for name, each in environments.items()})
    )
    assert list(found) == [pointer]
    assert detail in found[pointer]


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a_b", "a.b", "a" * 64, "é", "a\n", "a b", "²"])
def test_impossible_names(name: str) -> None:
    assert "/application" in problems(document(application=name))


@pytest.mark.parametrize("name", ["a", "7", "a-b", "a--b", "a" * 63])
def test_possible_names(name: str) -> None:
    assert parse_pipeline(document(application=name), plugins=PLUGINS).application == name


@pytest.mark.parametrize(
    ("variables", "pointer", "detail"),
    [
        ({"port": "1"}, "/variables/port", "use capitals, digits and underscores"),
        ({"1A": "1"}, "/variables/1A", "use capitals"),
        ({"RELEASE_X": "1"}, "/variables/RELEASE_X", "are set for you"),
        ({"DEPLOYMENT_ID": "1"}, "/variables/DEPLOYMENT_ID", "are set for you"),
        ({"TARGET_": "1"}, "/variables/TARGET_", "are set for you"),
        ({"A": 1.5}, "/variables/A", "must be a text; write `1.5` in quotes"),
        ({"A": True}, "/variables/A", "must be a text; write true in quotes"),
        ({"A": None}, "/variables/A", 'has no value; write "" for an empty text'),
        ({"A": ["x"]}, "/variables/A", "must be a text, not a list"),
        ({"A": "x\0"}, "/variables/A", "a NUL character cannot be used"),
        ({"A": "\ud800"}, "/variables/A", "half of a surrogate pair"),
        ({"A": "x" * 32_769}, "/variables/A", "at most 32768 characters"),
        ({f"A{index}": "" for index in range(501)}, "/variables", "at most 500 variables"),
        ("A=1", "/variables", "write a mapping here, not `A=1`"),
    ],
)
def test_impossible_variables(variables: object, pointer: str, detail: str) -> None:
    found = problems(document(variables=variables))
    assert list(found) == [pointer]
    assert detail in found[pointer]


def test_a_prefix_is_reserved_only_with_its_underscore() -> None:
    assert parse_pipeline(document(variables={"RELEASES": "1", "TARGET": "1"}), plugins=PLUGINS).variables


@pytest.mark.parametrize(
    ("targets", "pointer", "detail"),
    [
        ([{"kind": "noop"}], "/0", "`name` is missing"),
        ([{"name": "a"}], "/0", "`kind` is missing; there are `command`, `noop`"),
        (
            [{"name": "a", "kind": "comand"}],
            "/0/kind",
            "there is no kind of target `comand`; did you mean `command`?",
        ),
        (
            [{"name": "a", "kind": ["noop"]}],
            "/0/kind",
            "must be the name of a kind of target, not a list",
        ),
        ([{"name": "a", "kind": "command"}], "/0/directory", "is missing; write the folder to work in"),
        (
            [{"name": "a", "kind": "noop"}] * 2,
            "/1/name",
            "target 1 is called `a` too; give each its own name",
        ),
        ([{"name": "a", "kind": "noop", "labels": {"Az": "1"}}], "/0/labels/Az", "cannot be a name"),
        (["a"], "/0", "write a mapping here, not `a`"),
        ([], "", "`targets` is missing"),
        ({"a": 1}, "", "write a list of targets here, not a mapping"),
        ([{"name": "a", "kind": "noop"}] * 20_001, "", "at most 20000 targets, not 20001"),
    ],
)
def test_impossible_targets(targets: object, pointer: str, detail: str) -> None:
    found = problems(document(environments={"a": {"targets": targets}}))
    assert detail in found["/environments/a/targets" + pointer]


@pytest.mark.parametrize(
    ("strategy", "pointer", "detail"),
    [
        ("roling", "", "there is no strategy `roling`; did you mean `rolling`?"),
        ({"kind": "canary"}, "/kind", "there is no strategy `canary`; there are `all-at-once`, `rolling`"),
        ({"batch": 1}, "", "`kind` is missing; there are `all-at-once`, `rolling`"),
        ({"kind": "rolling", "bach": 1}, "/bach", "there is no such setting; did you mean `batch`?"),
        (
            {"kind": "rolling", "batch": [1, "x"]},
            "/batch/1",
            "must be a whole number of at least 1, or a percentage",
        ),
        (5, "", "write a mapping here, not `5`"),
    ],
)
def test_impossible_strategies(strategy: object, pointer: str, detail: str) -> None:
    found = problems(document(environments={"a": environment(strategy=strategy)}))
    assert list(found) == ["/environments/a/strategy" + pointer]
    assert detail in found["/environments/a/strategy" + pointer]


@pytest.mark.parametrize(
    ("action", "pointer", "detail"),
    [
        ({"run": "x", "timeot": "60s"}, "/timeot", "did you mean `timeout`?"),
        ({"run": "x", "timeout": 60}, "/timeout", "must say its unit: write 60s for 60 seconds"),
        ({"run": "x", "timeout": "25h"}, "/timeout", "must be from 1s to 24h, not 25h"),
        ({"run": "x", "timeout": "0s"}, "/timeout", "must be from 1s to 24h, not 0s"),
        ({"run": "x", "timeout": "1500ms"}, "/timeout", "must be whole seconds"),
        ({"run": "x", "timeout": True}, "/timeout", "must be a duration such as 30s, 10m or 1h30m, not true"),
        ({"run": "x", "grace": "61s"}, "/grace", "must be from 0s to 1m, not 1m1s"),
        ({"run": "x", "retries": True}, "/retries", "must be a whole number from 0 to 10, not true"),
        ({"run": "x", "idempotent": "yes"}, "/idempotent", "must be true or false, not `yes`"),
        ({"run": ""}, "/run", "`run` is missing"),
        ({"run": " \n "}, "/run", "the script is empty"),
        ({"run": ["x"]}, "/run", "must be a text, not a list"),
        ({"run": "x" * 131_073}, "/run", "at most 131072 characters"),
        (
            {"run": "x", "verify": {"http": "y"}},
            "/verify",
            "an action does one thing: run, files or verify; make two of it",
        ),
        ({"runs": "x"}, "/runs", "an action begins with `run`, `files` or `verify`"),
        ({"file": "/srv"}, "/file", "an action begins with `run`, `files` or `verify`"),
        ({"files": "srv/shop"}, "/files", "must be the absolute path of a folder on the target"),
        ({"files": "/srv/shop", "keep": 0}, "/keep", "must be at least 1"),
        ({"files": "/srv/shop", "idempotent": True}, "/idempotent", "there is no key `idempotent` here"),
        ({"verify": {"htp": "x"}}, "/verify", "name exactly one check here: `http`"),
        ({"verify": "x"}, "/verify", "write a mapping here, not `x`"),
        ({"verify": {"http": "x"}, "timeout": "5s"}, "/timeout", "there is no key `timeout` here"),
        (
            {"verify": {"http": "$PROT"}},
            "/verify/http",
            "`$PROT` is not defined for target web-a of staging; set it",
        ),
        ({"verify": {"http": "5 $"}}, "/verify/http", "write `$$` for a dollar sign"),
        (
            {"verify": {"http": "x", "interval": "1ms"}},
            "/verify/interval",
            "must be from 100ms to 10m, not 1ms",
        ),
    ],
)
def test_impossible_actions(action: dict[str, Any], pointer: str, detail: str) -> None:
    found = problems_of_action(**action)
    assert list(found) == ["/deploy/0" + pointer]
    assert detail in found["/deploy/0" + pointer]


def test_a_verify_ends_by_itself_before_the_step_times_out() -> None:
    (action,) = parse_pipeline(
        document(deploy=[{"verify": {"http": "x", "within": "20s"}}]), plugins=PLUGINS
    ).deploy
    assert (action.check, action.timeout_seconds, action.idempotent) == ("http", 30, True)
    assert action.settings == {"http": "x", "within": "20s", "interval": "1s"}


def test_too_many_steps_are_refused() -> None:
    many = environment(*({"name": f"t{index}", "kind": "noop"} for index in range(2_001)))
    found = problems(document(environments={"a": many}, deploy=[{"run": "x"}] * 100))
    assert "make 200100 steps; at most 200000 are possible" in found["/environments/a"]
    assert "at most 100 actions, not 101" in problems(document(deploy=[{"run": "x"}] * 101))["/deploy"]


def test_problems_are_bounded_and_the_rest_counted() -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse_pipeline(document(variables={f"a{index}": "" for index in range(400)}), plugins=PLUGINS)
    assert len(caught.value.problems) == 101
    assert caught.value.problems[-1].detail == "there are 300 more problems"


def test_a_hostile_depth_is_refused_without_recursion() -> None:
    deep: Any = "x"
    for _ in range(5_000):
        deep = [deep]
    (detail,) = problems(document(variables={"A": deep})).values()
    assert "nested more than 50 deep" in detail


@pytest.mark.parametrize(
    "value", [b"x", object(), float("nan"), float("inf"), 2**63, {1: "x"}, {"\0": 1}, {1, 2}]
)
def test_what_no_json_can_hold_is_refused(value: object) -> None:
    assert problems(document(description=value))


def soaking(**changes: Any) -> dict[str, Any]:
    return document(environments={"staging": environment(), "production": environment(**changes)})


def test_a_soak_is_read_and_written_back() -> None:
    pipeline = parse_pipeline(soaking(after="staging", soak="30m"), plugins=PLUGINS)
    production = pipeline.find_environment("production")
    assert production is not None
    assert production.soak_seconds == 1800
    assert to_document(pipeline)["environments"]["production"]["soak"] == "30m"
    assert parse_pipeline(to_document(pipeline), plugins=PLUGINS) == pipeline


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"soak": "30m"}, "needs `after`: a release soaks in the environments before"),
        ({"after": "staging", "soak": 30}, "must say its unit: write 30s for 30 seconds"),
        ({"after": "staging", "soak": "800h"}, "must be from 1s to 720h, not 800h"),
        ({"after": "staging", "soak": "500ms"}, "must be from 1s to 720h, not 500ms"),
    ],
)
def test_a_soak_that_cannot_be_is_refused(changes: dict[str, Any], detail: str) -> None:
    assert problems(soaking(**changes)) == {"/environments/production/soak": detail}


def test_what_is_announced_goes_where_nothing_comes_before() -> None:
    pipeline = parse_pipeline(soaking(after="staging"), plugins=PLUGINS)
    assert pipeline.on_release() == ()
    announced = document(environments={"staging": environment(on_release=True), "production": environment()})
    pipeline = parse_pipeline(announced, plugins=PLUGINS)
    assert [each.name for each in pipeline.on_release()] == ["staging"]
    assert parse_pipeline(to_document(pipeline), plugins=PLUGINS) == pipeline
    detail = "cannot stand beside `after`: a new release was nowhere yet; use `auto`"
    wrong = problems(soaking(after="staging", on_release=True))
    assert wrong == {"/environments/production/on_release": detail}


def test_a_person_may_be_asked_after_failures_and_the_document_is_read_back() -> None:
    asked = {"pause": "90m", "then": "rollback"}
    pipeline = parse_pipeline(
        document(
            environments={"a": environment(on_failure=asked), "b": environment(on_failure={"pause": "60s"})}
        ),
        plugins=PLUGINS,
    )
    first, second = pipeline.environments
    assert (first.on_failure, first.answer_seconds, first.unanswered) == ("pause", 5400, "rollback")
    assert (second.on_failure, second.answer_seconds, second.unanswered) == ("pause", 60, "fail")
    assert parse_pipeline(to_document(pipeline), plugins=PLUGINS) == pipeline


@pytest.mark.parametrize(
    ("value", "pointer"),
    [
        ("pause", ""),
        ("ask", ""),
        ({"then": "rollback"}, ""),
        ({"pause": "59s"}, "/pause"),
        ({"pause": "8d"}, "/pause"),
        ({"pause": "60500ms"}, "/pause"),
        ({"pause": "1h", "then": "pause"}, "/then"),
        ({"pause": "1h", "than": "fail"}, "/than"),
        (["pause"], ""),
    ],
)
def test_what_cannot_become_of_failures_is_refused_where_it_stands(value: object, pointer: str) -> None:
    found = problems(document(environments={"a": environment(on_failure=value)}))
    assert list(found) == [f"/environments/a/on_failure{pointer}"]
