"""What others tell us: GitHub's own example of a signature, and payloads as their documents show them."""

from datetime import UTC, datetime

import pytest

from orchestrator.domain.inbound import Announced, Sender, announced, message_key, mistrust

# https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
GITHUB_SECRET = "It's a Secret to Everybody"
GITHUB_BODY = b"Hello, World!"
GITHUB_SIGNATURE = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
# The vector of Standard Webhooks, which GitLab's signatures follow.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
AT = 1614265330
BODY = b'{"test": 2432232314}'
SIGNED = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": str(AT),
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}


def test_github_s_own_example_is_believed() -> None:
    headers = {"x-hub-signature-256": GITHUB_SIGNATURE}
    assert mistrust(Sender.GITHUB, GITHUB_SECRET, headers, GITHUB_BODY, now=AT) is None


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, GITHUB_BODY),
        ({"x-hub-signature-256": GITHUB_SIGNATURE}, GITHUB_BODY + b"!"),
        ({"x-hub-signature-256": GITHUB_SIGNATURE.removeprefix("sha256=")}, GITHUB_BODY),
        ({"x-hub-signature-256": "sha256=" + "ü" * 64}, GITHUB_BODY),
        ({"x-gitlab-token": GITHUB_SECRET}, GITHUB_BODY),
    ],
)
def test_what_github_did_not_sign_is_not_believed(headers: dict[str, str], body: bytes) -> None:
    assert mistrust(Sender.GITHUB, GITHUB_SECRET, headers, body, now=AT) is not None


@pytest.mark.parametrize("sender", [Sender.GITLAB, Sender.GENERIC])
def test_signed_messages_are_believed_for_five_minutes(sender: Sender) -> None:
    assert mistrust(sender, SECRET, SIGNED, BODY, now=AT + 300) is None
    assert mistrust(sender, SECRET, SIGNED, BODY, now=AT + 301) is not None
    assert mistrust(sender, SECRET, SIGNED, BODY + b" ", now=AT) is not None


def test_gitlab_may_send_the_secret_itself_and_others_may_not() -> None:
    token = {"x-gitlab-token": SECRET}
    assert mistrust(Sender.GITLAB, SECRET, token, BODY, now=AT) is None
    assert mistrust(Sender.GITLAB, SECRET, {"x-gitlab-token": SECRET[:-1]}, BODY, now=AT) is not None
    assert mistrust(Sender.GITLAB, SECRET, {}, BODY, now=AT) is not None
    assert mistrust(Sender.GENERIC, SECRET, token, BODY, now=AT) is not None
    bad = SIGNED | {"webhook-signature": "v1,AAAA"} | token
    assert mistrust(Sender.GITLAB, SECRET, bad, BODY, now=AT) is not None


def test_a_replayed_message_is_known_whatever_stands_in_headers_nobody_signed() -> None:
    first = message_key(Sender.GITHUB, {"x-github-delivery": "a"}, BODY)
    assert message_key(Sender.GITHUB, {"x-github-delivery": "b", "webhook-signature": "c"}, BODY) == first
    assert message_key(Sender.GITHUB, {}, BODY + b" ") != first
    assert message_key(Sender.GENERIC, SIGNED, BODY) == message_key(Sender.GENERIC, SIGNED, b"other")


GITHUB_RELEASE = {
    "action": "published",
    "release": {
        "tag_name": "v1.2.0",
        "html_url": "https://github.com/octocat/shop/releases/tag/v1.2.0",
        "body": "First\x00 line",
        "created_at": "2026-11-20T09:30:00Z",
        "published_at": "2026-11-23T12:00:00Z",
        "draft": False,
        "prerelease": False,
    },
    "repository": {"full_name": "octocat/shop"},
}
GITLAB_RELEASE = {
    "object_kind": "release",
    "action": "create",
    "tag": "v1.2.0",
    "name": "1.2.0",
    "description": "First",
    "url": "https://gitlab.example.com/shop/-/releases/v1.2.0",
    "created_at": "2026-11-23 12:00:00 UTC",
    "commit": {"id": "ee0a3fb", "timestamp": "2026-11-20T20:30:00+11:00"},
}
COMMITTED = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("sender", "headers", "document", "expected"),
    [
        (
            Sender.GITHUB,
            {"x-github-event": "release"},
            GITHUB_RELEASE,
            Announced(
                "v1.2.0", "https://github.com/octocat/shop/releases/tag/v1.2.0", "First line", COMMITTED
            ),
        ),
        (Sender.GITHUB, {"x-github-event": "push"}, GITHUB_RELEASE, None),
        (Sender.GITHUB, {"x-github-event": "release"}, GITHUB_RELEASE | {"action": "created"}, None),
        (Sender.GITHUB, {"x-github-event": "release"}, GITHUB_RELEASE | {"release": None}, None),
        (Sender.GITHUB, {"x-github-event": "ping"}, {"zen": "x"}, None),
        (
            Sender.GITLAB,
            {},
            GITLAB_RELEASE,
            Announced("v1.2.0", "https://gitlab.example.com/shop/-/releases/v1.2.0", "First", COMMITTED),
        ),
        (Sender.GITLAB, {}, GITLAB_RELEASE | {"action": "update"}, None),
        (Sender.GITLAB, {}, GITLAB_RELEASE | {"tag": 7}, None),
        (
            Sender.GENERIC,
            {},
            {"type": "release.published", "data": {"version": "1.2.0"}},
            Announced("1.2.0", "", ""),
        ),
        (
            Sender.GENERIC,
            {},
            {"type": "release.published", "data": {"version": "1", "committed_at": "2026-11-20T09:30:00Z"}},
            Announced("1", "", "", COMMITTED),
        ),
        (Sender.GENERIC, {}, {"type": "release.removed", "data": {"version": "1.2.0"}}, None),
        (Sender.GENERIC, {}, {"type": "release.published", "data": "1.2.0"}, None),
        (Sender.GENERIC, {}, ["release.published"], None),
    ],
)
def test_what_announces_a_release(
    sender: Sender, headers: dict[str, str], document: object, expected: Announced | None
) -> None:
    assert announced(sender, headers, document) == expected


@pytest.mark.parametrize("said", ["yesterday", "2026-11-20T09:30:00", "2026-11-20 12:00:00 UTC", 7, None, {}])
def test_a_release_is_announced_also_where_its_commit_has_no_time(said: object) -> None:
    data = {"version": "1.2.0", "committed_at": said}
    found = announced(Sender.GENERIC, {}, {"type": "release.published", "data": data})
    assert found == Announced("1.2.0", "", "", None)


@pytest.mark.parametrize(
    ("tag", "prefix", "version"),
    [
        ("v1.2.0", "v", "1.2.0"),
        ("1.2.0", "v", "1.2.0"),
        ("shop-1.2.0", "shop-", "1.2.0"),
        ("v1.2.0", "", "v1.2.0"),
        ("release/1", "v", None),
        ("", "v", None),
        ("v" * 200, "", None),
    ],
)
def test_the_version_of_a_tag(tag: str, prefix: str, version: str | None) -> None:
    assert Announced(tag, "", "").version(prefix) == version
