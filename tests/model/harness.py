"""What all examples of a process share: a migrated database with a virtual clock, and plugins that simulate targets."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg2
from sqlalchemy import text

from orchestrator import plugins
from orchestrator.config import Settings
from orchestrator.db import Database
from orchestrator.services import openings, pipelines, work
from tests.chaos import history
from tests.model import evidence, virtual_time
from tests.model.system import System
from tests.model.virtual_time import Clocks

LEASE_SECONDS = 8.0
SLICE_SECONDS = 20.0
NODE_LOST_SECONDS = 60.0

_ENTRIES = """[orchestrator.targets]
simulated = tests.model.site:SimulatedTarget
simulated-local = tests.model.site:SimulatedLocalTarget
"""

# Tables begin anew, so that rows come in the same order whenever an example is repeated.
_EMPTY = """
DO $$
BEGIN
    SET LOCAL session_replication_role = replica;  -- what happened may not be emptied otherwise
    EXECUTE (SELECT 'TRUNCATE ' || string_agg(format('%I.%I', schemaname, tablename), ', ') || ' RESTART IDENTITY'
        FROM pg_tables WHERE schemaname IN ('public', 'chaos') AND tablename NOT IN ('alembic_version', 'origins'));
    PERFORM setval('fencing_tokens', 1, false);
END $$;
"""


@dataclass
class Harness:
    """Makes a system for each example."""

    database: Database
    settings: Settings
    clocks: Clocks

    def fresh_system(self) -> System:
        """A system of which nothing has been before."""
        with self.database.engine.begin() as connection:
            connection.execute(text(_EMPTY))
        self.clocks.restart()
        for cache in (pipelines._parsed, openings._read):
            cache.clear()  # its keys tell examples apart by the time, which is always the same here
        return System(self.database, self.settings, self.clocks)


@contextmanager
def harness(settings: Settings, folder: Path) -> Iterator[Harness]:
    """Make the migrated database of `settings` one for examples; `folder` is for the plugins' entry points."""
    url = settings.database_url
    connection = psycopg2.connect(url)
    with connection:
        virtual_time.install(connection)
        history.record(connection)
        evidence.install(connection)
    connection.close()
    with ExitStack() as stack:
        stack.enter_context(simulated_targets(folder))
        clocks = Clocks(url)
        stack.callback(clocks.close)
        settings = replace(
            settings,
            lease_seconds=LEASE_SECONDS,
            slice_seconds=SLICE_SECONDS,
            node_lost_seconds=NODE_LOST_SECONDS,
        )
        database = Database(settings)
        stack.callback(database.close)
        yield Harness(database, settings, clocks)


@contextmanager
def simulated_targets(folder: Path) -> Iterator[None]:
    """Install the kinds `simulated` and `simulated-local` as a distribution of a third party would."""
    info = folder / "simulated_targets-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: simulated-targets\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(_ENTRIES)
    sys.path.insert(0, str(folder))
    _forget_plugins()
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        _forget_plugins()


def _forget_plugins() -> None:
    plugins._registry.cache_clear()
    pipelines.known_plugins.cache_clear()
    work.node_bound_kinds.cache_clear()
