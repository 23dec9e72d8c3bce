"""What followers were told is what was: the log whole and in order over all their connections, the statuses, the end."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import groupby, zip_longest

from tests.chaos.evidence import Evidence
from tests.chaos.followers import Followed


def differ(evidence: Evidence) -> Iterator[str]:
    """Each follower to whom anything was told that was not so, or not told that was."""
    history: dict[int, list[str]] = defaultdict(lambda: ["pending"])
    for row in evidence.statuses:
        history[row.deployment_id].append(row.new)
    steps = {step.id: step.status for step in evidence.steps}
    for each in evidence.followed:
        for what in _told_wrongly(each, history[each.deployment_id], evidence, steps):
            yield f"who followed deployment {each.deployment_id} over {each.connections} connections {what}"


def _told_wrongly(
    told: Followed, history: Sequence[str], evidence: Evidence, steps: dict[int, str]
) -> Iterator[str]:
    status = evidence.deployments[told.deployment_id].status
    if told.end is None:
        yield f"was never told its end, which is {status}"
        return
    if told.end != status:
        yield f"was told that it ended as {told.end}, and it is {status}"
    if told.statuses[-1:] != [told.end]:
        yield f"was shown {told.statuses[-1:]} last, and told that it ended as {told.end}"
    if not _comes_in(told.statuses, history):
        yield f"was shown {told.statuses}, and it was {history}"
    for step, shown in told.steps.items():
        if steps.get(step) != shown:
            yield f"was shown step {step} as {shown} last, and it is {steps.get(step)}"
    stored = evidence.log_of(told.deployment_id)
    for number, (got, there) in enumerate(zip_longest(told.pieces, stored)):
        if got != there:
            yield f"got {_short(got)} as piece {number} of the log, which is {_short(there)}"
            return


def _comes_in(shown: Sequence[str], history: Sequence[str]) -> bool:
    """Whether it is the history, of which anything may have been missed."""
    rest = iter(history)
    return all(status in rest for status, _ in groupby(shown))


def _short(piece: tuple[int, int, int, str] | None) -> str:
    if piece is None:
        return "nothing"
    step, attempt, start, text = piece
    return f"{text[:30]!r} (step {step}, attempt {attempt}, from byte {start})"
