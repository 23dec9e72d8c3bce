"""A look for everybody who follows costs the same whatever else there is, and a handful of statements."""

import json
from typing import Any

from orchestrator.services.cursors import Cursors
from stream.events import Key, Mark
from stream.looking import Asked, Looker
from tests.conftest import SECRET_KEY
from tests.integration.engine_world import World, worker
from tests.integration.test_query_plans import executed, whole_reads, world

__all__ = ["executed", "world"]

MOST_STATEMENTS = 6


def test_a_look_reads_no_table_whole_in_a_bounded_number_of_statements(
    world: World, executed: dict[str, Any]
) -> None:
    followed = [world.request("1.0.0", "lab") for _ in range(3)]
    assert world.advance(followed[0], worker()) is not None
    executed.clear()
    marks = {Key(each): Mark() for each in followed} | {Key(followed[0], 1): Mark()}
    asked = Asked({*followed, *range(2, 100)}, followed, marks, {"sign-in"})
    found = Looker(world.database, Cursors(SECRET_KEY)).look(asked)
    assert set(followed) <= set(found.news)
    looks = {each: params for each, params in executed.items() if each.lstrip().startswith("SELECT")}
    assert len(looks) <= MOST_STATEMENTS
    with world.database.engine.connect() as connection:
        for statement, parameters in looks.items():
            cursor = connection.connection.cursor()
            cursor.execute(f"EXPLAIN (FORMAT JSON) {statement}", parameters)
            answer = cursor.fetchone()
            assert answer is not None
            plan = answer[0] if isinstance(answer[0], list) else json.loads(answer[0])
            assert whole_reads(plan[0]["Plan"]) == [], statement
