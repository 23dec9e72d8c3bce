"""After which endings a slot stands still: by hand."""

import pytest

from orchestrator.domain.halting import Ending, why_halted
from orchestrator.domain.statuses import DeploymentStatus as S


@pytest.mark.parametrize(
    ("status", "rolls_back_id", "unknown", "not_put_back", "why"),
    [
        (S.FAILED, 7, 0, 0, "deployment 8, the rollback of deployment 7, failed"),
        (S.FAILED, 7, 1, 0, "deployment 8, the rollback of deployment 7, failed"),
        (
            S.CANCELLED,
            7,
            1,
            0,
            "deployment 8, the rollback of deployment 7, was cancelled, and nobody knows what became of it",
        ),
        (S.CANCELLED, 7, 0, 0, None),
        (S.SUCCEEDED, 7, 0, 0, None),
        (S.FAILED, None, 3, 0, None),
        (S.FAILED, None, 0, 2, "what deployment 8 had changed could not be put back"),
        (S.CANCELLED, None, 0, 1, "what deployment 8 had changed could not be put back"),
    ],
)
def test_a_slot_stands_still_where_going_back_went_wrong(
    status: S, rolls_back_id: int | None, unknown: int, not_put_back: int, why: str | None
) -> None:
    ending = Ending(
        deployment_id=8,
        status=status,
        rolls_back_id=rolls_back_id,
        unknown=unknown,
        not_put_back=not_put_back,
    )
    assert why_halted(ending) == why
