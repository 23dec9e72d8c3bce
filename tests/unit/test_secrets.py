"""Where a worker finds secrets, and which files it refuses."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from workers.secrets import SecretUnusableError, read_secrets


def write(file: Path, data: bytes, mode: int = 0o600) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    file.chmod(mode)


def read(folder: Path, *names: str) -> dict[str, str]:
    return read_secrets(folder, application="shop", environment="production", names=names)


def test_an_environments_own_secret_comes_first(tmp_path: Path) -> None:
    write(tmp_path / "shop" / "TOKEN", b"for all\n")
    write(tmp_path / "shop" / "PASSWORD", b"for the others")
    write(tmp_path / "shop" / "production" / "PASSWORD", b"for production \n\n")
    assert read(tmp_path, "TOKEN", "PASSWORD") == {"TOKEN": "for all", "PASSWORD": "for production \n"}


@pytest.mark.parametrize(
    ("data", "mode", "why"),
    [
        (b"hunter22", 0o604, "chmod 600"),
        (b"\xff\xfe\x00\x01", 0o600, "not text in UTF-8"),
        (b"x" * 32_769, 0o600, "at most 32768 bytes"),
        (b"nul\0inside", 0o600, "no NUL"),
        (b"abc\n", 0o600, "fewer than 4 characters"),
    ],
)
def test_a_file_that_cannot_be_a_secret_is_refused(tmp_path: Path, data: bytes, mode: int, why: str) -> None:
    write(tmp_path / "shop" / "TOKEN", data, mode)
    with pytest.raises(SecretUnusableError, match=why):
        read(tmp_path, "TOKEN")


def test_a_missing_secret_says_where_it_belongs(tmp_path: Path) -> None:
    with pytest.raises(SecretUnusableError, match="shop/production/TOKEN"):
        read(tmp_path, "TOKEN")


def test_a_folder_that_the_worker_may_not_look_into_is_said(tmp_path: Path) -> None:
    write(tmp_path / "shop" / "TOKEN", b"hunter22")
    (tmp_path / "shop").chmod(0)
    with as_nobody_special(), pytest.raises(SecretUnusableError, match="Permission denied"):
        read(tmp_path, "TOKEN")
    (tmp_path / "shop").chmod(0o700)


@contextmanager
def as_nobody_special() -> Iterator[None]:
    """To root no folder is closed."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
