"""A provider as OpenID Connect Core 1.0 and RFC 7636 say, which signs with PyJWT. It lies if it is told to."""

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

from tests.unit.cli_server import Request, ScriptedServer, scripted_server

CLIENT_ID = "release-manager"
CLIENT_SECRET = "planted-client-secret-9d2c-47b1e0a8c35f"
REDIRECT_URL = "http://localhost/login/oidc/back"


def new_key() -> RSAPrivateKey:
    return generate_private_key(public_exponent=65537, key_size=2048)


@dataclass
class Oidc:
    """The provider, and who is logged in there."""

    server: ScriptedServer
    person: dict[str, Any] = field(default_factory=lambda: {"sub": "ada-1", "email": "ada@id.example"})
    lies: dict[str, Any] = field(default_factory=dict)
    """Claims that its ID tokens have instead; None: not at all."""
    userinfo: dict[str, Any] | None = None
    key: RSAPrivateKey = field(default_factory=new_key)
    key_id: str = "first"
    algorithm: str = "RS256"
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    given: list[str] = field(default_factory=list)
    """What nobody but the client may read: codes and tokens."""

    def __post_init__(self) -> None:
        self.server.on("GET", "/.well-known/openid-configuration", lambda _: (200, self.metadata()))
        self.server.on("GET", "/keys", lambda _: (200, {"keys": [self.public_key()]}))
        self.server.on("GET", "/authorize", self.agree)
        self.server.on("POST", "/token", self.give_tokens)
        self.server.on("GET", "/userinfo", self.give_userinfo)

    @property
    def issuer(self) -> str:
        return self.server.url

    def metadata(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            **({} if self.userinfo is None else {"userinfo_endpoint": f"{self.issuer}/userinfo"}),
        }

    def public_key(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
        return {**found, "kid": self.key_id, "use": "sig"}

    def authorize(self, location: str) -> str:
        """Be the person at the authorization endpoint, who agrees; where their browser is sent back to."""
        parts = urlsplit(location)
        asked = dict(parse_qsl(parts.query))
        assert location.startswith(f"{self.issuer}/authorize?")
        assert asked["response_type"] == "code"
        assert asked["client_id"] == CLIENT_ID
        assert "openid" in asked["scope"].split()
        assert asked["code_challenge_method"] == "S256"
        assert len(asked["nonce"]) >= 16
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        self.given.append(code)
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state'], 'iss': self.issuer})}"

    def agree(self, request: Request) -> tuple[int, Any, dict[str, str]]:
        """As `authorize`, for a browser that comes by itself."""
        return 302, b"", {"Location": self.authorize(f"{self.issuer}/authorize?{urlencode(request.query)}")}

    def give_tokens(self, request: Request) -> tuple[int, Any]:
        sent = dict(parse_qsl(request.body.decode()))
        known = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {known}":
            return 401, {"error": "invalid_client"}
        asked = self.codes.pop(sent.get("code", ""), None)
        digest = hashlib.sha256(sent.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if (
            asked is None
            or asked["code_challenge"] != challenge
            or asked["redirect_uri"] != sent.get("redirect_uri")
        ):
            return 400, {"error": "invalid_grant"}
        access = secrets.token_urlsafe(16)
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "exp": now + 300,
            "iat": now,
            "nonce": asked["nonce"],
            **self.person,
            **self.lies,
        }
        said = {name: value for name, value in claims.items() if value is not None}
        signer: Any = (
            self.key if self.algorithm == "RS256" else {"HS256": CLIENT_SECRET, "none": ""}[self.algorithm]
        )
        token = jwt.encode(said, signer, algorithm=self.algorithm, headers={"kid": self.key_id})
        self.given += [access, token]
        return 200, {"access_token": access, "token_type": "Bearer", "expires_in": 300, "id_token": token}

    def give_userinfo(self, request: Request) -> tuple[int, Any]:
        if request.headers.get("authorization", "").removeprefix("Bearer ") not in self.given:
            return 401, {"error": "invalid_token"}
        return 200, self.userinfo


@contextmanager
def oidc_server() -> Iterator[Oidc]:
    with scripted_server() as server:
        yield Oidc(server)
