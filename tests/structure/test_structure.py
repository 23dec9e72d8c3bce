"""Facts about the tree itself: what would otherwise drift apart without anybody noticing."""

import ast
import configparser
from pathlib import Path

import pytest
import yaml
from alembic.config import Config
from alembic.script import ScriptDirectory

from orchestrator.domain import errors
from orchestrator.embedded import processes
from orchestrator.embedded.processes import Site
from orchestrator.tasks import QueueName, TaskName

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(
    path
    for folder in ("orchestrator", "api", "stream", "workers", "tests")
    for path in (ROOT / folder).rglob("*.py")
)
CODE = [path for path in SOURCES if "tests" not in path.relative_to(ROOT).parts]
MOST_LINES = 400


def names(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SOURCES, ids=names)
def test_no_file_is_over_400_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MOST_LINES


@pytest.mark.parametrize("path", CODE, ids=names)
def test_every_module_says_what_belongs_there(path: Path) -> None:
    if path.read_text().strip():
        assert ast.get_docstring(ast.parse(path.read_text())), f"{names(path)} has no module docstring"


def test_migrations_have_one_head() -> None:
    script = ScriptDirectory.from_config(Config(ROOT / "migrations" / "alembic.ini"))
    assert len(script.get_heads()) == 1


def _worker_commands() -> dict[str, str]:
    procfile = dict(
        line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines() if ": " in line
    )
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    worker = compose["services"]["worker"]["command"]
    return {
        "Procfile": procfile["worker"],
        "docker-compose.yml": worker if isinstance(worker, str) else " ".join(worker),
    }


@pytest.mark.parametrize("where", ["Procfile", "docker-compose.yml"])
def test_every_queue_has_a_consumer(where: str) -> None:
    words = _worker_commands()[where].split()
    consumed = set(words[words.index("-Q") + 1].split(","))
    assert consumed == set(QueueName)


def test_the_same_processes_run_everywhere() -> None:
    procfile = [line.partition(":")[0] for line in (ROOT / "Procfile").read_text().splitlines()]
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    site = Site(data_dir=ROOT, redis_url="", port=1, stream_port=2, flower_port=3, workers=1, env={})
    ours = {spec.name.rstrip("1") for spec in processes.of(site).services}
    assert set(procfile) - {"release"} == ours
    assert set(compose) - {"postgres", "redis", "migrate"} == ours


def _calls(path: Path) -> list[ast.Call]:
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]


@pytest.mark.parametrize("path", CODE, ids=names)
def test_nothing_waits_in_the_broker(path: Path) -> None:
    """Redis delivers an unacknowledged message again and again once the visibility timeout is over."""
    keywords = {keyword.arg for call in _calls(path) for keyword in call.keywords}
    assert not keywords & {"eta", "countdown"}


def test_every_task_is_named_in_the_one_enum() -> None:
    named = []
    for path in (ROOT / "workers" / "tasks").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                named += [
                    ast.unparse(keyword.value)
                    for decorator in node.decorator_list
                    if isinstance(decorator, ast.Call)
                    for keyword in decorator.keywords
                    if keyword.arg == "name"
                ]
    assert sorted(named) == sorted(f"TaskName.{task.name}" for task in TaskName)


def _broad_excepts(path: Path) -> int:
    broad = {"Exception", "BaseException"}
    count = 0
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.ExceptHandler):
            continue
        caught = {ast.unparse(node.type)} if node.type is not None else broad
        reraises = any(isinstance(inner, ast.Raise) and inner.exc is None for inner in ast.walk(node))
        count += bool(caught & broad) and not reraises
    return count


def test_exceptions_are_caught_broadly_only_at_the_two_edges() -> None:
    found = {names(path): count for path in CODE if (count := _broad_excepts(path))}
    assert set(found) <= {"workers/tasks/shell.py", "api/errors.py"}


def test_only_one_place_commits() -> None:
    commits = [
        names(path)
        for path in CODE
        for call in _calls(path)
        if ast.unparse(call.func).endswith(("session.commit", "s.commit"))
    ]
    assert set(commits) == {"orchestrator/db.py"}


def test_every_error_has_a_message_and_a_name_of_its_own() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    kinds = [kind for kind in kinds if issubclass(kind, errors.OrchestratorError)]
    codes = [kind.code for kind in kinds]
    assert len(codes) == len(set(codes))
    assert all(kind.__doc__ for kind in kinds)


def test_built_in_plugins_use_the_same_door_as_third_parties() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    doors = {name for name in setup["options.entry_points"] if name.startswith("orchestrator.")}
    assert doors == {
        "orchestrator.targets",
        "orchestrator.strategies",
        "orchestrator.checks",
        "orchestrator.traffic",
        "orchestrator.notifications",
    }
