"""The documents say what is so: settings, error codes, commands, links, decisions, words."""

import configparser
import importlib
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import MISSING, fields
from http import HTTPStatus
from pathlib import Path

import click
import pytest

import api
import orchestrator
import stream
from orchestrator import settings_page
from orchestrator.cli import main
from orchestrator.config import Settings
from orchestrator.domain.errors import OrchestratorError
from orchestrator.domain.telling import KINDS
from orchestrator.presenting.problems import status_of

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
DECISIONS = sorted((DOCS / "adr").glob("[0-9]*.md"))
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])

LINK = re.compile(r"\]\(([^()\s]+)\)")
FENCED = re.compile(r"^```.*?^```$", re.M | re.S)
INDENTED = re.compile(r"^ {4,}.*$", re.M)
INLINE = re.compile(r"`[^`\n]*`")
# The package of these runs only at the one who starts it, and never answers a request.
OWN_ERRORS = ("orchestrator.cli", "orchestrator.client", "orchestrator.embedded")


def names(path: Path) -> str:
    return str(path.relative_to(ROOT))


def rows(page: str) -> list[list[str]]:
    """The cells of every table row of a page, without the heads and rules of the tables."""
    found = [line for line in (DOCS / page).read_text().splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in found]


def first_cells(page: str) -> set[str]:
    return {name for row in rows(page) for name in re.findall(r"`([^`]+)`", row[0])}


def _default(value: object) -> str:
    if value is MISSING:
        return "required"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if value == "":
        return "empty"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def test_every_setting_is_documented_with_its_default() -> None:
    documented = {row[0].strip("`"): row[1] for row in rows("settings.md")}
    assert {
        field.name.upper(): _default(field.default) for field in fields(Settings)
    }.items() <= documented.items()


def test_the_reference_of_settings_is_as_the_code_has_it() -> None:
    page = (DOCS / "settings.md").read_text()
    command = "python -m orchestrator.settings_page docs/settings.md"
    assert settings_page.write_into(page) == page, f"run {command}"
    assert command in page


def _modules_that_answer() -> Iterator[str]:
    for package in (api, stream, orchestrator):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.startswith((*OWN_ERRORS, "orchestrator.testing")):
                yield module.name


def _kinds(family: type[OrchestratorError]) -> Iterator[type[OrchestratorError]]:
    for kind in family.__subclasses__():
        yield kind
        yield from _kinds(kind)


def _error_codes() -> dict[str, HTTPStatus]:
    """Every code with which a request may be answered, and its status."""
    for name in _modules_that_answer():
        if name not in {"api.wsgi", "api.migrating"}:  # they make the application, which needs settings
            importlib.import_module(name)
    kinds = [kind for kind in _kinds(OrchestratorError) if not kind.__module__.startswith(OWN_ERRORS)]
    statuses = {kind.code: status_of(kind.__new__(kind)) for kind in kinds}
    return {
        code: status for code, status in statuses.items() if status is not HTTPStatus.INTERNAL_SERVER_ERROR
    }


def test_every_error_code_is_documented_with_its_status() -> None:
    documented = {row[0].strip("`"): row[1] for row in rows("api.md") if row[1].isdigit()}
    expected = {code: str(int(status)) for code, status in _error_codes().items()} | {"internal_error": "500"}
    assert expected.items() <= documented.items()


def _commands(group: click.Group, before: str = "") -> Iterator[str]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from _commands(command, f"{before}{name} ")
        else:
            yield before + name


def test_every_command_is_documented() -> None:
    assert set(_commands(main)) <= first_cells("cli.md")


def _anchors(page: Path) -> set[str]:
    """The anchors GitHub makes of the headings of a page."""
    headings = re.findall(r"^#+ +(.+)$", FENCED.sub("", page.read_text()), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    broken = []
    for link in LINK.findall(INLINE.sub("", FENCED.sub("", page.read_text()))):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (anchor and anchor not in _anchors(there)):
            broken.append(link)
    assert not broken


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_words_are_the_projects_own(page: Path) -> None:
    text = page.read_text()
    for code in (FENCED, INDENTED, INLINE):
        text = code.sub("", text)
    assert not re.findall(r"\b(?:jobs?|builds?|stages?|canceled)\b", text, re.I)


def _dependencies() -> set[str]:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    wanted = [setup["options"]["install_requires"], *setup["options.extras_require"].values()]
    return {name for text in wanted for name in re.findall(r"^([A-Za-z0-9._-]+)", text, re.M)}


def test_every_dependency_has_a_decision() -> None:
    decided = {name for page in DECISIONS for name in re.findall(r"`([^`]+)`", page.read_text())}
    assert _dependencies() <= decided


def test_decisions_are_numbered_without_gaps_and_listed() -> None:
    numbers = [int(page.name[:4]) for page in DECISIONS]
    assert numbers == list(range(1, len(numbers) + 1))
    listed = LINK.findall((DOCS / "adr" / "README.md").read_text())
    assert listed == [page.name for page in DECISIONS]


@pytest.mark.parametrize("page", DECISIONS, ids=names)
def test_a_decision_has_its_parts(page: Path) -> None:
    assert re.findall(r"^## (.+)$", page.read_text(), re.M) == ["Context", "Decision", "Consequences"]


def test_every_kind_of_event_is_known_and_documented() -> None:
    """Those that the services record by name; the statuses come from the enums."""
    sources = [path.read_text() for path in (ROOT / "orchestrator" / "services").glob("*.py")]
    groups = {kind.partition(".")[0] for kind in KINDS}
    named = set(re.findall(rf'"((?:{"|".join(sorted(groups))})\.[a-z_]+)"', "\n".join(sources)))
    recorded = set(
        re.findall(r'record\(\s*(?:session,\s*f?"[^"]*",\s*)?"([a-z_]+\.[a-z_]+)"', "\n".join(sources))
    )
    assert recorded
    assert named | recorded <= KINDS
    page = (DOCS / "webhooks.md").read_text()
    documented = set(re.findall(r"`([a-z_]+)`", page))
    assert {part for kind in KINDS for part in kind.split(".")} <= documented
