"""Logging in."""

import marshmallow as ma
from marshmallow import fields

from api.parsing import JsonBoolean, Text


class Login(ma.Schema):
    """Who, and the proof."""

    username = Text(
        required=True, shortest=1, longest=254, metadata={"description": "Or the e-mail address."}
    )
    password = Text(required=True, longest=1024, load_only=True)


class Provider(ma.Schema):
    """Where a client on somebody's machine sends them with its own question (RFC 8252)."""

    issuer = fields.String(required=True)
    authorization_endpoint = fields.String(required=True)
    client_id = fields.String(required=True)
    scopes = fields.String(required=True, metadata={"description": "To be asked for."})


class ProviderCode(ma.Schema):
    """What came back from the provider, and what it was asked with."""

    code = Text(required=True, shortest=1, longest=2048, load_only=True)
    code_verifier = Text(required=True, pattern=r"[A-Za-z0-9._~-]{43,128}", longest=128, load_only=True)
    nonce = Text(required=True, pattern=r"[A-Za-z0-9._~-]{22,128}", longest=128, load_only=True)
    redirect_uri = Text(
        required=True,
        longest=100,
        pattern=r"http://(127\.0\.0\.1|\[::1\]):[1-9][0-9]{0,4}/",
        metadata={"description": "On the machine of who logs in."},
    )


class RefreshIn(ma.Schema):
    """The refresh token of the last answer."""

    refresh_token = Text(required=True, shortest=1, longest=2048)


class Nothing(ma.Schema):
    """No fields."""


class Logout(ma.Schema):
    """Of how many logins."""

    everywhere = JsonBoolean(
        load_default=False,
        metadata={"description": "End all your logins, not only this one."},
    )


class NewPassword(ma.Schema):
    """The password you have, and the one you want."""

    current_password = Text(required=True, longest=1024, load_only=True)
    password = Text(required=True, shortest=8, longest=72, load_only=True)


class TokenPair(ma.Schema):
    """An access token, and the one refresh token that is good from now on."""

    access_token = fields.String(required=True)
    refresh_token = fields.String(required=True)
    token_type = fields.Constant("Bearer", required=True)
    expires_in = fields.Integer(
        required=True, metadata={"description": "Seconds until the access token ends."}
    )
