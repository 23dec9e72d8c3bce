"""Telling webhooks what happened: each once at least, under one id, signed, again until a day has passed."""

from dataclasses import replace
from datetime import timedelta

import pytest
from prometheus_client import REGISTRY
from standardwebhooks import Webhook, WebhookVerificationError

from orchestrator.domain.errors import ConflictError, ForbiddenError, InvalidInputError
from orchestrator.domain.limits import Limits
from orchestrator.repositories import webhooks as rows
from orchestrator.repositories.figures import figures as read_figures
from orchestrator.services import deliveries, housekeeping, webhooks
from tests.integration.webhook_world import PATH, WebhookWorld, hooks
from workers import telling

__all__ = ["hooks"]

# Written down by hand from docs/webhooks.md.
DELAYS = [5, 300, 1800, 7200, 18_000, 36_000, 36_000]


def test_what_happened_is_told_once_and_signed(hooks: WebhookWorld) -> None:
    _, secret = hooks.make("deployment.succeeded", "release.created")
    hooks.answers((204, ""))
    hooks.world.release("1.2.0")
    deployment = hooks.world.request("1.2.0")
    hooks.world.run_to_end(deployment)
    hooks.tell()
    hooks.tell(*[row.id for row in hooks.rows()])
    first, second = hooks.told.got("POST", PATH)
    for sent in (first, second):
        Webhook(secret).verify(sent.body, sent.headers)
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(sent.body + b" ", sent.headers)
    bodies = {sent.json()["type"]: sent.json() for sent in (first, second)}
    told = bodies["deployment.succeeded"]["data"]
    assert {name: told[name] for name in ("application", "version", "environment", "deployment_id")} == {
        "application": "shop",
        "version": "1.2.0",
        "environment": "staging",
        "deployment_id": deployment,
    }
    assert told["data"] == {"from": "running", "to": "succeeded"}
    made = bodies["release.created"]["data"]
    assert (made["application"], made["version"], made["actor"]) == ("shop", "1.2.0", "ada")
    assert {row.status for row in hooks.rows()} == {"delivered"}
    assert first.headers["webhook-id"] == f"evt_{first.json()['data']['event_id']}"
    assert hooks.tick() == []


def test_failures_are_tried_again_for_more_than_a_day_and_then_given_up(hooks: WebhookWorld) -> None:
    webhook, _ = hooks.make("release.created")
    hooks.answers((500, "down"))
    hooks.world.release("1.0")
    found = []
    while True:
        hooks.tell()
        row = hooks.row()
        if row.status != "pending":
            break
        seconds = hooks.world.scalar(
            "SELECT round(extract(epoch FROM next_at - (SELECT max(at) FROM delivery_tries))) FROM deliveries"
        )
        found.append(int(str(seconds)))
        assert hooks.tick() == []
        hooks.let_pass()
    assert found == DELAYS
    assert timedelta(seconds=sum(DELAYS)) > timedelta(days=1)
    assert (row.status, row.tries) == ("dead", 8)
    sent = hooks.told.got("POST", PATH)
    assert len(sent) == 8
    assert len({each.headers["webhook-id"] for each in sent}) == len({each.body for each in sent}) == 1
    with hooks.world.database.transaction() as session:
        assert webhooks.replay_dead(session, webhook, actor=hooks.world.actor) == 1
    hooks.told.answers["POST", PATH] = [(200, "up")]
    hooks.tell()
    assert (hooks.row().status, hooks.row().tries) == ("delivered", 1)
    assert hooks.told.got("POST", PATH)[-1].headers["webhook-id"] == sent[0].headers["webhook-id"]
    details = hooks.world.column("SELECT detail FROM delivery_tries ORDER BY id")
    assert details == ['status 500: "down"'] * 8 + ['status 200: "up"']


