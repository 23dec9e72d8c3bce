"""Signatures of webhooks: the specification's own vector, and its own library as the judge."""

import json
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook

from orchestrator.domain import standard_webhooks

# The vector of the reference implementations.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
AT = 1614265330
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
OTHER = standard_webhooks.write_secret(b"another key of 32 bytes, exactly")


def given(**changes: str) -> dict[str, str]:
    found = {"webhook-id": ID, "webhook-timestamp": str(AT), "webhook-signature": SIGNATURE}
    return found | {name.replace("_", "-"): value for name, value in changes.items()}


def test_the_vector_of_the_specification() -> None:
    key = standard_webhooks.read_secret(SECRET)
    assert standard_webhooks.sign([key], message_id=ID, timestamp=AT, body=BODY) == SIGNATURE
    assert standard_webhooks.verify([key], given(), BODY, now=AT) is None


@pytest.mark.parametrize("secret", [SECRET, OTHER])
def test_a_message_signed_with_two_secrets_is_believed_by_who_knows_either(secret: str) -> None:
    keys = [standard_webhooks.read_secret(each) for each in (OTHER, SECRET)]
    now = int(datetime.now(UTC).timestamp())
    headers = standard_webhooks.headers(keys, message_id=ID, timestamp=now, body=BODY)
    assert Webhook(secret).verify(BODY, headers) == json.loads(BODY)


def test_what_the_library_signs_is_believed() -> None:
    at = datetime.fromtimestamp(AT, UTC)
    signed = Webhook(OTHER).sign(ID, at, BODY.decode())
    keys = [standard_webhooks.read_secret(each) for each in (SECRET, OTHER)]
    assert standard_webhooks.verify(keys, given(webhook_signature=signed), BODY, now=AT) is None


@pytest.mark.parametrize(
    ("changes", "body", "now"),
    [
        ({}, BODY + b" ", AT),
        ({"webhook_id": "msg_other"}, BODY, AT),
        ({"webhook_timestamp": str(AT + 1)}, BODY, AT),
        ({}, BODY, AT + 301),
        ({}, BODY, AT - 301),
        ({"webhook_signature": ""}, BODY, AT),
        ({"webhook_signature": SIGNATURE.replace("v1,", "v2,")}, BODY, AT),
        ({"webhook_signature": "v1,ä"}, BODY, AT),
        ({"webhook_timestamp": "١٦"}, BODY, AT),
        ({"webhook_timestamp": "-1"}, BODY, AT),
        ({"webhook_timestamp": "9" * 5000}, BODY, AT),
        ({"webhook_id": ""}, BODY, AT),
    ],
)
def test_what_does_not_fit_is_not_believed(changes: dict[str, str], body: bytes, now: int) -> None:
    key = standard_webhooks.read_secret(SECRET)
    assert standard_webhooks.verify([key], given(**changes), body, now=now) is not None


def test_the_tolerance_is_five_minutes() -> None:
    key = standard_webhooks.read_secret(SECRET)
    for now in (AT - 300, AT + 300):
        assert standard_webhooks.verify([key], given(), BODY, now=now) is None


@pytest.mark.parametrize("wrong", ["", "whsec_", "whsec_AAAA", "whsec_!!!!", "whsec_" + "A" * 1000, "ä" * 40])
def test_a_secret_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"must|ASCII"):
        standard_webhooks.read_secret(wrong)
