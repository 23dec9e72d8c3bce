"""Whether the packages that are imported are ours."""

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import packages_distributions

from orchestrator.domain.errors import MisconfiguredError

OUR_TOP_LEVEL_PACKAGES = ("api", "stream", "workers")


def check_packages(
    owners: Callable[[], Mapping[str, Sequence[str]]] = packages_distributions,
) -> None:
    """Refuse to start where another distribution has put files into our top-level packages: pip lets it, silently.

    Raises MisconfiguredError that names both owners.
    """
    found = owners()
    for package in OUR_TOP_LEVEL_PACKAGES:
        distributions = sorted(set(found.get(package, ())))
        if len(distributions) > 1:
            raise MisconfiguredError(
                f"the package {package!r} belongs to {' and '.join(distributions)} at once, so one of them has"
                " overwritten files of the other; install them into separate environments"
            )