def test_how_telling_goes_is_counted(hooks: WebhookWorld) -> None:
    def counted() -> dict[str, float]:
        names = ("delivered", "pending", "dead")
        values = (
            REGISTRY.get_sample_value(
                "release_manager_deliveries_total", {"kind": "webhook", "outcome": name}
            )
            for name in names
        )
        return dict(zip(names, (value or 0.0 for value in values), strict=True))

    def figures() -> tuple[int, int, bool]:
        with hooks.world.database.reading() as session:
            row = read_figures(session, silent_seconds=15)
        return row.open_deliveries, row.dead_deliveries, 3600 <= row.delivery_seconds < 4000

    before = counted()
    hooks.make("release.created")
    hooks.answers((500, ""), (204, ""), (410, ""))
    hooks.world.release("1.2.0")
    hooks.tell()
    hooks.world.execute("UPDATE deliveries SET created_at = created_at - interval '1 hour'")
    assert figures() == (1, 0, True)
    hooks.let_pass()
    hooks.tell()
    assert figures() == (0, 0, False)
    hooks.world.release("1.2.1")
    hooks.tell()
    assert figures() == (0, 1, False)
    assert {name: value - before[name] for name, value in counted().items()} == {
        "delivered": 1,
        "pending": 1,
        "dead": 1,
    }


def test_a_receiver_may_ask_for_more_time_but_not_for_less(hooks: WebhookWorld) -> None:
    hooks.make("release.created")
    hooks.answers((429, "", {"Retry-After": "120"}), (503, "", {"Retry-After": "1"}))
    hooks.world.release("1.0")
    wait = "SELECT round(extract(epoch FROM next_at - (SELECT max(at) FROM delivery_tries))) FROM deliveries"
    hooks.tell()
    assert hooks.world.scalar(wait) == 120
    hooks.let_pass()
    hooks.tell()
    assert hooks.world.scalar(wait) == 300


def test_gone_is_told_nothing_more(hooks: WebhookWorld) -> None:
    webhook, _ = hooks.make("release.created")
    hooks.answers((410, "moved away"))
    hooks.world.release("1.0")
    hooks.world.release("2.0")
    hooks.tell(hooks.tick()[0])
    assert [row.status for row in hooks.rows()] == ["dead", "dead"]
    with hooks.world.database.reading() as session:
        assert rows.get(session, webhook).disabled_because == 'it answered: status 410: "moved away"'
    hooks.world.release("3.0")
    hooks.tell()
    assert len(hooks.told.requests) == 1
    assert hooks.world.scalar("SELECT count(*) FROM events WHERE kind = 'webhook.disabled'") == 1
    with pytest.raises(ConflictError), hooks.world.database.transaction() as session:
        webhooks.try_out(session, webhook, actor=hooks.world.actor)


def test_a_message_that_comes_twice_is_one_try(hooks: WebhookWorld) -> None:
    hooks.make("release.created")
    hooks.world.release("1.0")
    (delivery,) = hooks.tick()
    with hooks.world.database.transaction() as session:
        assert deliveries.claim(session, delivery) is not None
    with hooks.world.database.transaction() as session:
        assert deliveries.claim(session, delivery) is None


def test_a_worker_that_dies_is_followed_by_another_under_the_same_id(hooks: WebhookWorld) -> None:
    hooks.make("release.created")
    hooks.answers((200, ""))
    hooks.world.release("1.0")
    (delivery,) = hooks.tick()
    with hooks.world.database.transaction() as session:
        dead = deliveries.claim(session, delivery)
    assert dead is not None
    assert hooks.tick() == []
    hooks.let_pass()
    assert hooks.tick() == [delivery]
    hooks.tell(delivery)
    assert hooks.row().status == "delivered"
    assert hooks.told.requests[0].headers["webhook-id"] == dead.message.id
    failed = deliveries.Receipt(deliveries.Verdict.FAILED, "too late")
    with hooks.world.database.transaction() as session:
        deliveries.finish(session, dead, failed, milliseconds=1)
    assert hooks.row().status == "delivered"
    assert hooks.world.scalar("SELECT count(*) FROM delivery_tries") == 1


