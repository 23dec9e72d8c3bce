"""When the clock gets up."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from celery import Celery
from celery.schedules import schedule

from workers.beat import Scheduler

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)


def now() -> datetime:
    """As the schedule sees it; it is stored with it."""
    return NOW


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[Scheduler]:
    """Something is to be sent every second, and was sent 0.996 seconds ago."""
    app = Celery("clock", set_as_current=False)
    app.conf.result_expires = None
    made = Scheduler(app, schedule_filename=str(tmp_path / "schedule"))
    made.add(
        name="tick",
        task="tick",
        schedule=schedule(1.0, nowfun=now, app=app),
        last_run_at=NOW - timedelta(seconds=0.996),
    )
    yield made
    made.close()


def test_the_last_moment_before_something_is_due_is_slept_through(scheduler: Scheduler) -> None:
    assert scheduler.tick() == pytest.approx(0.004, abs=0.0001)
