"""A short run of the chaos harness; `make chaos` has the long one."""

import json
from pathlib import Path

import pytest

from tests.chaos import campaign
from tests.chaos.load import Mix

LIGHT = Mix(
    weights={"quick": 60, "noisy": 10, "flaky": 8, "fails": 8, "leaves": 6, "stubborn": 8},
    rollbacks=0.03,
    deep=1,
)


@pytest.mark.timeout(400)
def test_thirty_faults_lose_double_and_wedge_nothing(passable_path: Path) -> None:
    report = campaign.run(passable_path / "chaos", faults=30, seed=20261124, say=lambda _: None, mix=LIGHT)
    assert report.good, report.table()
    assert sum(report.faults.values()) == 30
    assert report.deployments.get("succeeded", 0) >= 5
    assert report.connections > report.followed > 0
    assert set(report.starts) == set(report.reached)
    assert json.loads(report.json())["starts"] == report.starts