def test_a_lost_message_is_sent_again(hooks: WebhookWorld) -> None:
    hooks.make("release.created")
    hooks.world.release("1.0")
    hooks.tick()
    telling.hand_out(hooks.ours)
    first = hooks.row().handed_at
    hooks.let_pass()
    telling.hand_out(hooks.ours)
    assert hooks.row().handed_at > first


def test_one_that_never_answers_does_not_hold_up_others(hooks: WebhookWorld) -> None:
    slow, _ = hooks.make("release.created", "step.*")
    for number in range(25):
        hooks.world.release(f"1.{number}")
    assert len(hooks.tick()) == 10
    assert len(hooks.tick()) == 10
    other, _ = hooks.make("lock.*", "release.created")
    hooks.world.release("2.0")
    hooks.tick()
    taken = [row.webhook_id for row in hooks.rows("handed_at IS NOT NULL")]
    assert (taken.count(slow), taken.count(other)) == (10, 1)


def test_a_removed_one_is_told_nothing_and_its_secrets_are_forgotten(hooks: WebhookWorld) -> None:
    webhook, _ = hooks.make("release.created")
    hooks.world.release("1.0")
    (delivery,) = hooks.tick()
    for _ in range(2):
        with hooks.world.database.transaction() as session:
            webhooks.remove(session, webhook, actor=hooks.world.actor)
    hooks.tell(delivery)
    assert (hooks.row().status, hooks.told.requests) == ("dead", [])
    assert hooks.world.scalar("SELECT secrets FROM webhooks") is None
    assert hooks.world.scalar("SELECT count(*) FROM events WHERE kind = 'webhook.removed'") == 1


