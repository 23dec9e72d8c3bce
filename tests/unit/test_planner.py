"""Plans: what is in them, in what order, and that they survive being kept."""

import copy
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.errors import PlanUnreadableError, RuleViolationError
from orchestrator.domain.pipeline import ActionSpec, EnvironmentSpec, Pipeline, StrategySpec, TargetSpec
from orchestrator.domain.plan import Plan, environment_variables, plan_hash, to_document
from orchestrator.domain.plan_reading import from_document
from orchestrator.domain.variables import expand, expand_settings
from orchestrator.planner import build_plan
from orchestrator.strategies.all_at_once import AllAtOnce
from orchestrator.strategies.base import Strategy
from orchestrator.strategies.rolling import Rolling

STRATEGIES: dict[str, type[Strategy]] = {"all-at-once": AllAtOnce, "rolling": Rolling}


def run(title: str = "install", **fields: Any) -> ActionSpec:
    return ActionSpec(kind="run", title=title, settings={"script": "./install"}, **fields)


def verify(url: str, **fields: Any) -> ActionSpec:
    return ActionSpec(kind="verify", title="check", settings={"http": url}, check="http", **fields)


def pipeline(
    target_count: int = 3, *, actions: tuple[ActionSpec, ...] = (run(),), **environment: Any
) -> Pipeline:
    targets = tuple(
        TargetSpec(name=f"web-{index}", kind="command", variables={"PORT": str(8100 + index)})
        for index in range(target_count)
    )
    spec = EnvironmentSpec(name="production", **{"targets": targets, **environment})
    return Pipeline(application="shop", environments=(spec,), deploy=actions, variables={"LEVEL": "info"})


def planned(source: Pipeline, **changes: Any) -> Plan:
    arguments = {"environment": "production", "application": "shop", "version": "1.2.0", **changes}
    return build_plan(source, strategies=STRATEGIES.__getitem__, **arguments)


def laid_out(plan: Plan) -> list[tuple[int, str, list[str]]]:
    return [
        (wave.batch, plan.actions[wave.action_index].title, [step.target for step in wave.steps])
        for wave in plan.waves
    ]


def test_a_batch_goes_through_every_action_before_the_next_begins() -> None:
    source = pipeline(
        3, actions=(run("install"), run("warm")), strategy=StrategySpec(kind="rolling", settings={"batch": 2})
    )
    assert laid_out(planned(source)) == [
        (0, "install", ["web-0", "web-1"]),
        (0, "warm", ["web-0", "web-1"]),
        (1, "install", ["web-2"]),
        (1, "warm", ["web-2"]),
    ]


@given(
    target_count=st.integers(1, 40),
    action_count=st.integers(1, 4),
    strategy=st.one_of(
        st.just(StrategySpec()),
        st.builds(lambda size: StrategySpec(kind="rolling", settings={"batch": size}), st.integers(1, 15)),
    ),
)
def test_every_action_is_on_every_target_exactly_once(
    target_count: int, action_count: int, strategy: StrategySpec
) -> None:
    plan = planned(pipeline(target_count, actions=(run(),) * action_count, strategy=strategy))
    steps = [step for wave in plan.waves for step in wave.steps]
    pairs = {(step.target, step.action_index) for step in steps}
    assert len(steps) == len(pairs) == target_count * action_count == plan.step_count
    assert [wave.index for wave in plan.waves] == list(range(len(plan.waves)))
    order = [(wave.batch, wave.action_index) for wave in plan.waves]
    assert order == sorted(order)
    for wave in plan.waves:
        assert {step.action_index for step in wave.steps} == {wave.action_index}
        assert [step.position for step in wave.steps] == list(range(len(wave.steps)))
    assert from_document(json.loads(json.dumps(to_document(plan)))) == plan


def test_a_rollback_goes_only_to_the_targets_it_is_about_in_the_order_it_names_them() -> None:
    plan = planned(pipeline(4), only_targets=["web-3", "web-1", "gone"])
    assert [target.name for target in plan.targets] == ["web-3", "web-1"]


def test_percentages_are_of_the_targets_that_remain() -> None:
    source = pipeline(
        10, strategy=StrategySpec(kind="rolling", settings={"batch": "50%", "max_failures": "50%"})
    )
    plan = planned(source, only_targets=["web-1", "web-2", "web-3", "web-4"])
    assert plan.batch_sizes() == (2, 2)
    assert plan.max_failures == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"only_targets": ["gone"]}, "nothing to deploy"),
        ({"only_targets": []}, "nothing to deploy"),
        ({"environment": "moon"}, "no environment moon; it has production"),
        ({"application": "blog"}, "pipeline of shop"),
    ],
)
def test_what_cannot_be_planned_says_why(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RuleViolationError, match=message):
        planned(pipeline(), **changes)


