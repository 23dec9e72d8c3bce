"""Signatures of webhooks as https://www.standardwebhooks.com says: HMAC-SHA256 over id, time and body."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence

PREFIX = "whsec_"
VERSION = "v1"
TOLERANCE_SECONDS = 300
"""How far the time of a message may be from ours, either way."""
KEY_BYTES = (24, 64)
MOST_SIGNATURES = 10
_MOST_HEADER_CHARACTERS = 2000


def write_secret(key: bytes) -> str:
    """A secret as it is shown to people."""
    return PREFIX + base64.b64encode(key).decode()


def read_secret(secret: str) -> bytes:
    """The key in a secret, which is 24 to 64 bytes. Raises ValueError for anything else."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError(f"must be {PREFIX} and base64") from error
    if not KEY_BYTES[0] <= len(key) <= KEY_BYTES[1]:
        raise ValueError(f"must hold {KEY_BYTES[0]} to {KEY_BYTES[1]} bytes, not {len(key)}")
    return key


def sign(keys: Sequence[bytes], *, message_id: str, timestamp: int, body: bytes) -> str:
    """What `webhook-signature` says: one signature a key, so that a receiver may know the old secret or the new one."""
    return " ".join(f"{VERSION},{_signature(key, message_id, timestamp, body)}" for key in keys)


def headers(keys: Sequence[bytes], *, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers of a message."""
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(keys, message_id=message_id, timestamp=timestamp, body=body),
    }


def verify(keys: Sequence[bytes], given: Mapping[str, str], body: bytes, *, now: int) -> str | None:
    """Why a message is not to be believed; None where it is. `given`: its headers by their names in small letters."""
    message_id, sent = given.get("webhook-id", ""), given.get("webhook-timestamp", "")
    signatures = given.get("webhook-signature", "")[:_MOST_HEADER_CHARACTERS].split()[:MOST_SIGNATURES]
    if not message_id or not signatures:
        return "it is not signed: webhook-id, webhook-timestamp and webhook-signature are needed"
    if not (sent.isascii() and sent.isdigit() and len(sent) <= 12):
        return "webhook-timestamp must be seconds since 1970"
    if abs(now - int(sent)) > TOLERANCE_SECONDS:
        return f"it was signed more than {TOLERANCE_SECONDS} s from now"
    good = [f"{VERSION},{_signature(key, message_id, int(sent), body)}" for key in keys]
    fits = [hmac.compare_digest(ours.encode(), theirs.encode()) for ours in good for theirs in signatures]
    return None if any(fits) else "its signature does not fit"


def _signature(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    signed = f"{message_id}.{timestamp}.".encode() + body
    return base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
