"""Reading what becomes of a deployment in which more targets failed than may."""

from typing import Any

from orchestrator.domain.pipeline_specs import FAIL, PAUSE, ROLLBACK
from orchestrator.domain.reading import Section

LONGEST_ANSWER_SECONDS = 7 * 86_400


def read_on_failure(section: Section) -> dict[str, Any]:
    """The fields of an environment that say it: `fail`, `rollback`, or `{pause: 1h, then: rollback}`."""
    value = section.values.get("on_failure")
    if value == PAUSE:
        example = "say for how long, and what then: {pause: 1h, then: rollback}"
        section.problems.add(section.at("on_failure"), example)
        return {}
    if value is None or isinstance(value, str):
        return {"on_failure": section.choice("on_failure", (FAIL, ROLLBACK))}
    part = Section.of(section.problems, section.at("on_failure"), value, known=(PAUSE, "then"))
    if part.valid and not part.has(PAUSE):
        part.problems.add(part.pointer, "`pause` is missing; say how long a person is waited for, such as 1h")
    seconds = part.seconds(PAUSE, default=3600, least=60, most=LONGEST_ANSWER_SECONDS)
    if seconds != int(seconds):
        part.problems.add(part.at(PAUSE), "must be whole seconds; leave the `ms` out")
    unanswered = part.choice("then", (FAIL, ROLLBACK))
    return {"on_failure": PAUSE, "answer_seconds": int(seconds), "unanswered": unanswered}
