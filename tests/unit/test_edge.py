"""What a task raises ends at the edge: a database that is away is said in a line, a defect with all there is to know."""

import pytest
import structlog
from sqlalchemy import create_engine
from sqlalchemy.exc import ProgrammingError

from tests.ports import free_port
from workers.tasks import shell


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[structlog.typing.EventDict]:
    """All that the edge logs."""
    capture = structlog.testing.LogCapture()
    logger = structlog.wrap_logger(
        structlog.PrintLogger(), processors=[capture], wrapper_class=structlog.stdlib.BoundLogger
    )
    monkeypatch.setattr(shell, "_logger", logger)
    return capture.entries


def test_a_database_that_is_away_is_no_defect(said: list[structlog.typing.EventDict]) -> None:
    engine = create_engine(f"postgresql+psycopg2://nobody@127.0.0.1:{free_port()}/none")
    shell.at_the_edge("steps.run", 7, engine.connect)
    assert said == [
        {
            "event": "left_to_the_tick",
            "log_level": "warning",
            "task": "steps.run",
            "subject": 7,
            "why": "OperationalError",
        }
    ]


@pytest.mark.parametrize(
    "defect", [ValueError("of ours"), ProgrammingError("SELECT", {}, Exception("no such table"))]
)
def test_a_defect_is_said_with_its_traceback(
    said: list[structlog.typing.EventDict], defect: Exception
) -> None:
    def fail() -> None:
        raise defect

    shell.at_the_edge("deployments.advance", 8, fail)
    (found,) = said
    assert (found["event"], found["log_level"], found["exc_info"]) == ("task_failed", "error", True)
