"""Reading what was sent: strict JSON of bounded size and depth, text that Postgres can hold."""

import json
import re
from collections.abc import Callable
from typing import Any, TypeVar, cast

import marshmallow as ma
import orjson
from flask import Request, Response, request
from flask_smorest import Blueprint as SmorestBlueprint
from marshmallow import ValidationError, fields, validate
from webargs import core
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import BadRequest, UnsupportedMediaType

MAX_BODY_BYTES = 1 << 20
MAX_ID = 2**63 - 1
View = TypeVar("View", bound=Callable[..., Response])
_CONSTANT = (str, int, float, type(None))
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_STORABLE = r"^[^\u0000]*$"
"""As it is described: halves of surrogate pairs are no JSON to begin with."""


class OrjsonParser(FlaskParser):
    """Bodies by orjson (bounded depth, strict UTF-8, no NaN, no endless integers); unknown names are refused everywhere."""

    DEFAULT_UNKNOWN_BY_LOCATION = {  # noqa: RUF012  # webargs' own way to say it
        **FlaskParser.DEFAULT_UNKNOWN_BY_LOCATION,
        "json": ma.RAISE,
        "query": ma.RAISE,
    }

    def __init__(self) -> None:
        super().__init__()
        self._without_query: dict[Any, dict[str, Any]] = {}

    def parse(self, argmap: Any, req: Request | None = None, **options: Any) -> Any:
        """What was sent. What a schema says of a request without a query is the same for all of them."""
        if options.get("location") != "query" or (req or request).query_string:
            return super().parse(argmap, req, **options)
        found = self._without_query.get(argmap)
        if found is None:
            found = super().parse(argmap, req, **options)
            if not all(isinstance(value, _CONSTANT) for value in found.values()):
                return found
            self._without_query[argmap] = found
        return dict(found)

    def load_querystring(self, req: Request, schema: ma.Schema) -> Any:
        return super().load_querystring(req, schema) if req.query_string else core.missing

    def _raw_load_json(self, req: Request) -> Any:
        body = req.get_data(cache=True)
        if not body:
            return core.missing
        if not core.is_json(req.mimetype):
            raise UnsupportedMediaType("send JSON with Content-Type: application/json")
        return parse_json(body)


class Blueprint(SmorestBlueprint):  # type: ignore[misc]  # flask-smorest has no types
    """A blueprint whose arguments are read by OrjsonParser, and whose decorators have types."""

    ARGUMENTS_PARSER = OrjsonParser()

    def route(self, rule: str, **options: Any) -> Callable[[View], View]:
        return cast(Callable[[View], View], super().route(rule, **options))

    def arguments(self, schema: type[ma.Schema], **options: Any) -> Callable[[View], View]:
        """As smorest's, with one schema for all requests: making one costs more than reading a body by it.

        A body is described as needed where a field of it is.
        """
        made = schema()
        options.setdefault("required", any(field.required for field in made.fields.values()))
        return cast(Callable[[View], View], super().arguments(made, **options))

    def response(
        self, status_code: int, schema: type[ma.Schema] | None = None, **options: Any
    ) -> Callable[[View], View]:
        return cast(Callable[[View], View], super().response(status_code, schema, **options))

    def alt_response(self, status_code: int, **options: Any) -> Callable[[View], View]:
        return cast(Callable[[View], View], super().alt_response(status_code, **options))

    @staticmethod
    def doc(**options: Any) -> Callable[[View], View]:
        return cast(Callable[[View], View], SmorestBlueprint.doc(**options))


def parse_json(body: bytes) -> Any:
    """The value of a body. Raises BadRequest for what is not JSON, or is but means two things."""
    try:
        value = orjson.loads(body)
        if b"{" in body:
            _DECODER.decode(body.decode())
    except RecursionError as error:
        raise BadRequest("the body is not valid JSON: it is nested too deep") from error
    except ValueError as error:
        raise BadRequest(f"the body is not valid JSON: {str(error)[:200]}") from error
    return value


def _refuse_doubles(pairs: list[tuple[str, Any]]) -> None:
    if len(pairs) != len({key for key, _ in pairs}):
        names = [key for key, _ in pairs]
        double = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{double[:100]!r} is there twice")


_DECODER = json.JSONDecoder(object_pairs_hook=_refuse_doubles)


class Text(fields.String):
    """Text of bounded length that Postgres can hold: no NUL, no half of a surrogate pair."""

    def __init__(self, *, longest: int, shortest: int = 0, pattern: str | None = None, **kwargs: Any) -> None:
        rules: list[validate.Validator] = [validate.Length(min=shortest, max=longest)]
        if pattern is not None:
            shown = pattern.replace("{", "{{").replace("}", "}}")  # marshmallow formats the message
            rules.append(validate.Regexp(re.compile(pattern + r"\Z"), error=f"must look like {shown}"))
        described = {"pattern": _STORABLE if pattern is None else f"^({pattern})$"}  # ECMA-262 knows no \Z
        kwargs["metadata"] = described | kwargs.get("metadata", {})
        super().__init__(validate=rules, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        found = super()._deserialize(value, attr, data, **kwargs)
        if _UNSTORABLE.search(found):
            raise ValidationError("must not hold NUL characters or halves of surrogate pairs")
        return found


class Id(fields.Integer):
    """The id of something."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(validate=validate.Range(min=1, max=MAX_ID), **kwargs)


class JsonBoolean(fields.Boolean):
    """True or false in a body, not what Python takes for the same: 1, 0, or text."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> bool:
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return value


class JsonId(Id):
    """An id in a body: a number, not a string with digits in it."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(strict=True, **kwargs)
