"""What is said of a deployment whose waves are all over."""


def what_is_missing(failed: int, most: int, skipped: int) -> str | None:
    """Which targets do not have the release although the deployment went on without them; None: all have it."""
    told = []
    if failed:
        told.append(f"{_targets(failed)} failed, within the budget of {most}")
    if skipped:
        told.append(
            f"{_targets(skipped)} could not be reached and {'was' if skipped == 1 else 'were'} skipped"
        )
    return f"{' and '.join(told)}, so all others were done" if told else None


def _targets(count: int) -> str:
    return "1 target" if count == 1 else f"{count} targets"