def test_a_check_with_an_undefined_variable_cannot_be_planned() -> None:
    with pytest.raises(RuleViolationError, match=r"uses \$PROT, which is not defined for target web-0"):
        planned(pipeline(actions=(verify("http://127.0.0.1:$PROT/"),)))
    planned(pipeline(actions=(verify("http://127.0.0.1:$PROT/", variables={"PROT": "1"}),)))


def test_the_hash_is_the_same_for_the_same_plan_and_another_for_any_other() -> None:
    source = pipeline()
    assert plan_hash(to_document(planned(source))) == plan_hash(to_document(planned(copy.deepcopy(source))))
    others = [
        planned(source, version="1.2.1"),
        planned(source, only_targets=["web-0"]),
        planned(pipeline(actions=(run(retries=1),))),
        planned(pipeline(on_failure="rollback")),
        planned(pipeline(strategy=StrategySpec(kind="rolling"))),
        planned(pipeline(variables={"LEVEL": "debug"})),
    ]
    assert len({plan_hash(to_document(each)) for each in [planned(source), *others]}) == 7


def test_the_hash_does_not_change_between_versions_of_the_code() -> None:
    # sha256 of the document written out by hand with sorted keys and no spaces.
    target = TargetSpec(name="a", kind="noop")
    plan = planned(replace(pipeline(targets=(target,)), variables={}))
    by_hand = (
        '{"actions":[{"check":"","grace_seconds":10,"idempotent":false,"kind":"run","retries":0,'
        '"settings":{"script":"./install"},"timeout_seconds":600,"title":"install","variables":{}}],'
        '"application":"shop","batch_sizes":[1],"environment":"production","format":1,"max_failures":0,'
        '"max_parallel":100,"on_failure":"fail","strategy":"all-at-once",'
        '"targets":[{"kind":"noop","labels":{},"name":"a","settings":{},"variables":{}}],'
        '"variables":{},"version":"1.2.0"}'
    )
    import hashlib

    assert plan_hash(to_document(plan)) == hashlib.sha256(by_hand.encode()).hexdigest()


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(json_values)
def test_anything_else_is_no_plan(document: object) -> None:
    with pytest.raises(PlanUnreadableError):
        from_document(document)


@given(data=st.data())
def test_a_plan_with_any_part_replaced_is_read_or_refused_but_never_breaks(data: st.DataObject) -> None:
    slides = StrategySpec(kind="rolling", settings={"mode": "sliding"})
    strategy = data.draw(st.sampled_from([StrategySpec(), slides]))
    document = to_document(planned(pipeline(2, actions=(run(), run()), strategy=strategy)))
    place: Any = document
    for _ in range(data.draw(st.integers(0, 2))):
        inner = [
            each
            for each in (place.values() if isinstance(place, dict) else place)
            if isinstance(each, dict | list) and each
        ]
        if not inner:
            break
        place = data.draw(st.sampled_from(inner))
    key = data.draw(st.sampled_from(list(place) if isinstance(place, dict) else range(len(place))))
    place[key] = data.draw(json_values)
    try:
        plan = from_document(document)
    except PlanUnreadableError:
        return
    if document.get("waves") != []:  # so does who reads about one step of a plan, and not its waves
        assert to_document(plan) == document


def test_a_newer_format_says_which_version_is_needed() -> None:
    document = {**to_document(planned(pipeline())), "format": 7}
    with pytest.raises(PlanUnreadableError, match="has format 7 and this version reads formats up to 6"):
        from_document(document)


def test_the_later_of_two_variables_wins_and_what_is_given_wins_over_all() -> None:
    target = TargetSpec(
        name="a", kind="noop", variables={"C": "target", "D": "target"}, labels={"az-one": "x"}
    )
    source = Pipeline(
        application="shop",
        environments=(
            EnvironmentSpec(
                name="production", targets=(target,), variables={"B": "env", "C": "env", "D": "env"}
            ),
        ),
        deploy=(run(variables={"D": "action"}),),
        variables={"A": "pipeline", "B": "pipeline", "C": "pipeline", "D": "pipeline"},
    )
    plan = planned(source)
    found = environment_variables(
        plan,
        plan.targets[0],
        0,
        deployment_id=7,
        release_id=3,
        artifact=None,
        artifact_sha256=None,
        wave_index=0,
        requested_by="ada",
        rolls_back_id=None,
        previous_version="1.1.0",
    )
    assert found == {
        "A": "pipeline",
        "B": "env",
        "C": "target",
        "D": "action",
        "TARGET_LABEL_AZ_ONE": "x",
        "RELEASE_NAME": "shop",
        "RELEASE_VERSION": "1.2.0",
        "RELEASE_ARTIFACT": "",
        "RELEASE_ARTIFACT_SHA256": "",
        "RELEASE_ID": "3",
        "DEPLOYMENT_ID": "7",
        "DEPLOYMENT_ENVIRONMENT": "production",
        "DEPLOYMENT_STRATEGY": "all-at-once",
        "DEPLOYMENT_WAVE": "0",
        "DEPLOYMENT_ROLLS_BACK": "",
        "DEPLOYMENT_REQUESTED_BY": "ada",
        "DEPLOYMENT_PREVIOUS_VERSION": "1.1.0",
        "TARGET_NAME": "a",
        "TARGET_KIND": "noop",
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://h:$PORT/$NAME", "http://h:80/shop"),
        ("${PORT}00", "8000"),
        ("$$PORT costs $$5", "$PORT costs $5"),
        ("$TRICK", "$PORT"),
        ("nothing", "nothing"),
    ],
)
def test_expanding(text: str, expected: str) -> None:
    assert expand(text, {"PORT": "80", "NAME": "shop", "TRICK": "$PORT"}) == expected


