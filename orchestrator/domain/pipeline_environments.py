"""Reading the environments of a pipeline: their order, their targets, their strategy."""

from collections.abc import Mapping
from typing import Any

from orchestrator.domain.pipeline_approvals import read_approvals
from orchestrator.domain.pipeline_checks import read_drift, read_health
from orchestrator.domain.pipeline_failures import read_on_failure
from orchestrator.domain.pipeline_parts import (
    KnownPlugins,
    check_settings,
    read_kind,
    read_secrets,
    read_value,
    read_variables,
)
from orchestrator.domain.pipeline_specs import (
    QUEUES,
    EnvironmentSpec,
    StrategySpec,
    TargetSpec,
)
from orchestrator.domain.pipeline_traffic import read_traffic
from orchestrator.domain.reading import Section, check_name, child, described, shortened, suggest
from orchestrator.domain.windows import WhenClosed

MAX_ENVIRONMENTS = 100
MAX_TARGETS = 20_000
LONGEST_SOAK_SECONDS = 30 * 86_400
LONGEST_JITTER_SECONDS = 3600

_ENVIRONMENT_KEYS = (
    "after",
    "targets",
    "variables",
    "secrets",
    "strategy",
    "traffic",
    "on_failure",
    "queue",
    "approvals",
    "soak",
    "health",
    "drift",
    "auto",
    "on_release",
    "when_closed",
    "jitter",
)
_TARGET_KEYS = ("name", "kind", "labels", "variables")


def read_environments(top: Section, plugins: KnownPlugins) -> tuple[EnvironmentSpec, ...]:
    if not top.values.get("environments"):
        pointer = top.at("environments") if "environments" in top.values else ""
        top.problems.add(pointer, "`environments` is missing; name at least one, with its targets")
        return ()
    part = Section.of(top.problems, top.at("environments"), top.values["environments"])
    if len(part.values) > MAX_ENVIRONMENTS:
        top.problems.add(part.pointer, f"there may be at most {MAX_ENVIRONMENTS} environments")
        return ()
    found = {}
    for name, value in part.values.items():
        check_name(top.problems, part.at(name), name)
        section = Section.of(top.problems, part.at(name), value, known=_ENVIRONMENT_KEYS)
        strategy = _strategy(section, plugins)
        found[name] = EnvironmentSpec(
            name=name,
            after=_after(section, name, part.values),
            targets=_targets(section, plugins) if section.valid else (),
            variables=read_variables(section),
            secrets=read_secrets(section),
            strategy=strategy,
            traffic=read_traffic(section, plugins, strategy),
            **read_on_failure(section),
            queue=section.choice("queue", QUEUES),
            approvals=read_approvals(section),
            soak_seconds=_soak(section),
            health=read_health(section, plugins),
            drift=read_drift(section, plugins),
            auto=_auto(section),
            on_release=_on_release(section),
            when_closed=WhenClosed(section.choice("when_closed", tuple(WhenClosed))),
            jitter_seconds=int(section.seconds("jitter", default=0, least=1, most=LONGEST_JITTER_SECONDS)),
        )
    return _in_order(part, found)


def _after(section: Section, name: str, known: Mapping[str, Any]) -> tuple[str, ...]:
    if not section.has("after"):
        return ()
    value = section.values["after"]
    many = isinstance(value, list | tuple)
    after: list[str] = []
    for index, each in enumerate(value if many else [value]):
        pointer = child(section.at("after"), index) if many else section.at("after")
        if not isinstance(each, str):
            section.problems.add(pointer, f"must be the name of an environment, not {described(each)}")
        elif each == name:
            section.problems.add(pointer, "an environment cannot come after itself; name another one")
        elif each not in known:
            others = [other for other in known if other != name]
            hint = suggest(each, others) if others else ""
            section.problems.add(pointer, f"there is no environment `{shortened(each)}`{hint}")
        elif each not in after:
            after.append(each)
    return tuple(after)


def _soak(section: Section) -> int:
    if section.has("soak") and not section.has("after"):
        section.problems.add(section.at("soak"), "needs `after`: a release soaks in the environments before")
    return int(section.seconds("soak", default=0, least=1, most=LONGEST_SOAK_SECONDS))


