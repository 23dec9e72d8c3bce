"""Ten thousand targets cost no more statements than twenty, and no answer grows with them."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, event

from orchestrator.domain.statuses import Outcome
from orchestrator.services import attempts
from orchestrator.services.attempts import Ended
from tests.integration.api_world import ApiWorld, world
from tests.integration.engine_world import worker

__all__ = ["world"]

FEW, MANY = 20, 10_000
"""Of the few, too, more are in a wave than may run side by side: what ends lets another begin."""
PAGE = 100
LARGEST_ANSWER_BYTES = 64 * 1024


@pytest.fixture
def statements() -> Iterator[list[str]]:
    """Every statement of this thread; executemany counts as many. Another one asks now and then whether Postgres is there."""
    seen: list[str] = []
    asking = threading.get_ident()

    def note(_conn: Any, _cursor: Any, statement: str, params: Any, _context: Any, many: bool) -> None:
        if threading.get_ident() == asking:
            seen.extend([statement] * (len(params) if many else 1))

    event.listen(Engine, "before_cursor_execute", note)
    yield seen
    event.remove(Engine, "before_cursor_execute", note)


def pipeline(name: str, targets: int) -> str:
    listed = "".join(f"      - {{name: h{number:05}, kind: noop}}\n" for number in range(targets))
    return (
        f"application: {name}\nenvironments:\n  lab:\n    strategy: {{kind: rolling, batch: 25%, max_parallel: 3}}\n"
        f'    targets:\n{listed}deploy:\n  - run: "true"\n'
    )


def costs(world: ApiWorld, statements: list[str], targets: int) -> tuple[dict[str, int], int]:
    """How many statements each thing takes with so many targets, and the deployment."""
    name, found = f"fleet-{targets}", {}

    def counted(what: str, do: Callable[[], Any]) -> Any:
        before = len(statements)
        result = do()
        found[what] = len(statements) - before
        return result

    def transaction(do: Callable[[Any], Any]) -> Any:
        with world.database.transaction() as session:
            return do(session)

    assert counted("apply", lambda: world.apply(name, pipeline(name, targets))).status_code == 201
    assert (
        counted("apply again", lambda: world.apply(name, pipeline(name, targets) + "#\n")).status_code == 200
    )
    assert world.admin.post("/releases/", json={"name": name, "version": "1"}).status_code == 201
    order = {"application": name, "version": "1", "environment": "lab"}
    counted("plan", lambda: world.admin.post("/deployments/?dry_run=true", json=order))
    made = counted("request", lambda: world.admin.post("/deployments/", json=order)).get_json()["id"]
    claim = counted("advance", lambda: transaction(lambda s: attempts.advance(s, made, worker())))
    ended = Ended(Outcome.SUCCEEDED, 0)
    counted("finish", lambda: transaction(lambda s: attempts.finish(s, claim, ended, worker())))
    for path in ("", "/steps", "/steps?wave=0", "/steps?status=waiting", "/events", "/explain", "/logs"):
        answer = counted(f"GET {path}", lambda path=path: world.admin.get(f"/deployments/{made}{path}"))
        assert answer.status_code == 200
        assert len(answer.data) <= LARGEST_ANSWER_BYTES, path
    return found, made


def test_ten_thousand_targets_cost_the_statements_of_twenty(world: ApiWorld, statements: list[str]) -> None:
    few, _ = costs(world, statements, FEW)
    many, made = costs(world, statements, MANY)
    assert many == few
    deployment = world.admin.get(f"/deployments/{made}").get_json()
    progress = deployment["progress"]
    assert (progress["steps"], progress["waves"]) == (MANY, 4)
    assert progress["succeeded"] == 1


def test_the_steps_of_ten_thousand_targets_come_in_pages_each_once(
    world: ApiWorld, statements: list[str]
) -> None:
    _, made = costs(world, statements, MANY + 1)
    seen: Counter[int] = Counter()
    path: str | None = f"/deployments/{made}/steps?wave=1&limit={PAGE}"
    while path is not None:
        page = world.admin.get(path).get_json()
        assert len(page["items"]) <= PAGE
        seen.update(step["id"] for step in page["items"])
        cursor = page["next_cursor"]
        path = cursor and f"/deployments/{made}/steps?wave=1&limit={PAGE}&cursor={cursor}"
    assert (len(seen), set(seen.values())) == (2501, {1})
    assert world.admin.get(f"/deployments/{made}/steps?limit={MANY}").status_code == 422
