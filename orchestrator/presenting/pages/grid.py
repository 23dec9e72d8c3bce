"""The dashboard as people see it: applications by environments."""

from functools import lru_cache
from typing import Any

from markupsafe import Markup
from sqlalchemy import Row
from sqlalchemy.orm import Session

from orchestrator.domain.access import Permission, allows
from orchestrator.presenting.pages.rendering import View, render
from orchestrator.services import overview
from orchestrator.services.actors import Actor
from orchestrator.services.overview import Cell, Overview

MOST_LINES_KEPT = 2000


def read(session: Session, *, part: str, actor: Actor) -> View:
    """The applications whose name holds `part`, with what whoever looks may deploy."""
    return view_of(overview.overview(session, part=part), part=part, actor=actor)


def view_of(found: Overview, *, part: str, actor: Actor) -> View:
    """What was found, as it is seen."""
    if not found.lines:
        writes = allows(actor.role, Permission.CONFIGURE)
        return View({"empty": render("grid_empty.html", part=part, writes=writes)}, "grid.html")
    columns = tuple(column.name for column in found.columns)
    pieces = {"columns": render("grid_columns.html", columns=found.columns)}
    for name, cells in found.lines.items():
        deployable = frozenset(
            environment
            for environment in cells
            if allows(actor.role_in(name, environment), Permission.DEPLOY)
        )
        pieces[f"app-{name}"] = _line(
            name, columns, tuple(cells.items()), tuple(found.locks[name]), deployable
        )
    return View(pieces | {"cut": render("grid_cut.html", is_cut=found.is_cut)}, "grid.html")


@lru_cache(maxsize=MOST_LINES_KEPT)
def _line(
    name: str,
    columns: tuple[str, ...],
    cells: tuple[tuple[str, Cell], ...],
    locks: tuple[Row[Any], ...],
    deployable: frozenset[str],
) -> Markup:
    """One application. Most stay as they are from one look to the next, and for everybody who looks."""
    return render(
        "grid_line.html", name=name, columns=columns, cells=dict(cells), locks=locks, deployable=deployable
    )
