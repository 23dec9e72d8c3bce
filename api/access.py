"""The table of docs/access.md: every route, and who may call it. `python -m api.access` prints it."""

import sys
from collections.abc import Iterator

from flask import Flask

from api.auth import permission_of
from api.openapi import ARGUMENT
from orchestrator.domain.access import Permission, Role, allows
from orchestrator.domain.limits import SCOPES

YES, LOG_IN, NO = "yes", "401", "403"
_HEAD = ("request", "asks for", "nobody", *(str(role) for role in Role), "API token")


def table(app: Flask) -> str:
    """One row a route and method, in Markdown."""
    rows = [_HEAD, ("---",) * len(_HEAD), *sorted(_rows(app))]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def routes(app: Flask) -> Iterator[tuple[str, str, Permission]]:
    """Path as the description writes it, method and permission of every route."""
    for rule in app.url_map.iter_rules():
        permission = permission_of(app.view_functions[rule.endpoint])
        path = ARGUMENT.sub(r"{\1}", rule.rule)
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            if permission is not None:
                yield path, method, permission


def _rows(app: Flask) -> Iterator[tuple[str, ...]]:
    for path, method, permission in routes(app):
        public = permission is Permission.PUBLIC
        cells = (YES if public or allows(role, permission) else NO for role in Role)
        token = YES if public else f"scope `{permission}`" if permission in SCOPES else NO
        yield (f"`{method} {path}`", str(permission), YES if public else LOG_IN, *cells, token)


if __name__ == "__main__":
    from api.app import create_app

    sys.stdout.write(table(create_app()))
