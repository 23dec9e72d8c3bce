"""Reading which check is made, and how: by a `verify` step, and between deployments."""

from collections.abc import Mapping
from typing import Any

from orchestrator.domain.pipeline_parts import KnownPlugins, check_settings
from orchestrator.domain.pipeline_specs import RUN, AskedSpec
from orchestrator.domain.reading import Section
from orchestrator.domain.variables import references

DAY_SECONDS = 86_400
MAX_SCRIPT_CHARACTERS = 131_072
MOST_EXPECTED_CHARACTERS = 1000
OF_VERIFY = ("within", "interval")


def read_check(part: Section, settings: Mapping[str, Any], plugins: KnownPlugins) -> str:
    """Name the one check that a section is about, whose `settings` are right; "" where that is not so, which is noted."""
    kinds = [key for key in part.values if key in plugins.checks]
    check = kinds[0] if len(kinds) == 1 else ""
    if not _dollars_are_right(part):
        return ""
    if check:
        check_settings(part.problems, part.pointer, settings, plugins.checks[check])
    elif part.valid:
        names = " or ".join(f"`{name}`" for name in plugins.checks)
        part.problems.add(part.pointer, f"name exactly one check here: {names}")
    return check


def read_health(section: Section, plugins: KnownPlugins) -> AskedSpec | None:
    """How an environment is asked for its health, if it is."""
    return _read_asked(section, "health", plugins, usual=30, least=1, most=3600)


def read_drift(section: Section, plugins: KnownPlugins) -> AskedSpec | None:
    """How the targets of an environment are asked what runs there, if they are: by a check, or by a script on each."""
    asked = section.values.get("drift")
    if isinstance(asked, Mapping) and RUN in asked:
        return _read_script(section)
    return _read_asked(section, "drift", plugins, usual=600, least=10, most=DAY_SECONDS)


def _read_asked(
    section: Section, key: str, plugins: KnownPlugins, *, usual: int, least: int, most: int
) -> AskedSpec | None:
    if not section.has(key):
        return None
    part = Section.of(section.problems, section.at(key), section.values[key], known=())
    for each in OF_VERIFY:
        if each in part.values:
            part.problems.add(part.at(each), "is for `verify`; say with `every` how often it is asked")
    settings = {name: value for name, value in part.values.items() if name != "every"}
    return AskedSpec(
        check=read_check(part, settings, plugins),
        settings=settings,
        every_seconds=part.seconds("every", default=usual, least=least, most=most),
    )


def _read_script(section: Section) -> AskedSpec:
    """A script that says what runs there; what it says has to hold `expect`, or its exit code is the answer."""
    part = Section.of(
        section.problems, section.at("drift"), section.values["drift"], known=(RUN, "expect", "every")
    )
    script = part.text(RUN, default=None, most=MAX_SCRIPT_CHARACTERS)
    expect = part.text("expect", default="", most=MOST_EXPECTED_CHARACTERS)
    try:
        references(expect)
    except ValueError as error:
        part.problems.add(part.at("expect"), str(error))
    return AskedSpec(
        check=RUN,
        settings={RUN: script, **({"expect": expect} if expect else {})},
        every_seconds=part.seconds("every", default=600, least=60, most=DAY_SECONDS),
    )


def _dollars_are_right(part: Section) -> bool:
    """Whether plugins can read the variables in the settings; when not, that is noted where it is so."""
    right = True
    for key, value in part.values.items():
        try:
            references(value)
        except ValueError as error:
            part.problems.add(part.at(key), str(error))
            right = False
    return right
