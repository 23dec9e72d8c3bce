"""A whole installation with people in front of it: web, a worker, a beat, and a real Chromium."""

import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

from orchestrator.domain.statuses import TERMINAL
from tests.acceptance.fleet import ROOT, Fleet, eventually

PASSWORD = "correct horse battery"
AXE = Path(__file__).with_name("vendor") / "axe-4.14.1.min.js"
EVERY_RULE = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}
RULES_OF_COLOURS = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
WEB = (
    "gunicorn -c python:api.serving --no-control-socket -k gthread --workers 1 --threads 8"
    " --bind 127.0.0.1:{port} api.wsgi:app"
)
STREAM = "stream --port {port}"
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
_numbers = itertools.count(1)


@dataclass
class Site:
    """What is there to be looked at."""

    url: str
    browser: Browser
    fleet: Fleet
    redis_url: str
    folder: Path
    stream: "Served"
    admin: str = "admin"
    tokens: dict[str, str] = field(default_factory=dict)

    def api(self, method: str, path: str, body: Any = None, *, by: str = "admin") -> Any:
        """What the API answers to somebody."""
        is_text = isinstance(body, str)
        data = None if body is None else body.encode() if is_text else orjson.dumps(body)
        kind = "application/yaml" if is_text else "application/json"
        headers = {"Content-Type": kind}
        if by in self.tokens:
            headers["Authorization"] = f"Bearer {self.tokens[by]}"
        asked = urllib.request.Request(f"{self.url}/api/v1{path}", data=data, headers=headers, method=method)
        try:
            with urllib.request.urlopen(asked) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()}") from error
        return orjson.loads(text) if text else None

    def person(self, role: str | None = None) -> str:
        """Somebody new; their name."""
        name = f"{role}-{next(_numbers)}" if role else self.admin
        body = {"email": f"{name}@example.com", "username": name, "password": PASSWORD}
        self.api("POST", "/users/", body | ({"role": role} if role else {}))
        found = self.api("POST", "/auth/login", {"username": name, "password": PASSWORD})
        self.tokens[name] = found["access_token"]
        return name

    def application(self, pipeline: str, *versions: str) -> str:
        """Record an application with releases; the pipeline's `NAME` becomes its name."""
        name = f"shop-{next(_numbers)}"
        self.api(
            "PUT",
            f"/applications/{name}/pipeline",
            pipeline.replace("application: NAME", f"application: {name}"),
        )
        for version in versions:
            self.api(
                "POST", "/releases/", {"name": name, "version": version, "changes": f"What {version} brings"}
            )
        return name

    def deploy(self, name: str, version: str, environment: str = "staging", *, by: str = "admin") -> int:
        body = {"application": name, "version": version, "environment": environment}
        return int(self.api("POST", "/deployments/", body, by=by)["id"])

    def log(self, pipeline: str, status: str) -> str:
        """The address of the log of the first step of a deployment that is so."""
        made = self.deploy(self.application(pipeline, "1.0.0"), "1.0.0")
        self.wait(made, status)
        step = self.api("GET", f"/deployments/{made}/steps")["items"][0]["id"]
        return f"/deployments/{made}/steps/{step}"

    def end_all(self) -> None:
        """Leave nothing that runs, nor what would begin when that has ended."""
        for status in ("pending", "running", "paused"):
            while found := self.api("GET", f"/deployments/?status={status}")["items"]:
                for each in found:
                    self.end(each["id"])

    def end(self, deployment: int) -> None:
        """Cancel it, unless it ends by itself just now."""
        with suppress(AssertionError):
            self.api("POST", f"/deployments/{deployment}/cancel", {})
        self.wait(deployment, *TERMINAL)

    def wait(self, deployment: int, *statuses: str) -> None:
        eventually(
            lambda: self.api("GET", f"/deployments/{deployment}")["status"] in statuses,
            f"deployment {deployment} is {statuses}",
        )

    @contextmanager
    def visitor(self, **options: Any) -> Iterator["Visitor"]:
        """Somebody with a browser of their own. Nothing may be said on its console."""
        context = self.browser.new_context(base_url=self.url, **{"viewport": WIDE, **options})
        try:
            made = Visitor(context, context.new_page())
            yield made
            assert made.complaints == [], made.complaints
        finally:
            context.close()


@dataclass
class Visitor:
    """A browser with one page open."""

    context: BrowserContext
    page: Page
    complaints: list[str] = field(default_factory=list)
    expects: str = "nothing"
    """What a complaint may say: an error that the test provokes."""

    def __post_init__(self) -> None:
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and self.expects not in message.text:
            self.complaints.append(f"{message.text} ({message.location})")

    def log_in(self, name: str, password: str = PASSWORD) -> Page:
        """The page that this leads to, with everything that it does."""
        self.page.goto("/login")
        self.page.get_by_label("User name").fill(name)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Log in").click()
        self.page.wait_for_load_state()
        return self.page


def judge(page: Page, rules: dict[str, Any]) -> list[str]:
    """What axe-core finds against WCAG 2.1 A and AA."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text())
    found = page.evaluate("rules => axe.run(document, {runOnly: rules, resultTypes: ['violations']})", rules)
    return [
        f"{each['id']}: {node['target']} {node['failureSummary']}"
        for each in found["violations"]
        for node in each["nodes"]
    ]


def _free_port() -> int:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return int(door.getsockname()[1])


@dataclass
class Served:
    """A process that listens, and may be ended and started again at the same address."""

    name: str
    argv: list[str]
    env: dict[str, str]
    folder: Path
    port: int = field(default_factory=_free_port)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        with (self.folder / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *(each.format(port=self.port) for each in self.argv)],
                cwd=ROOT,
                env={"PATH": os.environ["PATH"], "HOME": str(self.folder), **self.env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        eventually(lambda: _answers(f"{self.url}/health/live"), f"{self.name} answers")

    def end(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait()

    @contextmanager
    def away(self) -> Iterator[None]:
        """It is ended, and back afterwards."""
        self.end()
        try:
            yield
        finally:
            self.start()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """It is there, and does nothing."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)


@contextmanager
def serving(name: str, words: str, env: dict[str, str], folder: Path) -> Iterator[Served]:
    """A process from its start to its end; `{port}` in its words becomes its port."""
    served = Served(name, words.split(), env, folder)
    try:
        served.start()
        yield served
    finally:
        served.end()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
