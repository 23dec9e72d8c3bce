"""The reference of settings, from the code: `python -m orchestrator.settings_page docs/settings.md` writes it into the page."""

import ast
import inspect
import sys
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, fields
from pathlib import Path

from orchestrator import config
from orchestrator.config import Settings

BEGIN = "<!-- written by `python -m orchestrator.settings_page docs/settings.md` -->\n"
END = "<!-- end -->\n"


def table() -> str:
    """Every setting with its default and what its docstring says."""
    meanings = dict(_meanings())
    head = "| variable | default | meaning |\n|---|---|---|\n"
    rows = (
        f"| `{each.name.upper()}` | {_default(each.default)} | {meanings[each.name]} |\n"
        for each in fields(Settings)
    )
    return head + "".join(rows)


def write_into(page: str) -> str:
    """The page with the table as it is now. Raises ValueError where the page has no place for it."""
    before, begin, rest = page.partition(BEGIN)
    _old, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page needs the lines {BEGIN.strip()} and {END.strip()}")
    return before + begin + table() + end + after


def _meanings() -> Iterator[tuple[str, str]]:
    """Docstrings of fields are only in the source: each follows its field."""
    (declared,) = (
        node
        for node in ast.parse(inspect.getsource(config)).body
        if isinstance(node, ast.ClassDef) and node.name == Settings.__name__
    )
    for field, said in zip(declared.body, declared.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            text = ast.literal_eval(said.value) if isinstance(said, ast.Expr) else ""
            sentence = " ".join(str(text).split()).rstrip(".")
            yield (
                field.target.id,
                sentence[:1].lower() + sentence[1:] if sentence[1:2].islower() else sentence,
            )


def _default(value: object) -> str:
    if value is MISSING:
        return "required"
    if value == "":
        return "empty"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def main(argv: Sequence[str]) -> int:
    """Write the table into the page that is named; the exit code."""
    if len(argv) != 1:
        sys.stderr.write("usage: python -m orchestrator.settings_page PAGE\n")
        return 2
    page = Path(argv[0])
    page.write_text(write_into(page.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
