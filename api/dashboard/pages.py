"""All pages together: `init(app)` serves them."""

from flask import Flask

from api.dashboard import (
    acts,
    assets,
    audit,
    calendar,
    catalogue,
    deploying,
    deployments,
    frame,
    grid,
    inbox,
    insights,
    living,
    locks,
    login,
    oidc,
    people,
    recording,
    schedules,
    system,
    targets,
    webhooks,
)

PAGES = (
    login,
    grid,
    deployments,
    acts,
    deploying,
    inbox,
    insights,
    living,
    oidc,
    calendar,
    locks,
    schedules,
    catalogue,
    recording,
    targets,
    webhooks,
    audit,
    people,
    system,
)
"""The modules whose views are on the blueprint once they are imported."""


def init(app: Flask) -> None:
    """Serve every page and what it loads."""
    app.add_url_rule("/static/<digest>/<path:name>", "dashboard.static", assets.serve)
    frame.init(app)
