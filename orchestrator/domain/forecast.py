"""When a deployment that waits will start: the gates that decide it, asked about times to come."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from orchestrator.domain.gates import Surroundings, evaluate

MOST_LOOKS = 1000
"""How many times in a row one reason may end only for another to hold, before nothing is foretold."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """When it will start, as far as is known now; None where that depends on people or on other deployments."""

    starts_at: datetime | None
    because: str


def forecast(
    look: Callable[[datetime], Surroundings], now: datetime, *, expires_at: datetime | None
) -> Forecast:
    """Find the first instant at which nothing speaks against it; `look` says how things will stand at an instant.

    A reason holds until its `until` at least, so there is none before the last of those.
    """
    at, because = now, "nothing speaks against it"
    for _ in range(MOST_LOOKS):
        if expires_at is not None and at >= expires_at:
            return Forecast(
                None, f"it is given up at {expires_at:%Y-%m-%d %H:%M:%S} UTC; until then {because}"
            )
        found = evaluate(look(at), at)
        if not found:
            return Forecast(at, because)
        endless = [blocker.message for blocker in found if blocker.until is None]
        if endless:
            return Forecast(None, "; ".join(endless))
        last = max(found, key=lambda blocker: blocker.ends(at))
        at, because = last.ends(at), last.message
    return Forecast(None, f"it waits too long for a forecast: {because}")
