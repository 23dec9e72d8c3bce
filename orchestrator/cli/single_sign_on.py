"""Logging in with a browser: an OpenID Connect provider sends it back to a port of this machine (RFC 8252)."""

import base64
import hashlib
import hmac
import secrets
import threading
import time
import webbrowser
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

import click

from orchestrator.client import Client

PATIENCE_SECONDS = 300
_CAME_BACK = b"<!doctype html><title>releasectl</title><p>You can close this page and go on in the terminal."


class _Waiting(HTTPServer):
    """Until the browser comes back with an answer to our question."""

    timeout = 1.0

    def __init__(self, state: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.state = state
        self.answer: dict[str, str] = {}

    def wait(self) -> dict[str, str]:
        """The parameters that came. Raises ClickException."""
        until = time.monotonic() + PATIENCE_SECONDS
        while not self.answer:
            if time.monotonic() > until:
                raise click.ClickException("nobody logged in within five minutes")
            self.handle_request()
        return self.answer


class _Handler(BaseHTTPRequestHandler):
    timeout = 5.0
    server: _Waiting

    def do_GET(self) -> None:
        """Take the answer if it is ours; other pages may ask this port, too."""
        sent = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        is_ours = hmac.compare_digest(sent.get("state", "").encode(), self.server.state.encode())
        self.send_response(200 if is_ours else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        if is_ours:
            self.wfile.write(_CAME_BACK)
            self.server.answer = sent

    def log_message(self, *_: object) -> None:
        """Nothing: the code stands in the address."""


def sign_on(client: Client) -> dict[str, str]:
    """Let somebody log in there; what the server needs to know of it. Raises ClickException."""
    provider = client.call("GET", "/auth/oidc")
    verifier, nonce, state = (secrets.token_urlsafe(32) for _ in range(3))
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    with _Waiting(state) as waiting:
        redirect_uri = f"http://127.0.0.1:{waiting.server_port}/"
        question = {
            "response_type": "code",
            "client_id": provider["client_id"],
            "redirect_uri": redirect_uri,
            "scope": provider["scopes"],
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        endpoint = provider["authorization_endpoint"]
        page = f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(question)}"
        click.echo(f"Log in on this page, if it does not open by itself:\n\n  {page}\n", err=True)
        # Some browsers take the terminal until they are closed.
        threading.Thread(target=webbrowser.open, args=(page,), daemon=True).start()
        answer = waiting.wait()
    if "code" not in answer or answer.get("iss", provider["issuer"]) != provider["issuer"]:
        raise click.ClickException("the provider did not let you in")
    return {"code": answer["code"], "code_verifier": verifier, "nonce": nonce, "redirect_uri": redirect_uri}
