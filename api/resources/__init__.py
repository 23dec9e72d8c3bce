"""One file for each resource."""

from api.resources import (
    applications,
    auth,
    deployments,
    diagnosis,
    environments,
    health,
    installations,
    locks,
    releases,
    users,
)

BLUEPRINTS = (
    users.blueprint,
    auth.blueprint,
    applications.blueprint,
    environments.blueprint,
    releases.blueprint,
    deployments.blueprint,
    installations.blueprint,
    locks.blueprint,
    diagnosis.blueprint,
    health.blueprint,
)
