"""One file for each resource."""

from api.resources import (
    applications,
    audit,
    auth,
    deployments,
    diagnosis,
    environments,
    health,
    installations,
    locks,
    metrics,
    releases,
    schedules,
    tokens,
    users,
    windows,
)

BLUEPRINTS = (
    tokens.blueprint,
    users.blueprint,
    audit.blueprint,
    auth.blueprint,
    applications.blueprint,
    environments.blueprint,
    releases.blueprint,
    schedules.blueprint,
    deployments.blueprint,
    installations.blueprint,
    locks.blueprint,
    metrics.blueprint,
    windows.windows_blueprint,
    windows.freezes_blueprint,
    diagnosis.blueprint,
    health.blueprint,
)
