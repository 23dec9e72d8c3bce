"""The shop of `examples/shop`, made ready for one demo: its pipeline, its servers, and their end."""

import http.client
import json
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import yaml

from orchestrator.domain.errors import MisconfiguredError
from orchestrator.embedded import ports
from orchestrator.embedded.folder import DataFolder, store_account, store_home
from orchestrator.targets import runs

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "shop"
NAME = "shop"
ANSWER_SECONDS = 5.0
GRACE_SECONDS = 3.0
_MARKER = "made-by-demo"

Place = tuple[str, str]
"""Environment and target."""


@dataclass(frozen=True, slots=True)
class Shop:
    """Its pipeline with the ports that are ours while this demo runs."""

    pipeline: str
    ports: Mapping[Place, int]

    @classmethod
    @contextmanager
    def of(cls, data_dir: Path) -> Iterator[Self]:
        """Take free ports, the ones in the file if they are, and give them back at the end of the block."""
        file = FOLDER / "shop.yaml"
        if not file.is_file():
            raise MisconfiguredError(
                f"there is no {file}: run the demo from a checkout of the project (make demo)"
            )
        source = file.read_text(encoding="utf-8")
        written = _ports_in(source)
        with ExitStack() as stack:
            taken: dict[int, int] = {}
            for number in written.values():
                port = ports.Port.take(ports.from_preferred(number))
                stack.callback(port.release)
                taken[number] = port.number
            variables = {"SHOP_HOME": str(data_dir / NAME), "PYTHON": sys.executable}
            pipeline = rendered(source, variables=variables, ports=taken)
            yield cls(pipeline, {place: taken[number] for place, number in written.items()})

    def answer(self, place: Place) -> str:
        """What the server itself says its version is; if it does not, why not."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[place], timeout=ANSWER_SECONDS)
        with closing(connection):
            try:
                connection.request("GET", "/version")
                response = connection.getresponse()
                body = response.read(200).decode(errors="replace").strip()
            except (OSError, http.client.HTTPException) as error:
                return f"no answer ({type(error).__name__})"
        return body if response.status == http.HTTPStatus.OK else f"status {response.status}"


def artifact(version: str) -> str:
    """Where a release of the shop lies."""
    return str(FOLDER / "releases" / version)


def rendered(source: str, *, variables: Mapping[str, str], ports: Mapping[int, int]) -> str:
    """The pipeline with other values for its variables and other ports; all else stays, comments too."""
    for name, value in variables.items():
        text = json.dumps(value, ensure_ascii=False)
        found = list(re.finditer(rf"^  {name}: +([^\s#]+)", source, flags=re.MULTILINE))
        if len(found) != 1:
            raise MisconfiguredError(f"the demo's pipeline must set {name} once, not {len(found)} times")
        source = source[: found[0].start(1)] + text + source[found[0].end(1) :]
    return re.sub(r'PORT: "(\d+)"', lambda found: f'PORT: "{ports[int(found[1])]}"', source)


def prepare(data_dir: Path) -> None:
    """Make the folder, empty; what an earlier demo left in it goes, its servers too.

    Raises FolderInUseError, and MisconfiguredError if the folder holds anything else.
    """
    if data_dir.is_dir() and any(data_dir.iterdir()):
        if not (data_dir / _MARKER).exists():
            raise MisconfiguredError(
                f"{data_dir} holds something that no demo made: give an empty folder with --data-dir"
            )
        with DataFolder(data_dir):
            end_runs(data_dir)
        remove(data_dir)
    with DataFolder(data_dir):
        (data_dir / _MARKER).touch()


def end_runs(data_dir: Path) -> None:
    """End every process that the demo's deployments started: each bears the mark of its run."""
    for folder in (data_dir / "runs" / "runs").glob("[!.]*"):
        if (processes := runs.processes(folder)) is not None:
            processes.terminate(GRACE_SECONDS)
            processes.kill()


def remove(data_dir: Path) -> None:
    """Remove the folder, and the stores of it that live elsewhere."""
    for folder in {store_home(data_dir, store_account()), data_dir}:
        shutil.rmtree(folder)


def _ports_in(source: str) -> dict[Place, int]:
    """The ports that are written in the pipeline."""
    environments = yaml.safe_load(source)["environments"]
    return {
        (name, target["name"]): int(target["variables"]["PORT"])
        for name, environment in environments.items()
        for target in environment["targets"]
    }
