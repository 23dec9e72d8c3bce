"""How long to wait before trying again."""

FIRST_SECONDS = 1.0
MOST_SECONDS = 60.0


def delay_seconds(tries: int, *, first: float = FIRST_SECONDS, most: float = MOST_SECONDS) -> float:
    """Seconds before the next try after `tries` (1 or more) that failed: doubles each time, up to `most`."""
    return min(most, first * 2.0 ** min(max(tries, 1) - 1, 30))
