"""Which revisions of the tables this version of the code knows. Read as text: Alembic, which runs them, takes long to load."""

import re
from pathlib import Path

from orchestrator.domain.errors import MisconfiguredError

MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"
_NAMES = re.compile(r'^revision = "(?P<own>\w+)"\ndown_revision = (?:"(?P<before>\w+)"|None)$', re.MULTILINE)


def known_revisions() -> tuple[str, frozenset[str]]:
    """The newest one, and all. Raises MisconfiguredError where they do not end in one."""
    found = [_NAMES.search(file.read_text()) for file in (MIGRATIONS / "versions").glob("*.py")]
    known = frozenset(each["own"] for each in found if each)
    heads = known - {each["before"] for each in found if each}
    if len(heads) != 1:
        raise MisconfiguredError(f"the migrations in {MIGRATIONS} have {len(heads)} ends, not one")
    return next(iter(heads)), known
