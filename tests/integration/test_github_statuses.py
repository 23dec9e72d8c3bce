"""What happens to deployments is reported to GitHub, as GitHub's documents say."""

from collections.abc import Iterator

import pytest

from orchestrator.domain.errors import InvalidInputError
from orchestrator.domain.statuses import Outcome
from orchestrator.services import deployments, webhooks
from tests.github_server import REPOSITORY, TOKEN, Github, github_server
from tests.integration.webhook_world import WebhookWorld, hooks

__all__ = ["hooks"]


@pytest.fixture
def github() -> Iterator[Github]:
    with github_server() as found:
        yield found


def report(hooks: WebhookWorld, github: Github, **more: str) -> int:
    settings = {"repository": REPOSITORY, "token": TOKEN, "api_url": github.server.url, **more}
    webhook, secret = hooks.make("deployment.*", kind="github", settings=settings)
    assert secret == ""
    return webhook


def tell_all(hooks: WebhookWorld) -> None:
    while due := hooks.tick():
        assert len(due) == 1  # in their order
        hooks.tell(*due)


def test_a_deployment_is_followed_from_its_request_to_its_end(hooks: WebhookWorld, github: Github) -> None:
    report(hooks, github)
    hooks.world.release("1.2.0")
    deployment = hooks.world.request("1.2.0")
    hooks.world.run_to_end(deployment)
    tell_all(hooks)
    (made,) = github.deployments
    assert (made["ref"], made["environment"], made["payload"]) == (
        "v1.2.0",
        "staging",
        {"deployment_id": deployment},
    )
    assert (made["auto_merge"], made["required_contexts"]) == (False, [])
    assert github.states() == ["queued", "in_progress", "success"]
    assert {row.status for row in hooks.rows()} == {"delivered"}


@pytest.mark.parametrize("end", ["failed", "cancelled"])
def test_other_ends(hooks: WebhookWorld, github: Github, end: str) -> None:
    report(hooks, github)
    hooks.world.release("1.2.0")
    deployment = hooks.world.request("1.2.0")
    if end == "failed":
        hooks.world.run_to_end(deployment, {"web-a": Outcome.FAILED})
    else:
        with hooks.world.database.transaction() as session:
            deployments.cancel(session, deployment, actor=hooks.world.actor, reason="x" * 300)
    assert hooks.world.status(deployment) == end
    tell_all(hooks)
    assert github.states()[-1] == {"failed": "failure", "cancelled": "error"}[end]


def test_what_comes_after_the_end_changes_nothing(hooks: WebhookWorld, github: Github) -> None:
    report(hooks, github)
    hooks.world.release("1.2.0")
    hooks.world.run_to_end(hooks.world.request("1.2.0"))
    tell_all(hooks)
    hooks.world.execute(
        "UPDATE deliveries SET status = 'pending', next_at = clock_timestamp(), delivered_at = NULL"
    )
    tell_all(hooks)
    assert len(github.deployments) == 1
    assert github.states() == ["queued", "in_progress", "success", "success"]


def test_a_tag_that_is_not_there_is_said(hooks: WebhookWorld, github: Github) -> None:
    report(hooks, github, tag_prefix="")
    hooks.world.release("1.2.0")
    hooks.world.request("1.2.0")
    hooks.tell()
    (detail,) = hooks.world.column("SELECT detail FROM delivery_tries")
    assert detail == 'status 422: {"message": "No ref found for: 1.2.0"}'
    assert hooks.row().status == "pending"


def test_a_test_shows_whether_the_token_is_good(hooks: WebhookWorld, github: Github) -> None:
    webhook = report(hooks, github)
    bad, _ = hooks.make(
        "*",
        kind="github",
        settings={"repository": REPOSITORY, "token": "wrong", "api_url": github.server.url},
    )
    for each in (webhook, bad):
        with hooks.world.database.transaction() as session:
            webhooks.try_out(session, each, actor=hooks.world.actor)
    tests = hooks.world.column("SELECT id FROM deliveries WHERE event_id IS NULL ORDER BY id")
    hooks.tick()
    hooks.tell(*[int(str(each)) for each in tests])
    shown = hooks.world.column("SELECT code FROM delivery_tries ORDER BY id")
    assert shown == [200, 401]


def test_the_token_is_kept_sealed_and_said_nowhere(hooks: WebhookWorld, github: Github) -> None:
    report(hooks, github)
    hooks.world.release("9.9.9")
    hooks.world.request("9.9.9")
    hooks.tell()
    for table in ("webhooks", "events", "deliveries", "delivery_tries"):
        assert TOKEN not in str(hooks.world.column(f"SELECT t::text FROM {table} t"))  # noqa: S608


@pytest.mark.parametrize(
    "wrong",
    [
        {"repository": "octocat"},
        {"repository": "../.."},
        {"repository": "octocat/shop/../../user"},
        {"repository": "octocat/shop?x"},
        {"token": "a b"},
        {"token": "a\r\nX-Evil: 1"},
        {"token": ""},
        {"api_url": "http://10.0.0.1/"},
        {"tag_prefix": "x" * 51},
    ],
)
def test_settings_that_cannot_be_are_refused(
    hooks: WebhookWorld, github: Github, wrong: dict[str, str]
) -> None:
    with pytest.raises(InvalidInputError) as refused:
        report(hooks, github, **wrong)
    assert refused.value.problems[0].pointer == f"/settings/{next(iter(wrong))}"
