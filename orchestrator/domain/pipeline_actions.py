"""Reading what a pipeline does on each target."""

import math
from collections.abc import Mapping

from orchestrator.domain.durations import format_duration
from orchestrator.domain.pipeline_checks import MAX_SCRIPT_CHARACTERS, read_check
from orchestrator.domain.pipeline_parts import KnownPlugins, read_variables
from orchestrator.domain.pipeline_specs import FILES, RUN, VERIFY, ActionSpec
from orchestrator.domain.reading import Problems, Section, child, described, shortened, suggest

MAX_ACTIONS = 100
MAX_TITLE_CHARACTERS = 200
MAX_KEPT = 100
DEFAULT_KEPT = 5
DAY_SECONDS = 86_400
VERIFY_SLACK_SECONDS = 10
"""How far behind a check's own `within`, after which it says what it saw, the step's timeout lies."""

_KEYS = {
    RUN: (
        "run",
        "name",
        "timeout",
        "grace",
        "retries",
        "idempotent",
        "variables",
        "undo",
        "irreversible",
        "verifies",
    ),
    FILES: ("files", "keep", "name", "timeout", "grace", "retries", "variables"),
    VERIFY: ("verify", "name", "variables"),
}
_NOTHING = ActionSpec(kind=RUN, title="", settings={"script": ""})


def read_actions(top: Section, plugins: KnownPlugins) -> tuple[ActionSpec, ...]:
    value = top.values.get("deploy")
    if not value:
        pointer = top.at("deploy") if "deploy" in top.values else ""
        top.problems.add(
            pointer, "`deploy` is missing; write what to do on each target, such as - run: ./install"
        )
        return ()
    if not isinstance(value, list | tuple):
        top.problems.add(top.at("deploy"), f"write a list of actions here, not {described(value)}")
        return ()
    if len(value) > MAX_ACTIONS:
        top.problems.add(top.at("deploy"), f"there may be at most {MAX_ACTIONS} actions, not {len(value)}")
        return ()
    return tuple(
        _action(top.problems, child(top.at("deploy"), index), each, plugins)
        for index, each in enumerate(value)
    )


def _action(problems: Problems, pointer: str, value: object, plugins: KnownPlugins) -> ActionSpec:
    kinds = [kind for kind in _KEYS if isinstance(value, Mapping) and kind in value]
    if isinstance(value, Mapping) and not kinds:
        near = [key for key in value if suggest(key, tuple(_KEYS)).startswith("; did")]
        at = child(pointer, near[0]) if near else pointer
        problems.add(at, "an action begins with `run`, `files` or `verify`; write one of them")
        return _NOTHING
    if len(kinds) > 1:
        problems.add(
            child(pointer, kinds[-1]), "an action does one thing: run, files or verify; make two of it"
        )
        return _NOTHING
    kind = kinds[0] if kinds else RUN
    section = Section.of(problems, pointer, value, known=_KEYS[kind])
    if not section.valid:
        return _NOTHING
    if kind == VERIFY:
        return _verify(section, plugins)
    return _files(section) if kind == FILES else _run(section)


def _files(section: Section) -> ActionSpec:
    directory = section.text("files", default=None, most=1000)
    if directory and not directory.startswith("/"):
        section.problems.add(section.at("files"), "must be the absolute path of a folder on the target")
    keep = section.whole("keep", default=DEFAULT_KEPT, most=MAX_KEPT)
    if keep == 0:
        section.problems.add(section.at("keep"), "must be at least 1: the release that runs")
    return ActionSpec(
        kind=FILES,
        title=section.text("name", default=f"files in {shortened(directory)}", most=MAX_TITLE_CHARACTERS),
        settings={"directory": directory, "keep": keep},
        timeout_seconds=_whole_seconds(section, "timeout", default=600, least=1, most=DAY_SECONDS),
        grace_seconds=_whole_seconds(section, "grace", default=10, least=0, most=60),
        retries=section.whole("retries", default=0, most=10),
        idempotent=True,
        variables=read_variables(section),
    )


def _run(section: Section) -> ActionSpec:
    script = section.text("run", default=None, most=MAX_SCRIPT_CHARACTERS)
    first_line = next((line.strip() for line in script.splitlines() if line.strip()), "")
    if script and not first_line:
        section.problems.add(section.at("run"), "the script is empty; write what to run")
    irreversible = section.flag("irreversible", default=False)
    if irreversible and section.has("undo"):
        section.problems.add(
            section.at("undo"), "what can be undone is not irreversible; leave one of them out"
        )
    verifies = section.flag("verifies", default=False)
    if verifies and (irreversible or section.has("undo")):
        section.problems.add(
            section.at("verifies"), "what verifies changes nothing: there is nothing to undo"
        )
    return ActionSpec(
        kind=RUN,
        title=section.text("name", default=shortened(first_line), most=MAX_TITLE_CHARACTERS),
        settings={"script": script},
        timeout_seconds=_whole_seconds(section, "timeout", default=600, least=1, most=DAY_SECONDS),
        grace_seconds=_whole_seconds(section, "grace", default=10, least=0, most=60),
        retries=section.whole("retries", default=0, most=10),
        idempotent=section.flag("idempotent", default=False),
        variables=read_variables(section),
        undo=section.text("undo", default="", most=MAX_SCRIPT_CHARACTERS),
        irreversible=irreversible,
        verifies=verifies,
    )


def _whole_seconds(section: Section, key: str, *, default: int, least: int, most: int) -> int:
    seconds = section.seconds(key, default=default, least=least, most=most)
    if seconds != int(seconds):
        section.problems.add(section.at(key), "must be whole seconds; leave the `ms` out")
    return int(seconds)


def _verify(section: Section, plugins: KnownPlugins) -> ActionSpec:
    part = Section.of(section.problems, section.at(VERIFY), section.values[VERIFY], known=())
    settings = {**part.values}
    within = part.seconds("within", default=60, least=1, most=DAY_SECONDS)
    interval = part.seconds("interval", default=1, least=0.1, most=600)
    settings.update(within=format_duration(within), interval=format_duration(interval))
    check = read_check(part, settings, plugins)
    return ActionSpec(
        kind=VERIFY,
        title=section.text("name", default=f"verify {check}", most=MAX_TITLE_CHARACTERS),
        settings=settings,
        check=check,
        timeout_seconds=math.ceil(within) + VERIFY_SLACK_SECONDS,
        grace_seconds=0,
        idempotent=True,
        variables=read_variables(section),
    )
