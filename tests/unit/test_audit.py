"""Exports of what happened: every way to tamper with one is found. Hashes are computed here anew, from the documentation."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain.audit import Seal, verify
from tests.unit.cli_run import Cli


def entry(id_: int, subject: str, seq: int, previous: str, **data: Any) -> dict[str, Any]:
    """An entry with the hash that the documentation says: SHA-256 over the hash before it and canonical JSON."""
    chained = {
        "actor_id": 1,
        "at": "2026-11-23T12:00:00+00:00",
        "data": data,
        "kind": "x.happened",
        "seq": seq,
        "subject": subject,
    }
    canonical = json.dumps(chained, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    digest = hashlib.sha256(bytes.fromhex(previous) + canonical).hexdigest()
    return {**chained, "id": id_, "actor": "ada", "hash": digest}


@pytest.fixture
def entries() -> list[dict[str, Any]]:
    """Two chains, one in the other."""
    a1 = entry(1, "user:1", 1, "", name="ada")
    b1 = entry(2, "deployment:7", 1, "")
    a2 = entry(3, "user:1", 2, a1["hash"], name="Ådå", much=[1, None, {"b": 2, "a": 1.5}])
    b2 = entry(5, "deployment:7", 2, b1["hash"])
    a3 = entry(8, "user:1", 3, a2["hash"])
    return [a1, b1, a2, b2, a3]


def sealed(entries: list[dict[str, Any]]) -> list[bytes]:
    seal = Seal()
    for each in entries:
        seal.add(each)
    return [json.dumps(each).encode() for each in [*entries, seal.document()]]


def says(lines: list[bytes]) -> list[str]:
    return [f"{fault.line}: {fault.says}" for fault in verify(lines)]


def test_what_was_written_is_good(entries: list[dict[str, Any]]) -> None:
    assert says(sealed(entries)) == []
    assert says(sealed([])) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kind", "x.else"),
        ("at", "2026-11-23T12:00:01+00:00"),
        ("at", "yesterday"),
        ("actor_id", 2),
        ("actor_id", None),
        ("data", {"name": "eve"}),
        ("hash", "00" * 32),
        ("hash", "not hex"),
    ],
)
def test_a_changed_entry_is_found_even_under_a_new_seal(
    entries: list[dict[str, Any]], name: str, value: object
) -> None:
    entries[2][name] = value
    assert "3: entry 2 of user:1 was changed: its hash does not fit" in says(sealed(entries))


@pytest.mark.parametrize(("name", "value"), [("actor", "eve"), ("id", 4)])
def test_what_no_hash_covers_is_under_the_seal(
    entries: list[dict[str, Any]], name: str, value: object
) -> None:
    whole = sealed(entries)
    entries[2][name] = value
    whole[2] = json.dumps(entries[2]).encode()
    assert any("the seal is for 5 entries with another digest" in each for each in says(whole))


def test_an_entry_that_is_left_out_is_found(entries: list[dict[str, Any]]) -> None:
    del entries[2]
    assert says(sealed(entries)) == ["4: entry 3 of user:1: entry 2 is missing before it"]


def test_entries_that_change_places_are_found(entries: list[dict[str, Any]]) -> None:
    entries[2], entries[3] = entries[3], entries[2]
    assert says(sealed(entries)) == ["4: entry 2 of user:1 was moved: it stood before the line before it"]
    entries[0], entries[4] = entries[4], entries[0]
    assert any("missing" in each for each in says(sealed(entries)))


def test_an_entry_that_is_there_twice_is_found(entries: list[dict[str, Any]]) -> None:
    assert any("twice" in each for each in says(sealed([*entries, entries[-1]])))


def test_what_is_cut_off_is_found(entries: list[dict[str, Any]]) -> None:
    whole = sealed(entries)
    for kept in range(len(whole)):
        assert any("cut off" in each for each in says(whole[:kept]))
    without_last = [*whole[:4], whole[5]]
    assert says(without_last) == [
        "5: the seal is for 5 entries with another digest; here are 4:"
        " some were added, left out, changed or moved"
    ]


@pytest.mark.parametrize("line", [b"", b"[]", b"null", b"{", b'{"seal": 1}', b'{"id": 1}', b"\xff"])
def test_what_is_no_entry_is_found(entries: list[dict[str, Any]], line: bytes) -> None:
    assert "1: is no entry of an export" in says([line, *sealed(entries)])


def test_nothing_comes_after_the_seal(entries: list[dict[str, Any]]) -> None:
    whole = sealed(entries)
    assert says([*whole, whole[0]])[0].startswith("7: comes after the seal")


def test_an_export_is_written_and_verified(cli: Cli, entries: list[dict[str, Any]]) -> None:
    cli.on("GET", "/audit/", {"items": entries, "next_cursor": None})
    done = cli.run("audit", "export", "out.jsonl")
    assert done.exit_code == 0, done.output
    digest = done.stdout.split()[-1]
    file = Path("out.jsonl")
    assert len(file.read_text().splitlines()) == 6
    good = cli.run("audit", "verify", "out.jsonl", "--digest", digest)
    assert (good.exit_code, good.stdout) == (0, f"5 entries, each as it was written; digest {digest}\n")
    assert cli.run("audit", "verify", "out.jsonl", "--digest", "0" * 64).exit_code == 1
    file.write_text(file.read_text().replace("ada", "eve", 2))
    bad = cli.run("audit", "verify", "out.jsonl")
    assert (bad.exit_code, "line 1" in bad.stdout) == (1, True)
    shown = json.loads(cli.run("audit", "verify", "out.jsonl", "--json").stdout)
    assert shown["faults"][0]["line"] == 1


def test_what_happened_is_listed(cli: Cli, entries: list[dict[str, Any]]) -> None:
    cli.on("GET", "/audit/", {"items": entries[:1], "next_cursor": None})
    assert "x.happened" in cli.run("audit", "list", "--subject", "user:1").stdout
    (sent,) = cli.server.got("GET", "/api/v1/audit/")
    assert sent.query["subject"] == "user:1"
