"""What is kept for others under SECRET_KEY."""

import hashlib

import orjson

from orchestrator.security import Vault

SETTINGS = {"url": "https://hooks.example/secret", "to": ["ada"]}


def test_a_fingerprint_says_what_is_the_same_and_nothing_to_who_has_not_the_key() -> None:
    ours, others = Vault("one secret key of at least 32 bytes"), Vault("another secret key of 32 bytes..")
    again = dict(reversed(SETTINGS.items()))
    assert ours.fingerprint(SETTINGS) == ours.fingerprint(again)
    assert ours.fingerprint(SETTINGS) != ours.fingerprint({**SETTINGS, "to": ["ben"]})
    assert ours.fingerprint(SETTINGS) != others.fingerprint(SETTINGS)
    plain = {hashlib.sha256(orjson.dumps(each)).hexdigest() for each in (SETTINGS, again)}
    assert ours.fingerprint(SETTINGS) not in plain
