"""A pipeline says where an application goes, in what order, and how it gets there."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from orchestrator.domain.errors import SettingsRefusedError
from orchestrator.domain.pipeline_actions import read_actions
from orchestrator.domain.pipeline_environments import read_environments, read_labels
from orchestrator.domain.pipeline_parts import KnownPlugins, SettingsCheck, read_secrets, read_variables
from orchestrator.domain.pipeline_specs import (
    FAIL,
    FILES,
    ROLLBACK,
    RUN,
    VERIFY,
    ActionSpec,
    AskedSpec,
    EnvironmentSpec,
    Pipeline,
    StrategySpec,
    TargetSpec,
    TrafficSpec,
    to_document,
)
from orchestrator.domain.pipeline_traffic import traffic_references
from orchestrator.domain.reading import Problems, Section, child, suggest
from orchestrator.domain.variables import GIVEN_NAMES, label_variable, references

__all__ = [
    "FAIL",
    "FILES",
    "ROLLBACK",
    "RUN",
    "VERIFY",
    "ActionSpec",
    "EnvironmentSpec",
    "KnownPlugins",
    "Pipeline",
    "SettingsCheck",
    "SettingsRefusedError",
    "StrategySpec",
    "TargetSpec",
    "TrafficSpec",
    "parse_pipeline",
    "to_document",
]

MAX_STEPS = 200_000

_PIPELINE_KEYS = ("application", "description", "variables", "secrets", "labels", "environments", "deploy")


def parse_pipeline(document: object, *, plugins: KnownPlugins) -> Pipeline:
    """Check `document` and make a pipeline of it. Raises InvalidInputError with every problem found."""
    problems = Problems()
    problems.check_plain(document)
    problems.raise_if_any("the pipeline cannot be read")
    top = Section.of(problems, "", document, known=_PIPELINE_KEYS)
    if not top.valid:
        problems.raise_if_any("the pipeline is not valid")
    pipeline = Pipeline(
        application=top.name("application"),
        description=top.text("description", default="", most=2000),
        variables=read_variables(top),
        secrets=read_secrets(top),
        labels=read_labels(top),
        environments=read_environments(top, plugins),
        deploy=read_actions(top, plugins),
    )
    if not problems.found:
        _check_references(problems, pipeline)
        _check_receivers(problems, pipeline, plugins)
        _check_secrets(problems, pipeline)
        _check_size(problems, pipeline)
    problems.raise_if_any("the pipeline is not valid")
    return pipeline


def _check_references(problems: Problems, pipeline: Pipeline) -> None:
    """Every `$NAME` outside of scripts must be defined for every target, or it would fail in mid-deployment."""
    for index, action in enumerate(pipeline.deploy):
        if action.kind == RUN:
            continue
        for key, value in action.settings.items():
            at = f"/deploy/{index}/{action.kind}"
            try:
                needed = references(value) - GIVEN_NAMES - set(action.variables)
            except ValueError as error:
                problems.add(at, str(error))
                continue
            if missing := next(_undefined(pipeline, needed, pipeline.environments), None):
                problems.add(child(at, key) if action.kind == VERIFY else at, missing)
    for environment in pipeline.environments:
        asked = {
            "health": environment.health.settings if environment.health else {},
            "drift": _referring(environment.drift) if environment.drift else {},
            "traffic": traffic_references(environment.traffic) if environment.traffic else {},
        }
        for name, settings in asked.items():
            for key, value in settings.items():
                needed = references(value) - GIVEN_NAMES
                if missing := next(_undefined(pipeline, needed, (environment,)), None):
                    problems.add(child(child(child("/environments", environment.name), name), key), missing)


def _referring(asked: AskedSpec) -> Mapping[str, Any]:
    """The settings that may hold variables; in a script the shell reads them."""
    return {key: value for key, value in asked.settings.items() if (asked.check, key) != (RUN, RUN)}


def _check_receivers(problems: Problems, pipeline: Pipeline, plugins: KnownPlugins) -> None:
    """Files go only to kinds of target that take them."""
    if all(action.kind != FILES for action in pipeline.deploy):
        return
    for environment in pipeline.environments:
        for index, target in enumerate(environment.targets):
            if target.kind not in plugins.receivers:
                at = f"{child('/environments', environment.name)}/targets/{index}/kind"
                known = ", ".join(sorted(plugins.receivers))
                problems.add(at, f"`files` goes to targets of the kinds {known}, not to {target.kind}")


def _undefined(
    pipeline: Pipeline, needed: frozenset[str], environments: Sequence[EnvironmentSpec]
) -> Iterator[str]:
    needed -= set(pipeline.variables)
    for environment in environments:
        wanted = needed - set(environment.variables)
        if not wanted:
            continue
        for target in environment.targets:
            defined = {*target.variables, *map(label_variable, target.labels)}
            for name in sorted(wanted - defined):
                near = suggest(name, sorted({*defined, *GIVEN_NAMES, *pipeline.variables}))
                hint = near if near.startswith("; did") else "; set it under `variables`"
                yield f"`${name}` is not defined for target {target.name} of {environment.name}{hint}"


def _check_secrets(problems: Problems, pipeline: Pipeline) -> None:
    """A name that is both would be shown in one place and masked in another."""
    for environment in pipeline.environments:
        secrets = set(pipeline.shared_secrets(environment))
        layers = [pipeline.variables, environment.variables]
        layers += [target.variables for target in environment.targets]
        layers += [action.variables for action in pipeline.deploy]
        for name in sorted(secrets.intersection(*[set().union(*layers)])):
            where = child("/environments", environment.name)
            problems.add(where, f"{name} is a secret and a variable; take it out of one of them")


def _check_size(problems: Problems, pipeline: Pipeline) -> None:
    for environment in pipeline.environments:
        steps = len(environment.targets) * len(pipeline.deploy)
        if steps > MAX_STEPS:
            problems.add(
                child("/environments", environment.name),
                f"{len(environment.targets)} targets and {len(pipeline.deploy)} actions make {steps} steps;"
                f" at most {MAX_STEPS} are possible: join some actions into one script",
            )
