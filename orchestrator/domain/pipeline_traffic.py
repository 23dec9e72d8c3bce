"""Reading which proxy shares out the traffic of an environment, and what its targets are called there."""

from collections.abc import Mapping
from typing import Any

from orchestrator.domain.pipeline_parts import KnownPlugins, check_settings
from orchestrator.domain.pipeline_specs import StrategySpec, TrafficSpec
from orchestrator.domain.reading import Section, described
from orchestrator.domain.variables import references

OURS = ("server", "weight", "drain", "within")
FULL_WEIGHT = 100
GREATEST_WEIGHT = 256
USUAL_SERVER = "$TARGET_NAME"
LONGEST_SECONDS = 3600


def read_traffic(section: Section, plugins: KnownPlugins, strategy: StrategySpec) -> TrafficSpec | None:
    """How traffic is moved in an environment, if it is; a strategy that cannot do without it says so here."""
    if not section.has("traffic"):
        if strategy.kind in plugins.switching:
            at = section.at("strategy")
            section.problems.add(at, f"{strategy.kind} moves traffic: say with `traffic` which proxy does")
        return None
    part = Section.of(section.problems, section.at("traffic"), section.values["traffic"])
    kinds = [key for key in part.values if key in plugins.proxies]
    settings = {key: value for key, value in part.values.items() if key not in OURS}
    if not part.valid or not _dollars_are_right(part):
        return None
    if len(kinds) == 1:
        check_settings(part.problems, part.pointer, settings, plugins.proxies[kinds[0]])
    else:
        names = " or ".join(f"`{name}`" for name in plugins.proxies)
        part.problems.add(part.pointer, f"name exactly one proxy here: {names}")
    return TrafficSpec(
        kind=kinds[0] if kinds else "",
        settings=settings,
        server=part.text("server", default=USUAL_SERVER, most=1000),
        weight=_weight(part),
        drain_seconds=part.seconds("drain", default=30, least=0, most=LONGEST_SECONDS),
        within_seconds=part.seconds("within", default=60, least=1, most=LONGEST_SECONDS),
    )


def _weight(part: Section) -> int:
    value = part.values.get("weight", FULL_WEIGHT)
    if type(value) is int and 1 <= value <= GREATEST_WEIGHT:
        return value
    problem = f"must be a whole number from 1 to {GREATEST_WEIGHT}, not {described(value)}"
    part.problems.add(part.at("weight"), problem)
    return FULL_WEIGHT


def traffic_references(traffic: TrafficSpec) -> Mapping[str, Any]:
    """The settings in which variables may stand."""
    return {**traffic.settings, "server": traffic.server}


def _dollars_are_right(part: Section) -> bool:
    right = True
    for key, value in part.values.items():
        try:
            references(value)
        except ValueError as error:
            part.problems.add(part.at(key), str(error))
            right = False
    return right
