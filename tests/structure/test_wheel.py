"""What is installed from a wheel holds every file that the program reads, not only its modules."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("orchestrator", "api", "stream", "workers", "migrations")
NOT_SHIPPED = (".pyc", ".pyo", "~", ".orig")


def files(package: str) -> set[str]:
    """Everything in the folder of a package that belongs to it, as a path from the project's root."""
    return {
        str(path.relative_to(ROOT))
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.endswith(NOT_SHIPPED)
    }


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """A wheel of the tree as it is, made of links to it, without a network and without touching it."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in (*PACKAGES, "setup.cfg", "pyproject.toml", "README.md", "LICENSE", "celeryconfig.py"):
        (source / name).symlink_to(ROOT / name)
    script = "import sys; from setuptools.build_meta import build_wheel; print(build_wheel(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder)],
        cwd=source,
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return zipfile.ZipFile(folder / done.stdout.splitlines()[-1])


@pytest.mark.parametrize("package", PACKAGES)
def test_every_file_of_a_package_is_in_the_wheel(wheel: zipfile.ZipFile, package: str) -> None:
    assert files(package) <= set(wheel.namelist())


def test_the_wheel_holds_what_is_read_by_name(wheel: zipfile.ZipFile) -> None:
    assert {
        "celeryconfig.py",
        "migrations/alembic.ini",
        "migrations/env.py",
        "migrations/versions/0001_first_tables.py",
        "orchestrator/targets/supervisor.sh",
        "stream/__main__.py",
    } <= set(wheel.namelist())


def test_nothing_else_is_installed_at_the_top(wheel: zipfile.ZipFile) -> None:
    top = {name.partition("/")[0] for name in wheel.namelist()}
    assert {name for name in top if not name.endswith(".dist-info")} == {*PACKAGES, "celeryconfig.py"}