@pytest.mark.parametrize("text", ["$MISSING", "$", "${", "${}", "$5", "${PORT", "$-"])
def test_what_cannot_be_expanded_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"not defined|lone"):
        expand(text, {"PORT": "80"})


def test_settings_are_expanded_however_deep_but_not_their_keys() -> None:
    settings = {"$A": ["$A", {"b": "${A}"}], "n": 5, "t": True, "z": None}
    assert expand_settings(settings, {"A": "1"}) == {"$A": ["1", {"b": "1"}], "n": 5, "t": True, "z": None}


@pytest.mark.parametrize("place", [lambda d: d, lambda d: d["actions"][0], lambda d: d["targets"][0]])
def test_a_plan_with_one_key_more_is_not_read(place: Any) -> None:
    document = to_document(planned(pipeline()))
    place(document)["from_the_future"] = True
    with pytest.raises(PlanUnreadableError, match="does not have the keys that this version knows"):
        from_document(document)


def test_a_plan_that_asks_or_waits_is_read_back_and_an_older_version_can_tell_that_it_cannot() -> None:
    asks = planned(pipeline(on_failure="pause", answer_seconds=60, unanswered="rollback"))
    waits = planned(
        pipeline(strategy=StrategySpec(kind="rolling", settings={"settle": "5s", "max_batch_failures": 0}))
    )
    for plan in (asks, waits):
        assert to_document(plan)["format"] == 3
        assert from_document(to_document(plan)) == plan
    assert waits.waits()[-1] == 0
    assert set(waits.waits()[:-1]) <= {5}
    with pytest.raises(PlanUnreadableError):
        from_document({**to_document(asks), "answer_seconds": 0})
    with pytest.raises(PlanUnreadableError):
        from_document({**to_document(waits), "waits": [0]} if len(waits.waits()) > 1 else {})


def test_a_plan_that_slides_has_the_steps_of_each_target_together_and_is_read_back() -> None:
    strategy = StrategySpec(kind="rolling", settings={"mode": "sliding", "batch": 2, "max_parallel": 50})
    plan = planned(pipeline(3, actions=(run("install"), run("warm")), strategy=strategy))
    (wave,) = plan.waves
    assert [(step.position, step.target, step.action_index) for step in wave.steps] == [
        (0, "web-0", 0),
        (1, "web-0", 1),
        (2, "web-1", 0),
        (3, "web-1", 1),
        (4, "web-2", 0),
        (5, "web-2", 1),
    ]
    assert (plan.max_parallel, wave.sliding) == (2, True)
    document = json.loads(json.dumps(to_document(plan)))
    assert (document["format"], document["waves"]) == (6, [[0, [0, 1], 0, 3, 0, False]])
    assert from_document(document) == plan
    for spoilt in ([[0, [], 0, 3, 0, False]], [[0, [0], 0, 3, 0, False]], [[0, 0, 0, 3, 0, False]]):
        with pytest.raises(PlanUnreadableError):
            from_document({**document, "waves": spoilt})


def test_what_slides_through_one_action_is_a_wave_as_any_other() -> None:
    strategy = StrategySpec(kind="rolling", settings={"mode": "sliding", "batch": 2})
    plan = planned(pipeline(3, strategy=strategy))
    assert (to_document(plan)["format"], plan.max_parallel, plan.batch_sizes()) == (1, 2, (3,))
    assert from_document(to_document(plan)) == plan


@pytest.mark.parametrize(("unreachable", "skipped"), [("count", 0), ({"skip": 2}, 2)])
def test_a_plan_that_says_what_becomes_of_unreachable_targets_is_read_back(
    unreachable: Any, skipped: int
) -> None:
    strategy = StrategySpec(kind="rolling", settings={"unreachable": unreachable})
    plan = planned(pipeline(strategy=strategy))
    assert plan.max_skipped == skipped
    document = to_document(plan)
    assert (document["format"], document["max_skipped"]) == (5, skipped)
    assert from_document(document) == plan
    with pytest.raises(PlanUnreadableError):
        from_document({**document, "format": 4})
    with pytest.raises(PlanUnreadableError):
        from_document({**document, "max_skipped": -1})
