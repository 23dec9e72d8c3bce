"""From where artifacts may come, and which archives are refused before any host sees them."""

import io
import tarfile
from pathlib import Path

import pytest

from orchestrator.domain.artifacts import is_allowed, why_not_a_file
from workers.archives import ArchiveRefusedError, inspect

SOURCES = ("https://dl.example.com/shop/", "http://10.0.0.7:8081", "file:///srv/artifacts/")


@pytest.mark.parametrize(
    "url",
    [
        "https://dl.example.com/shop/1.tar.gz",
        "https://DL.example.com:443/shop/1.tar.gz",
        "http://10.0.0.7:8081/any/1.tar.gz",
        "file:///srv/artifacts/1.tar.gz",
    ],
)
def test_what_lies_below_a_source_is_allowed(url: str) -> None:
    assert is_allowed(url, SOURCES)


@pytest.mark.parametrize(
    "url",
    [
        "https://dl.example.com/shop-secrets/1.tar.gz",
        "https://dl.example.com.evil.example/shop/1.tar.gz",
        "https://dl.example.com@evil.example/shop/1.tar.gz",
        "https://dl.example.com/shop/../private/1.tar.gz",
        "https://dl.example.com/shop/%2e%2e/private/1.tar.gz",
        "https://dl.example.com:8443/shop/1.tar.gz",
        "http://dl.example.com/shop/1.tar.gz",
        "http://10.0.0.7/1.tar.gz",
        "file:///srv/artifacts-of-others/1.tar.gz",
        "file:///etc/passwd",
        "",
    ],
)
def test_what_does_not_is_refused(url: str) -> None:
    assert not is_allowed(url, SOURCES)


def test_a_source_without_a_host_is_every_host() -> None:
    assert is_allowed("https://anywhere.example/x", ["https://"])
    assert not is_allowed("http://anywhere.example/x", ["https://"])
    assert not is_allowed("https://anywhere.example/x", [])


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("registry/shop:1", "must begin with"),
        ("ftp://a/b", "must begin with"),
        ("https://ann:pw@a/b", "user and a password"),
        ("https:///b", "must name a host"),
        ("file://host/b", "must name a file"),
        ("https://a:x/b", "is not a URL"),
    ],
)
def test_what_no_worker_could_fetch_is_named(url: str, why: str) -> None:
    assert why in (why_not_a_file(url) or "")


def member(name: str, **fields: object) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(made, field, value)
    return made


def archive(path: Path, *members: tarfile.TarInfo, mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as opened:  # type: ignore[call-overload]  # the mode is a text
        for each in members:
            opened.addfile(each, io.BytesIO(b"x" * each.size) if each.isfile() else None)
    return path


def link(name: str, to: str) -> tarfile.TarInfo:
    return member(name, type=tarfile.SYMTYPE, linkname=to)


def folder(name: str) -> tarfile.TarInfo:
    return member(name, type=tarfile.DIRTYPE, mode=0o755)


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_an_ordinary_archive_is_taken(tmp_path: Path, mode: str) -> None:
    members = [
        folder("."),
        folder("bin"),
        member("bin/shop", size=5, mode=0o755),
        link("bin/latest", "shop"),
        link("lib", "./bin"),
        link("bin/up", "../etc/conf"),
        member("hard", type=tarfile.LNKTYPE, linkname="bin/shop"),
        folder("bin"),
    ]
    inspect(archive(tmp_path / "a", *members, mode=mode), most_bytes=1000)


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ([member("../x")], "'../x' leads out"),
        ([member("a/../../x")], "leads out"),
        ([member("/etc/passwd")], "leads out"),
        ([link("out", "/etc")], "the link 'out' leads out"),
        ([link("out", "..")], "the link 'out' leads out"),
        ([link("a/b/out", "../../../x")], "leads out"),
        ([folder("d"), folder("d/e"), link("d/e/x", "../.."), link("l", "d/e/x/../../z")], "leads out"),
        ([link("d", "e"), member("d/x")], "lies below what is no folder"),
        ([member("d"), member("d/x")], "lies below what is no folder"),
        ([member("x"), member("x")], "twice"),
        ([link("x", "y"), member("./x")], "twice"),
        ([member("h", type=tarfile.LNKTYPE, linkname="/etc/passwd")], "hard link"),
        ([member("n", type=tarfile.CHRTYPE)], "neither a file"),
        ([member("p", type=tarfile.FIFOTYPE)], "neither a file"),
        ([member("s", mode=0o4755)], "set-user-id"),
        ([member("big", size=1001)], "more than 1000 bytes"),
        ([member("one", size=600), member("two", size=600)], "more than 1000 bytes"),
        ([], "empty"),
    ],
)
def test_what_may_do_harm_is_refused(tmp_path: Path, members: list[tarfile.TarInfo], why: str) -> None:
    with pytest.raises(ArchiveRefusedError, match=why):
        inspect(archive(tmp_path / "a", *members), most_bytes=1000)


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"hello\n" * 500)
    (tmp_path / "broken").write_bytes(archive(tmp_path / "a", member("x", size=900)).read_bytes()[:-30])
    for name in ("text", "broken"):
        with pytest.raises(ArchiveRefusedError, match="no tar or tar"):
            inspect(tmp_path / name, most_bytes=10_000)
