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
