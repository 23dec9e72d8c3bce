"""Secret values: files that the worker reads when it starts a run. They go into the run's environment and nowhere else."""

import stat
from collections.abc import Sequence
from pathlib import Path

from orchestrator.domain.masking import LEAST_CHARACTERS

MOST_BYTES = 32 * 1024


class SecretUnusableError(Exception):
    """A secret cannot be read; the message says which file, why, and what to do."""


def read_secrets(folder: Path, *, application: str, environment: str, names: Sequence[str]) -> dict[str, str]:
    """Read `<folder>/<application>/<environment>/<NAME>`, or else `<folder>/<application>/<NAME>`, of each name.

    One newline at the end is dropped. Raises SecretUnusableError.
    """
    return {name: _read(folder / application, environment, name) for name in names}


def _read(folder: Path, environment: str, name: str) -> str:
    places = (folder / environment / name, folder / name)
    try:
        file = next((place for place in places if place.is_file()), None)
    except OSError as error:
        raise SecretUnusableError(
            f"the secret {name} cannot be looked for in {folder}: {error.strerror}"
        ) from error
    if file is None:
        raise SecretUnusableError(
            f"the secret {name} is not there: write it into {places[0]}, or {places[1]} for all environments"
        )
    try:
        if file.stat().st_mode & stat.S_IRWXO:
            raise SecretUnusableError(f"the secret {file} can be read by everybody: `chmod 600` it")
        data = file.read_bytes()[: MOST_BYTES + 1]
        value = data.decode()
    except UnicodeDecodeError as error:
        raise SecretUnusableError(f"the secret {file} is not text in UTF-8") from error
    except OSError as error:
        raise SecretUnusableError(f"the secret {file} cannot be read: {error.strerror}") from error
    value = value.removesuffix("\n").removesuffix("\r")
    if len(data) > MOST_BYTES or "\0" in value:
        raise SecretUnusableError(f"the secret {file} must have at most {MOST_BYTES} bytes and no NUL")
    if len(value) < LEAST_CHARACTERS:
        raise SecretUnusableError(
            f"the secret {file} has fewer than {LEAST_CHARACTERS} characters: it could not be masked in logs"
        )
    return value
