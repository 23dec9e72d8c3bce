"""Somebody logs in at a provider: in a browser, and with releasectl; real processes on all sides."""

import os
import subprocess
import sys
from collections.abc import Iterator
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.request import HTTPCookieProcessor, build_opener

import pytest

from orchestrator.config import Settings
from tests.acceptance.fleet import ROOT
from tests.conftest import environment
from tests.integration.stream_world import Server, running
from tests.oidc_server import CLIENT_ID, CLIENT_SECRET, Oidc, oidc_server
from tests.ports import free_port

WEB = "--no-control-socket -c python:api.serving -k api.patience.Worker --workers 2 --threads 4"
BROWSER = f"""#!{sys.executable}
import sys, urllib.request
print(urllib.request.urlopen(sys.argv[1]).status)
"""


@pytest.fixture
def provider() -> Iterator[Oidc]:
    with oidc_server() as found:
        found.person |= {"email_verified": True, "preferred_username": "ada", "groups": ["ops"]}
        yield found


@pytest.fixture
def web(settings: Settings, provider: Oidc, tmp_path: Path) -> Iterator[Server]:
    port = free_port()
    env = environment(settings.database_url, settings.redis_url, tmp_path) | {
        "OIDC_ISSUER": provider.issuer,
        "OIDC_CLIENT_ID": CLIENT_ID,
        "OIDC_CLIENT_SECRET": CLIENT_SECRET,
        "OIDC_REDIRECT_URL": f"http://127.0.0.1:{port}/login/oidc/back",
        "OIDC_ROLES": "ops=operator",
        "LOG_LEVEL": "DEBUG",
    }
    argv = ["gunicorn", *WEB.split(), "--bind", f"127.0.0.1:{port}", "api.wsgi:app"]
    server = Server(argv, env, tmp_path / "web.log", port)
    with running(server):
        yield server


def test_a_browser_goes_there_and_comes_back_logged_in(web: Server, provider: Oidc) -> None:
    browser = build_opener(HTTPCookieProcessor(CookieJar()))
    with browser.open(f"{web.url}/login/oidc?next=/deployments") as page:
        assert page.url == f"{web.url}/deployments"
        shown = page.read().decode()
    assert ">ada<" in shown
    said = web.log.read_text() + shown
    assert len(provider.given) == 3
    assert [each for each in [CLIENT_SECRET, *provider.given] if each in said] == []


def test_releasectl_opens_the_browser_and_keeps_the_tokens(
    web: Server, provider: Oidc, tmp_path: Path
) -> None:
    browser = tmp_path / "browser"
    browser.write_text(BROWSER)
    browser.chmod(0o700)
    env = {"PATH": os.environ["PATH"], "XDG_CONFIG_HOME": str(tmp_path), "BROWSER": f"{browser} %s"}

    def releasectl(*args: str) -> subprocess.CompletedProcess[str]:
        argv = [str(Path(sys.executable).with_name("releasectl")), *args]
        return subprocess.run(
            argv, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=120
        )

    done = releasectl("login", "--url", web.url, "--sso")
    assert done.returncode == 0, done.stderr
    assert "as ada (operator)" in done.stdout
    assert f"{provider.issuer}/authorize?" in done.stderr
    assert "ada@id.example" in releasectl("whoami").stdout
