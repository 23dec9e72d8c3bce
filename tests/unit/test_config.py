"""Settings that cannot work, or that keep nobody out, stop the start."""

import secrets

import pytest

from orchestrator.config import Settings
from orchestrator.domain.errors import MisconfiguredError

GOOD = "8f1f0c6a5e9b47d2a3c4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f607182930"
ENV = {
    "DATABASE_URL": "postgresql://u:p@127.0.0.1/none",
    "REDIS_URL": "redis://127.0.0.1/0",
    "SECRET_KEY": GOOD,
}


def refusal(**env: str) -> str:
    with pytest.raises(MisconfiguredError) as refused:
        Settings.from_env(ENV | env)
    return refused.value.message


@pytest.mark.parametrize("missing", ENV)
def test_a_missing_setting_is_named(missing: str) -> None:
    assert missing in refusal(**{missing: ""})


@pytest.mark.parametrize(
    ("secret", "why"),
    [
        ("short", "32 bytes"),
        ("x" * 64, "different characters"),
        ("abcabcab" * 8, "different characters"),
        ("0123456789abcdef" * 2, "repeats"),
        ("changeme" * 5 + "!", "placeholder"),
        ("your-secret-key-goes-here-in-production", "placeholder"),
    ],
)
def test_a_secret_that_somebody_would_guess_is_refused(secret: str, why: str) -> None:
    said = refusal(SECRET_KEY=secret)
    assert "SECRET_KEY" in said
    assert why in said
    assert secret not in said


def test_drawn_secrets_are_good() -> None:
    for _ in range(200):
        Settings.from_env(ENV | {"SECRET_KEY": secrets.token_hex(32)})
        Settings.from_env(ENV | {"SECRET_KEY": secrets.token_urlsafe(32)})


def test_metrics_are_open_to_others_only_with_a_token() -> None:
    assert "METRICS_TOKEN" in refusal(METRICS_PORT="9100", METRICS_ADDRESS="192.0.2.1")
    assert "METRICS_TOKEN" in refusal(METRICS_PORT="9100", METRICS_ADDRESS="metrics.example.com")
    assert "METRICS_TOKEN" in refusal(METRICS_PORT="9100", METRICS_TOKEN="short")
    open_to_others = {"METRICS_PORT": "9100", "METRICS_ADDRESS": "::", "METRICS_TOKEN": GOOD}
    assert Settings.from_env(ENV | open_to_others).metrics_port == 9100
    for address in ("127.0.0.1", "::1", "localhost"):
        Settings.from_env(ENV | {"METRICS_PORT": "9100", "METRICS_ADDRESS": address})


def test_no_setting_that_is_secret_is_shown() -> None:
    settings = Settings.from_env(ENV | {"METRICS_TOKEN": GOOD[::-1]})
    assert GOOD not in repr(settings)
    assert GOOD[::-1] not in repr(settings)
    assert "u:p" not in repr(settings)


OIDC = {
    "OIDC_ISSUER": "https://id.example.com",
    "OIDC_CLIENT_ID": "release-manager",
    "OIDC_CLIENT_SECRET": "s",
    "OIDC_REDIRECT_URL": "https://deploy.example.com/login/oidc/back",
}


def test_groups_of_the_provider_give_roles() -> None:
    read = Settings.from_env(ENV | OIDC | {"OIDC_ROLES": "ops=operator, a=b=admin,*=viewer"})
    assert read.roles_of_groups == {"ops": "operator", "a=b": "admin", "*": "viewer"}
    assert "OIDC_CLIENT_SECRET" not in repr(read)
    assert "oidc_client_secret" not in repr(read)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"OIDC_CLIENT_SECRET": ""}, "OIDC_CLIENT_SECRET must be set"),
        ({"OIDC_ISSUER": "http://id.example.com"}, "OIDC_ISSUER must start with https://"),
        ({"OIDC_REDIRECT_URL": "https://deploy.example.com/"}, "OIDC_REDIRECT_URL must end with"),
        ({"OIDC_SCOPES": "email"}, "OIDC_SCOPES must hold openid"),
        ({"OIDC_ROLES": "ops=boss"}, "OIDC_ROLES must be group=role"),
        ({"OIDC_ROLES": "=admin"}, "OIDC_ROLES must be group=role"),
    ],
)
def test_a_provider_that_cannot_work_or_is_not_safe_is_refused(wrong: dict[str, str], said: str) -> None:
    assert said in refusal(**(OIDC | wrong))
