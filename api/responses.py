"""Answers: JSON bytes, with an ETag where a client may ask again."""

import hashlib
from collections.abc import Mapping
from typing import Any
from wsgiref.types import WSGIEnvironment

from flask import Response, request
from werkzeug.datastructures import Headers

from orchestrator.presenting.json import dumps

JSON = "application/json"


class _Written(Response):
    """An answer whose headers are as they are to be sent; werkzeug would copy them and look for addresses to encode in them."""

    def get_wsgi_headers(self, environ: WSGIEnvironment) -> Headers:
        return self.headers


def json_response(value: Any, status: int = 200, *, headers: Mapping[str, str] | None = None) -> Response:
    """An answer with this value."""
    return raw_response(dumps(value), status, headers=headers)


def raw_response(body: bytes, status: int = 200, *, headers: Mapping[str, str] | None = None) -> Response:
    """An answer with JSON that is written already. Headers are ASCII, and there is a body."""
    response = _Written(body, status=status, content_type=JSON)
    for name, value in (headers or {}).items():
        response.headers.add(name, value)
    return response


def tag_of(body: bytes) -> str:
    """The ETag of what is shown, made of its bytes."""
    return f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'


def changed_response(value: Any) -> Response:
    """What a thing has become, with the ETag that its GET gives from now on."""
    body = dumps(value)
    return raw_response(body, headers={"ETag": tag_of(body)})


def tagged_response(body: bytes) -> Response:
    """As `raw_response` with its ETag; 304 where the client has these bytes already."""
    tag = tag_of(body)
    sent = request.headers.get("If-None-Match", "")
    if sent and (sent == tag or request.if_none_match.contains_weak(tag.strip('"'))):
        return Response(status=304, headers={"ETag": tag})
    return raw_response(body, headers={"ETag": tag})
