"""The web UI's files: what is vendored is what its list says, and nothing on a page comes from elsewhere or stands inline."""

import hashlib
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STATIC = ROOT / "api" / "dashboard" / "static"
FOLDERS = (ROOT / "api" / "dashboard", ROOT / "orchestrator" / "presenting" / "pages")
TEMPLATES = sorted(path for folder in FOLDERS for path in (folder / "templates" / "dashboard").glob("*.html"))
SCRIPTS = sorted(STATIC.glob("*.js"))
VENDORED = [STATIC / "vendor", ROOT / "tests" / "browser" / "vendor"]


@pytest.mark.parametrize("folder", VENDORED, ids=lambda path: str(path.relative_to(ROOT)))
def test_vendored_files_are_those_of_the_list(folder: Path) -> None:
    listed = json.loads((folder / "manifest.json").read_text())
    for each in listed:
        content = (folder / each["file"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == each["sha256"], each["file"]
        assert each["version"] in each["file"]
        assert (folder / each["licence_file"]).read_text().strip()
    named = {each["file"] for each in listed} | {each["licence_file"] for each in listed} | {"manifest.json"}
    assert {path.name for path in folder.iterdir()} == named


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_templates_hold_nothing_inline_and_nothing_from_elsewhere(path: Path) -> None:
    """The Content-Security-Policy of the pages would keep it from working."""
    text = path.read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)", text)
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|hx-on|javascript:", text)
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", text)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_nothing_is_left_unescaped(path: Path) -> None:
    assert not re.search(r"\|\s*safe\b|autoescape", path.read_text())


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_every_form_that_changes_something_brings_its_token(path: Path) -> None:
    forms = re.findall(r"<form[^>]*method=\"post\"[^>]*>(.*?)</form>", path.read_text(), re.S)
    for form in forms:
        if path.name != "login.html":
            assert "token()" in form or 'name="form_token"' in form


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_make_no_code_of_text(path: Path) -> None:
    assert not re.search(r"\beval\(|new Function|document\.write", path.read_text())
