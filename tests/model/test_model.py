"""The model, briefly: with a seed that never changes, and with a fresh one that the report's first lines name."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.config import Settings
from tests.model.harness import Harness, harness

FIXED_SEED = 20261124


@pytest.fixture
def made(settings: Settings, tmp_path: Path) -> Iterator[Harness]:
    with harness(settings, tmp_path / "plugins") as ready:
        yield ready


@pytest.mark.parametrize("number", [FIXED_SEED, int(os.environ["MODEL_SEED"])], ids=["fixed", "fresh"])
def test_every_promise_is_kept_whatever_goes_wrong_and_everything_ends(made: Harness, number: int) -> None:
    from tests.model.running import run

    run(made, number, examples=10, rules=50)
