"""What an API token looks like, and what its limits leave."""

import zlib

import pytest

from orchestrator.domain.access import Permission, Role
from orchestrator.domain.errors import ForbiddenError
from orchestrator.domain.limits import Limits
from orchestrator.services import api_tokens
from orchestrator.services.actors import Actor

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def test_a_token_ends_with_the_checksum_that_the_documentation_says() -> None:
    token = api_tokens._draw()
    body, checksum = token[4:44], token[44:]
    number = 0
    for character in checksum:
        number = number * 62 + DIGITS.index(character)
    assert (token[:4], len(token), number) == ("drm_", 50, zlib.crc32(body.encode()))
    assert len({api_tokens._draw() for _ in range(100)}) == 100


def limited(**more: tuple[str, ...]) -> Actor:
    given = {"scopes": ("deploy",), "applications": (), "environments": ()} | more
    return Actor(1, "ci", Role.ADMIN, "token:1", limits=Limits.of(**given))


def test_a_token_is_for_its_scopes_and_for_reading() -> None:
    actor = limited()
    actor.require(Permission.READ)
    actor.require(Permission.DEPLOY)
    for other in set(Permission) - {Permission.READ, Permission.DEPLOY, Permission.PUBLIC}:
        with pytest.raises(ForbiddenError, match=f"not for {other}"):
            actor.require(other)


def test_a_token_gives_no_more_than_its_user_has() -> None:
    viewer = Actor(1, "ci", Role.VIEWER, "token:1", limits=Limits.of(("deploy",), (), ()))
    with pytest.raises(ForbiddenError, match="needs the role deployer"):
        viewer.require(Permission.DEPLOY)


def test_a_token_for_some_places_is_for_no_other_and_not_for_all() -> None:
    actor = limited(applications=("shop",), environments=("staging",))
    actor.require_place(Permission.DEPLOY, application="shop", environment="staging")
    for application, environment in (
        ("pay", "staging"),
        ("shop", "production"),
        (None, "staging"),
        ("shop", None),
    ):
        with pytest.raises(ForbiddenError, match="this API token is for the"):
            actor.require_place(Permission.DEPLOY, application=application, environment=environment)


def test_an_operators_token_without_that_scope_owns_only_its_own() -> None:
    actor, place = limited(), {"application": "shop", "environment": None}
    actor.require_ownership(1, "it", **place)
    with pytest.raises(ForbiddenError, match="belongs to somebody else"):
        actor.require_ownership(2, "it", **place)
    limited(scopes=("operate",)).require_ownership(2, "it", **place)
