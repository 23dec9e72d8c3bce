"""What is said of targets that a deployment went on without."""

import pytest

from orchestrator.domain.endings import what_is_missing


@pytest.mark.parametrize(
    ("failed", "most", "skipped", "said"),
    [
        (0, 0, 0, None),
        (0, 3, 0, None),
        (1, 2, 0, "1 target failed, within the budget of 2, so all others were done"),
        (2, 2, 0, "2 targets failed, within the budget of 2, so all others were done"),
        (0, 0, 1, "1 target could not be reached and was skipped, so all others were done"),
        (
            1,
            1,
            3,
            "1 target failed, within the budget of 1 and 3 targets could not be reached and were skipped,"
            " so all others were done",
        ),
    ],
)
def test_it_names_those_that_do_not_have_the_release(
    failed: int, most: int, skipped: int, said: str | None
) -> None:
    assert what_is_missing(failed, most, skipped) == said
