"""The OpenID Connect provider. Only installations that have one load this: it needs the extra `oidc`, and takes long to load."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from api.oidc import Asked
from api.schemas.users import EMAIL
from orchestrator import clock, log
from orchestrator.config import Settings
from orchestrator.domain.errors import (
    MisconfiguredError,
    TooManyRequestsError,
    UnauthenticatedError,
    UnavailableError,
)
from orchestrator.services.identities import Identity

try:
    from authlib.integrations.base_client import OAuthError
    from authlib.integrations.requests_client import OAuth2Session
    from authlib.oidc.core import CodeIDToken
    from joserfc import jwt
    from joserfc.errors import InvalidKeyIdError, JoseError
    from joserfc.jwk import KeySet
    from joserfc.jws import JWSRegistry
    from requests.exceptions import RequestException

    INSTALLED = True
except ImportError:
    INSTALLED = False

ALGORITHMS = ["RS256", "PS256", "ES256"]
"""Signatures that are made with a key which only the provider has."""
_BASIC = "client_secret_basic"
_DISCOVERY = "/.well-known/openid-configuration"
_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")
_TIMEOUT_SECONDS = 5.0
_KNOWN_SECONDS = 3600.0
_LEEWAY_SECONDS = 60
MOST_AT_ONCE = 4
"""So many logins of a process ask the provider at a time: each holds a thread of the web server until it answers."""
_MOST_CHARACTERS = 255
_EMAIL = re.compile(EMAIL)

_logger = log.get(__name__)


class Provider:
    """The provider of this installation. What it says of itself is asked for at the first login, and again after an hour."""

    def __init__(self, settings: Settings) -> None:
        if not INSTALLED:
            raise MisconfiguredError(
                "OIDC_ISSUER needs the extra oidc: pip install devops-release-manager[oidc]"
            )
        self.name, self.issuer = settings.oidc_name, settings.oidc_issuer
        self.client_id, self.scopes = settings.oidc_client_id, settings.oidc_scopes
        self._secret, self._groups_claim = settings.oidc_client_secret, settings.oidc_groups_claim
        self._metadata: dict[str, Any] = {}
        self._keys: Any = None
        self._known_until = 0.0
        self._places = threading.BoundedSemaphore(MOST_AT_ONCE)

    def address_of(self, asked: Asked, state: str) -> str:
        """Where to send the browser. Raises as `known` does."""
        known = self.known()
        with self._session(asked.redirect_url) as session:
            url: str
            url, _ = session.create_authorization_url(
                known["authorization_endpoint"],
                state=state,
                nonce=asked.nonce,
                code_verifier=asked.verifier,
            )
        return url

    def identify(self, code: str, asked: Asked) -> Identity:
        """Who came back with this code. Raises UnauthenticatedError; UnavailableError and TooManyRequestsError as `known` does."""
        known = self.known()
        with self._asking(), self._session(asked.redirect_url) as session:
            try:
                told = session.fetch_token(
                    known["token_endpoint"],
                    grant_type="authorization_code",
                    code=code,
                    code_verifier=asked.verifier,
                    allow_redirects=False,
                )
                claims = self._verify(str(told["id_token"]), told.get("access_token"), asked.nonce, session)
                if "userinfo_endpoint" in known and not {"email", self._groups_claim} <= claims.keys():
                    more = self._read(session, known["userinfo_endpoint"], withhold_token=False)
                    # What is said of somebody else is not said of them (OpenID Connect Core 5.3.2).
                    claims = {**more, **claims} if more.get("sub") == claims["sub"] else claims
            except RequestException as error:
                raise _away(error) from error
            except (OAuthError, JoseError, ValueError, KeyError, TypeError, AttributeError) as error:
                _logger.warning("identity_refused", issuer=self.issuer, error=type(error).__name__)
                raise UnauthenticatedError(
                    "the provider did not confirm who you are; log in again"
                ) from error
        return self._identity(claims)

    def known(self) -> dict[str, Any]:
        """What the provider says of itself. Raises UnavailableError, and TooManyRequestsError while many ask."""
        if clock.monotonic() < self._known_until:
            return self._metadata
        with self._asking(), self._session("") as session:
            try:
                found = self._read(session, self.issuer.rstrip("/") + _DISCOVERY)
                _check(found, self.issuer)
                keys = self._read_keys(session, found)
            except (RequestException, JoseError, ValueError, KeyError, TypeError, AttributeError) as error:
                raise _away(error) from error
        self._metadata, self._keys = found, keys
        self._known_until = clock.monotonic() + _KNOWN_SECONDS
        return found

    @contextmanager
    def _asking(self) -> Iterator[None]:
        if not self._places.acquire(blocking=False):
            raise TooManyRequestsError("too many logins at once; wait a moment", retry_after_seconds=2)
        try:
            yield
        finally:
            self._places.release()

    def _session(self, redirect_url: str) -> Any:
        methods = self._metadata.get("token_endpoint_auth_methods_supported", [_BASIC])
        return OAuth2Session(
            self.client_id,
            self._secret,
            scope=self.scopes,
            redirect_uri=redirect_url,
            code_challenge_method="S256",
            token_endpoint_auth_method=_BASIC if _BASIC in methods else "client_secret_post",
            default_timeout=_TIMEOUT_SECONDS,
        )

    def _read(self, session: Any, url: str, *, withhold_token: bool = True) -> dict[str, Any]:
        _check_address(url, self.issuer)
        answer = session.request("GET", url, withhold_token=withhold_token, allow_redirects=False)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def _read_keys(self, session: Any, metadata: dict[str, Any]) -> Any:
        keys: Any = self._read(session, metadata["jwks_uri"])
        return KeySet.import_key_set(keys)

    def _verify(self, token: str, access_token: str | None, nonce: str, session: Any) -> dict[str, Any]:
        """The claims of an ID token that this provider signed for us, for this login, and that is good now."""
        registry = JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
        try:
            decoded = jwt.decode(token, self._keys, registry=registry)
        except InvalidKeyIdError:  # it has begun to sign with another one
            self._keys = self._read_keys(session, self._metadata)
            decoded = jwt.decode(token, self._keys, registry=registry)
        wanted = {
            name: {"essential": True, "value": value}
            for name, value in (("iss", self.issuer), ("aud", self.client_id))
        }
        params = {"nonce": nonce, "client_id": self.client_id, "access_token": access_token}
        claims = CodeIDToken(decoded.claims, decoded.header, wanted, params)
        claims.validate(leeway=_LEEWAY_SECONDS)
        return dict(claims)

    def _identity(self, claims: dict[str, Any]) -> Identity:
        subject, name = claims["sub"], claims.get("preferred_username")
        if (
            not isinstance(subject, str)
            or not subject.isprintable()
            or not 0 < len(subject) <= _MOST_CHARACTERS
        ):
            raise UnauthenticatedError("the provider does not say who you are")
        groups = claims.get(self._groups_claim)
        return Identity(
            issuer=self.issuer,
            subject=subject,
            email=_confirmed_email(claims),
            name=name if isinstance(name, str) else None,
            groups=frozenset(each for each in groups if isinstance(each, str))
            if isinstance(groups, list)
            else frozenset(),
        )


def _confirmed_email(claims: dict[str, Any]) -> str | None:
    email = claims.get("email")
    if claims.get("email_verified") is not True or not isinstance(email, str):
        return None
    return email if len(email) < _MOST_CHARACTERS and _EMAIL.fullmatch(email) else None


def _check(metadata: dict[str, Any], issuer: str) -> None:
    """Raise ValueError for what another issuer says of itself."""
    if metadata["issuer"] != issuer:
        raise ValueError("it is another issuer")
    for name in _ENDPOINTS:
        _check_address(metadata[name], issuer)


def _check_address(url: str, issuer: str) -> None:
    """Raise ValueError for what is less safe than the issuer."""
    if urlsplit(issuer).scheme == "https" and urlsplit(url).scheme != "https":
        raise ValueError("it is not asked over TLS")


def _away(error: Exception) -> UnavailableError:
    _logger.warning("provider_away", error=type(error).__name__)
    return UnavailableError(
        "the provider of logins cannot be asked now; try again soon, or log in with a password"
    )
