"""Callbacks of runs at HTTP targets: which are believed, and that the one who follows the run is woken."""

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from standardwebhooks import Webhook
from werkzeug.test import TestResponse

from orchestrator import clock
from orchestrator.domain.statuses import Outcome
from orchestrator.repositories import attempts as rows
from orchestrator.services import attempts, callbacks
from orchestrator.services.attempts import Claim, Ended
from tests.integration.api_world import ApiWorld, world
from tests.integration.engine_world import worker
from workers.leases import LeaseKeeper
from workers.tasks.shell import at_the_edge

__all__ = ["world"]


@dataclass
class Called:
    """A run that somebody follows, and the secret that its target was told."""

    world: ApiWorld
    claim: Claim

    @property
    def run(self) -> str:
        return self.claim.work.run_name

    def secret_of(self, run: str) -> str:
        settings = replace(self.world.settings, callback_url="https://web.example.com/")
        told = callbacks.of_run(settings, run)
        assert told is not None
        assert told.url == f"https://web.example.com/api/v1/targets/callbacks/{run}"
        return told.secret

    def call(
        self, document: Any, *, secret: str = "", at: datetime | None = None, run: str = "", sent: str = ""
    ) -> TestResponse:
        """Signed by the reference implementation; `sent`: another body than was signed."""
        body, at = json.dumps(document), at or datetime.now(UTC)
        headers = {
            "webhook-id": "m1",
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": Webhook(secret or self.secret_of(self.run)).sign("m1", at, body),
        }
        path = f"/api/v1/targets/callbacks/{run or self.run}"
        return self.world.client().post(
            path, data=sent or body, headers=headers, content_type="application/json"
        )

    def number(self) -> int:
        with self.world.database.transaction() as session:
            found = rows.renew(session, {self.claim.attempt_id: self.claim.token}, lease_seconds=60)
        return found[self.claim.attempt_id].called_back


@pytest.fixture
def called(world: ApiWorld) -> Called:
    deployment = world.deploy(world.application("1"), "1")["id"]
    with world.database.transaction() as session:
        claim = attempts.advance(session, deployment, worker(lease_seconds=60))
    assert claim is not None
    return Called(world, claim)


def test_one_that_is_signed_with_the_secret_of_the_run_is_noted(called: Called) -> None:
    assert called.number() == 0
    answer = called.call({"number": 1})
    assert (answer.status_code, answer.data) == (204, b"")
    assert called.number() == 1
    assert called.call({"number": 7}).status_code == 204
    assert called.number() == 7


@pytest.mark.parametrize("number", [1, 3])
def test_one_that_is_repeated_or_overtaken_is_refused(called: Called, number: int) -> None:
    assert called.call({"number": 3}).status_code == 204
    again = called.call({"number": number})
    assert (again.status_code, again.get_json()["code"]) == (409, "callback_repeated")
    assert called.number() == 3


def test_one_that_is_forged_is_refused(called: Called) -> None:
    other = called.secret_of("999999-1-1")
    for answer in (
        called.call({"number": 1}, secret=other),
        called.call({"number": 1}, sent='{"number": 2}'),
        called.call({"number": 1}, run="999999-1-1"),
    ):
        assert (answer.status_code, answer.get_json()["code"]) == (401, "bad_signature")
    bare = called.world.client().post(f"/api/v1/targets/callbacks/{called.run}", json={"number": 1})
    assert bare.status_code == 401
    assert called.number() == 0


@pytest.mark.parametrize("minutes", [-6, 6])
def test_one_that_is_old_or_of_another_time_is_refused(called: Called, minutes: int) -> None:
    answer = called.call({"number": 1}, at=datetime.now(UTC) + timedelta(minutes=minutes))
    assert answer.status_code == 401
    assert "signed more than 300 s from now" in answer.get_json()["detail"]
    assert called.number() == 0


@pytest.mark.parametrize(
    "document", [{}, [], {"number": 0}, {"number": True}, {"number": "1"}, {"number": 1.5}]
)
def test_one_without_a_number_that_grows_is_refused(called: Called, document: Any) -> None:
    assert called.call(document).status_code == 422
    assert called.number() == 0


def test_one_that_is_too_long_is_refused(called: Called) -> None:
    answer = called.call({"number": 1, "why": "x" * callbacks.MOST_BODY_BYTES})
    assert answer.status_code == 422
    assert called.number() == 0


def test_of_a_run_that_is_over_or_was_never_there_nobody_hears(called: Called) -> None:
    with called.world.database.transaction() as session:
        attempts.finish(session, called.claim, Ended(Outcome.SUCCEEDED, 0), None)
    assert called.call({"number": 1}).status_code == 404
    run = "888888-8-8"
    assert called.call({"number": 1}, run=run, secret=called.secret_of(run)).status_code == 404
    assert called.call({"number": 1}, run="what").status_code == 404


def test_who_follows_the_run_is_woken_and_a_shutdown_is_not_forgotten_over_it(called: Called) -> None:
    keeper = LeaseKeeper(called.world.database, lease_seconds=60)
    hold = keeper.hold(called.claim, claimed_at=clock.monotonic())
    keeper.start(at_the_edge)
    assert called.call({"number": 1}).status_code == 204
    assert hold.woken.wait(20)
    hold.heard()
    assert not hold.woken.is_set()
    assert not (hold.stopping or hold.lost or hold.cancelling)
    keeper.end_slices()
    hold.heard()
    assert hold.woken.is_set()
    assert hold.stopping
    keeper.drop(hold)


def test_without_web_s_address_nobody_is_told_to_call(world: ApiWorld) -> None:
    assert callbacks.of_run(world.settings, "1-1-1") is None