def _auto(section: Section) -> bool:
    auto = section.flag("auto", default=False)
    if auto and not section.has("after"):
        section.problems.add(
            section.at("auto"), "needs `after`: a release comes by itself from the environments before"
        )
    return auto


def _on_release(section: Section) -> bool:
    on_release = section.flag("on_release", default=False)
    if on_release and section.values.get("after"):
        section.problems.add(
            section.at("on_release"), "cannot stand beside `after`: a new release was nowhere yet; use `auto`"
        )
    return on_release


def _in_order(part: Section, found: Mapping[str, EnvironmentSpec]) -> tuple[EnvironmentSpec, ...]:
    ordered: dict[str, EnvironmentSpec] = {}
    waiting = dict(found)
    while waiting:
        free = next((each for each in waiting.values() if all(a in ordered for a in each.after)), None)
        if free is None:
            path = _cycle(waiting)
            part.problems.add(
                child(part.at(path[0]), "after"),
                f"these wait for each other: {' after '.join(path)}; remove one `after`",
            )
            return (*ordered.values(), *waiting.values())
        ordered[free.name] = waiting.pop(free.name)
    return tuple(ordered.values())


def _cycle(waiting: Mapping[str, EnvironmentSpec]) -> list[str]:
    path = [next(iter(waiting))]
    while True:
        following = next(each for each in waiting[path[-1]].after if each in waiting)
        if following in path:
            return [*path[path.index(following) :], following]
        path.append(following)


def _targets(section: Section, plugins: KnownPlugins) -> tuple[TargetSpec, ...]:
    value = section.values.get("targets")
    pointer = section.at("targets")
    if not value:
        section.problems.add(
            pointer if "targets" in section.values else section.pointer,
            "`targets` is missing; write at least one, such as {name: web-a, kind: command}",
        )
        return ()
    if not isinstance(value, list | tuple):
        section.problems.add(pointer, f"write a list of targets here, not {described(value)}")
        return ()
    if len(value) > MAX_TARGETS:
        section.problems.add(pointer, f"there may be at most {MAX_TARGETS} targets, not {len(value)}")
        return ()
    targets: list[TargetSpec] = []
    first_index: dict[str, int] = {}
    for index, each in enumerate(value):
        target = _target(Section.of(section.problems, child(pointer, index), each), plugins)
        if target is None:
            continue
        if target.name in first_index:
            section.problems.add(
                child(child(pointer, index), "name"),
                f"target {first_index[target.name] + 1} is called `{target.name}` too;"
                " give each its own name",
            )
        first_index.setdefault(target.name, index)
        targets.append(target)
    return tuple(targets)


def _target(section: Section, plugins: KnownPlugins) -> TargetSpec | None:
    if not section.valid:
        return None
    settings = {key: value for key, value in section.values.items() if key not in _TARGET_KEYS}
    kind = read_kind(section, plugins.targets, what="kind of target")
    if kind:
        check_settings(section.problems, section.pointer, settings, plugins.targets[kind])
    return TargetSpec(
        name=section.name("name"),
        kind=kind,
        settings=settings,
        labels=read_labels(section),
        variables=read_variables(section),
    )


def read_labels(section: Section) -> dict[str, str]:
    """Facts about a target or an application."""
    if not section.has("labels"):
        return {}
    part = Section.of(section.problems, section.at("labels"), section.values["labels"])
    for key in part.values:
        check_name(section.problems, part.at(key), key)
    return {key: read_value(section.problems, part.at(key), value) for key, value in part.values.items()}


def _strategy(section: Section, plugins: KnownPlugins) -> StrategySpec:
    if not section.has("strategy"):
        return StrategySpec()
    value = section.values["strategy"]
    part = Section.of(
        section.problems, section.at("strategy"), {"kind": value} if isinstance(value, str) else value
    )
    if not part.valid:
        return StrategySpec()
    if isinstance(value, str) and value not in plugins.strategies:
        hint = suggest(value, plugins.strategies)
        section.problems.add(part.pointer, f"there is no strategy {described(value)}{hint}")
        return StrategySpec()
    settings = {key: each for key, each in part.values.items() if key != "kind"}
    kind = read_kind(part, plugins.strategies, what="strategy")
    if kind:
        check_settings(section.problems, part.pointer, settings, plugins.strategies[kind])
    return StrategySpec(kind=kind, settings=settings)
