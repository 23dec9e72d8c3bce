"""The migrations make exactly the tables that the models say, up and down."""

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text

from orchestrator.config import Settings
from orchestrator.db import make_engine
from orchestrator.revisions import known_revisions
from tests.conftest import MIGRATIONS


@pytest.fixture
def alembic(settings: Settings) -> Config:
    config = Config(MIGRATIONS / "alembic.ini")
    config.attributes["engine"] = make_engine(settings)
    return config


def _tables(engine: Engine) -> set[str]:
    with engine.connect() as connection:
        names = connection.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"))
        return set(names.scalars())


def test_models_and_migrations_agree(alembic: Config) -> None:
    command.check(alembic)


def test_every_migration_can_be_taken_back_and_run_again(alembic: Config) -> None:
    engine = alembic.attributes["engine"]
    before = _tables(engine)
    command.downgrade(alembic, "base")
    assert _tables(engine) == {"alembic_version"}
    with engine.connect() as connection:
        functions = "SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
        assert connection.execute(text(functions)).scalar() == 0
    command.upgrade(alembic, "head")
    assert _tables(engine) == before
    command.check(alembic)


def test_the_revisions_that_are_read_as_text_are_those_that_alembic_knows() -> None:
    scripts = ScriptDirectory.from_config(Config(MIGRATIONS / "alembic.ini"))
    known = {script.revision for script in scripts.walk_revisions()}
    assert known_revisions() == (scripts.get_current_head(), known)