def test_for_a_day_both_secrets_are_good(hooks: WebhookWorld) -> None:
    webhook, old = hooks.make("release.created")
    hooks.answers((200, ""))
    with hooks.world.database.transaction() as session:
        new = webhooks.rotate(session, webhook, actor=hooks.world.actor, vault=hooks.ours.vault)
    hooks.world.release("1.0")
    hooks.tell()
    for secret in (old, new):
        Webhook(secret).verify(hooks.told.requests[0].body, hooks.told.requests[0].headers)
    with hooks.world.database.transaction() as session:
        kept = hooks.ours.vault.open(bytes(rows.get(session, webhook).secrets))
        kept["rotated_at"] -= 86_400
        rows.reseal(session, webhook, hooks.ours.vault.seal(kept))
    hooks.world.release("2.0")
    hooks.tell()
    last = hooks.told.requests[1]
    Webhook(new).verify(last.body, last.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(old).verify(last.body, last.headers)


def test_no_secret_is_in_the_database_or_in_what_happened(hooks: WebhookWorld) -> None:
    webhook, secret = hooks.make("*")
    with hooks.world.database.transaction() as session:
        second = webhooks.rotate(session, webhook, actor=hooks.world.actor, vault=hooks.ours.vault)
    for table in ("webhooks", "events", "deliveries"):
        for row in hooks.world.column(f"SELECT t::text FROM {table} t"):  # noqa: S608
            for each in (secret, second):
                assert each.removeprefix("whsec_")[:16] not in str(row)
                assert each.encode().hex() not in str(row)


def test_another_secret_key_is_said_and_not_guessed(hooks: WebhookWorld) -> None:
    webhook, _ = hooks.make("release.created")
    hooks.world.release("1.0")
    hooks.ours = replace(hooks.ours, settings=replace(hooks.settings, secret_key="another" * 8))
    hooks.tell()
    assert hooks.told.requests == []
    assert hooks.world.column("SELECT detail FROM delivery_tries") == [
        "it cannot be sent: What was kept under SECRET_KEY cannot be read: it was another one then."
    ]
    with (
        pytest.raises(ConflictError, match="Make the webhook anew"),
        hooks.world.database.transaction() as session,
    ):
        webhooks.rotate(session, webhook, actor=hooks.world.actor, vault=hooks.ours.vault)


def test_a_test_is_told_at_once(hooks: WebhookWorld) -> None:
    webhook, secret = hooks.make("lock.created")
    hooks.answers((200, ""))
    with hooks.world.database.transaction() as session:
        webhooks.try_out(session, webhook, actor=hooks.world.actor)
    hooks.tell()
    (sent,) = hooks.told.requests
    Webhook(secret).verify(sent.body, sent.headers)
    assert (sent.json()["type"], sent.headers["webhook-id"]) == ("webhook.test", f"test_{hooks.row().id}")


def test_old_ones_are_forgotten_with_their_tries_and_waiting_ones_are_not(hooks: WebhookWorld) -> None:
    hooks.make("release.created")
    hooks.answers((200, ""), (500, ""))
    for version in ("1.0", "2.0", "3.0"):
        hooks.world.release(version)
    first, second, _ = hooks.tick()
    hooks.tell(first, second)
    hooks.world.execute(
        "UPDATE deliveries SET created_at = created_at - interval '31 days' WHERE id <= :id", id=second
    )
    with hooks.world.database.transaction() as session:
        housekeeping.sweep(session, hooks.settings)
    assert next(row.id for row in hooks.rows()) == second
    assert hooks.world.scalar("SELECT count(*) FROM delivery_tries") == 1


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://example.com/", "must begin with"),
        ("http://user:password@example.com/", "must not hold"),
        ("http://127.0.0.1:1/", "is this machine"),
        ("http://[::1]/", "is this machine"),
        ("http://169.254.169.254/latest/meta-data/", "is link-local"),
        ("http://10.0.0.1/", "is private"),
        ("file:///etc/passwd", "must begin with"),
        ("http://", "must begin with"),
        (7, "must be a URL"),
    ],
)
def test_a_url_that_must_not_be_called_is_refused(hooks: WebhookWorld, url: object, why: str) -> None:
    hooks.settings = replace(hooks.settings, webhook_allowed_networks="")
    with pytest.raises(InvalidInputError) as refused:
        hooks.make("*", settings={"url": url})
    (problem,) = refused.value.problems
    assert problem.pointer == "/settings/url"
    assert why in problem.detail
    assert "password" not in problem.detail.replace("a user and a password", "")


def test_a_name_that_leads_home_is_found_out_when_it_is_called(hooks: WebhookWorld) -> None:
    port = hooks.told.url.rpartition(":")[2]
    hooks.make("release.created", settings={"url": f"http://localhost:{port}{PATH}"})
    hooks.world.release("1.0")
    hooks.ours = replace(hooks.ours, settings=replace(hooks.settings, webhook_allowed_networks=""))
    hooks.tell()
    assert hooks.told.requests == []
    (detail,) = hooks.world.column("SELECT detail FROM delivery_tries")
    assert str(detail).startswith("localhost is not called: ")


def test_events_that_cannot_be_are_refused(hooks: WebhookWorld) -> None:
    for wrong in ("deployment.success", "nothing.*", "deployment"):
        with pytest.raises(InvalidInputError):
            hooks.make(wrong)


def test_it_is_a_persons_and_for_others_within_their_limits(hooks: WebhookWorld) -> None:
    webhook, _ = hooks.make("*", applications=["shop"])
    person = hooks.world.actor
    hooks.world.actor = replace(person, limits=Limits.of(["operate"], [], []))
    with pytest.raises(ForbiddenError):
        hooks.make("*")
    for applications, may in ((["shop"], True), (["other"], False)):
        machine = replace(person, limits=Limits.of(["operate"], applications, []))
        with hooks.world.database.transaction() as session:
            if may:
                webhooks.try_out(session, webhook, actor=machine)
                continue
            with pytest.raises(ForbiddenError):
                webhooks.try_out(session, webhook, actor=machine)
