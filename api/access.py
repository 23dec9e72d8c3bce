"""The tables of docs/access.md: every route, and who may call it. `python -m api.access` prints them."""

import sys
from collections.abc import Iterable, Iterator

from flask import Flask

from api.auth import permission_of
from api.openapi import ARGUMENT
from orchestrator.domain.access import Permission, Role, allows
from orchestrator.domain.limits import SCOPES

YES, LOG_IN, TO_LOGIN, NO = "yes", "401", "login", "403"
_HEAD = ("request", "asks for", "nobody", *(str(role) for role in Role), "API token")


def table(app: Flask) -> str:
    """One row a route and method of the API, in Markdown."""
    return _markdown(_HEAD, _rows(app))


def table_of_pages(app: Flask) -> str:
    """One row a page, or a form of one."""
    rows = ((*row[:2], TO_LOGIN if row[2] == LOG_IN else YES, *row[3:-1]) for row in _rows(app, pages=True))
    return _markdown(_HEAD[:-1], rows)


def _markdown(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *sorted(rows)]
    return "".join(f"| {' | '.join(row)} |\n" for row in lines)


def routes(app: Flask, *, pages: bool = False) -> Iterator[tuple[str, str, Permission]]:
    """Path as the description writes it, method and permission of every route of the API, or of every page."""
    for rule in app.url_map.iter_rules():
        if rule.endpoint.startswith("dashboard.") != pages:
            continue
        permission = permission_of(app.view_functions[rule.endpoint])
        path = ARGUMENT.sub(r"{\1}", rule.rule)
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            if permission is not None:
                yield path, method, permission


def _rows(app: Flask, *, pages: bool = False) -> Iterator[tuple[str, ...]]:
    for path, method, permission in routes(app, pages=pages):
        public = permission is Permission.PUBLIC
        cells = (YES if public or allows(role, permission) else NO for role in Role)
        token = YES if public else f"scope `{permission}`" if permission in SCOPES else NO
        yield (f"`{method} {path}`", str(permission), YES if public else LOG_IN, *cells, token)


if __name__ == "__main__":
    from api.app import create_app

    _app = create_app()
    sys.stdout.write(f"{table(_app)}\n{table_of_pages(_app)}")
