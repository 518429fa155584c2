"""Configuration: layers, secrets, and mistakes that are explained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aigo.config import ConfigError, load_settings, masked, unusable

SECRET = "0123456789abcdef0123456789abcdef"
LDAP = {"url": "ldaps://dc", "bind_dn": "cn=a", "base_dn": "dc=b", "default_role": "user"}
OIDC = {"issuer": "https://idp.test", "client_id": "aigo", "default_role": "user"}


def write(root: Path, config: dict[str, Any], secrets: dict[str, str] | None = None, mode: int = 0o640) -> Path:
    (root / "secrets").mkdir(exist_ok=True)
    (root / "config.json").write_text(json.dumps(config))
    for name, value in (secrets or {}).items():
        (root / "secrets" / name).write_text(value)
        (root / "secrets" / name).chmod(mode)
    return root


def problems(root: Path, environment: str | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load_settings(root, environment)
    return "\n".join(caught.value.problems)


def test_an_environment_overrides_single_keys_of_the_base(tmp_path: Path) -> None:
    write(tmp_path, {"server": {"processes": 3, "api_port": 9000}})
    (tmp_path / "environments").mkdir()
    (tmp_path / "environments" / "staging.json").write_text('{"server": {"processes": 5}}')
    settings = load_settings(tmp_path, "staging")
    assert (settings.server.processes, settings.server.api_port, settings.environment) == (5, 9000, "staging")
    assert load_settings(tmp_path).server.processes == 3


def test_yaml_is_read_as_well_but_not_beside_json(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("worker:\n  concurrency: 7\n")
    assert load_settings(tmp_path).worker.concurrency == 7
    (tmp_path / "config.json").write_text("{}")
    assert "keep one of them" in problems(tmp_path)


def test_secrets_come_from_files_of_their_own(tmp_path: Path) -> None:
    models = [{"name": "local", "base_url": "http://127.0.0.1:1/v1", "model": "m"}]
    write(tmp_path, {"models": models}, {"auth.token_secret": SECRET + "\n", "models.local.api_key": "sk"})
    settings = load_settings(tmp_path)
    assert settings.auth.token_secret is not None
    assert settings.auth.token_secret.get_secret_value() == SECRET
    assert settings.models[0].api_key is not None
    assert settings.models[0].api_key.get_secret_value() == "sk"


def test_a_secret_deeper_down_has_its_file_too(tmp_path: Path) -> None:
    config = {"auth": {"ldap": LDAP, "oidc": OIDC}}
    write(tmp_path, config, {"auth.ldap.bind_password": "b1nd", "auth.oidc.client_secret": "s3cret"})
    settings = load_settings(tmp_path)
    assert settings.auth.ldap is not None
    assert settings.auth.ldap.bind_password is not None
    assert settings.auth.ldap.bind_password.get_secret_value() == "b1nd"
    assert "b1nd" not in json.dumps(masked(settings))
    assert "auth.oidc needs server.public_url" in "\n".join(unusable(settings))


def test_shown_settings_hide_every_secret(tmp_path: Path) -> None:
    write(tmp_path, {}, {"auth.token_secret": SECRET, "database.password": "hunter2-hunter2"})
    shown = json.dumps(masked(load_settings(tmp_path)))
    assert SECRET not in shown
    assert "hunter2" not in shown


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"servr": {}}, "unknown key servr: did you mean server?"),
        ({"server": {"proceses": 2}}, "unknown key server.proceses: did you mean processes?"),
        ({"server": {"tls": {"cert": "x", "certificate": "a", "key": "b"}}}, "unknown key server.tls.cert: did you"),
        ({"models": [{"name": "a", "kind": "scripted", "modl": 1}]}, "unknown key models.0.modl: did you mean model?"),
        ({"redis": {"sentinel": {"servce": "x", "service": "m", "nodes": ["a:1"]}}}, "did you mean service?"),
        ({"server": {"processes": 0}}, "server.processes: Input should be greater than or equal to 1 (it is 0)"),
        ({"server": {"api_port": 70000}}, "(it is 70000)"),
        ({"database": {"hosts": []}}, "database.hosts"),
        ({"database": {"hosts": ["db"]}}, "'db' is not host:port"),
        ({"database": {"pool_min": 9, "pool_max": 3}}, "pool_min (9) is more than pool_max (3)"),
        ({"database": {"sslmode": "on"}}, "database.sslmode"),
        ({"database": {"password": "x"}}, "database.password is a secret"),
        ({"models": [{"name": "a", "kind": "scripted", "api_key": "x"}]}, "put it in secrets/models.a.api_key"),
        ({"models": [{"name": "a"}]}, "needs base_url and model"),
        ({"models": [{"name": "a", "kind": "scripted"}] * 2}, "two entries named 'a'"),
        ({"logging": {"level": "loud"}}, "logging.level"),
        ({"auth": {"oidc": {"client_secret": "x"}}}, "put it in secrets/auth.oidc.client_secret"),
        ({"auth": {"mfa": {"required_roles": ["root"]}}}, "auth.mfa.required_roles.0"),
        ({"auth": {"ldap": LDAP | {"url": "ldap://dc", "start_tls": False}}}, "would cross the network in the clear"),
        ({"auth": {"ldap": LDAP | {"default_role": None}}}, "nobody could sign in"),
        ({"auth": {"ldap": LDAP | {"user_filter": "(uid=x)"}}}, "user_filter must contain {name} once"),
        ({"auth": {"oidc": OIDC | {"issuer": "http://idp.test"}}}, "is not an https:// address"),
        ({"limits": {"endpoints": [{"endpoint": "/x", "per_minute": 1, "burst": 1}]}}, "is not a method and a path"),
    ],
)
def test_a_mistake_names_the_key_and_the_mend(tmp_path: Path, config: dict[str, Any], expected: str) -> None:
    assert expected in problems(write(tmp_path, config))


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    told = problems(write(tmp_path, {"servr": {}, "worker": {"concurrency": 0}}, {"auth.tokn_secret": "x"}))
    assert "servr" in told
    assert "worker.concurrency" in told
    assert "secrets/auth.tokn_secret is not a known secret: did you mean auth.token_secret?" in told


def test_a_secret_that_everybody_can_read_is_refused(tmp_path: Path) -> None:
    assert "mode 0644" in problems(write(tmp_path, {}, {"auth.token_secret": SECRET}, 0o644))


def test_a_weak_token_secret_is_refused_without_being_shown(tmp_path: Path) -> None:
    told = problems(write(tmp_path, {}, {"auth.token_secret": "letmein"}))
    assert "shorter than 32" in told
    assert "letmein" not in told


def test_a_named_environment_must_exist(tmp_path: Path) -> None:
    assert "create" in problems(write(tmp_path, {}), "stagin")


def test_what_keeps_the_service_from_starting_is_found_beforehand(tmp_path: Path) -> None:
    write(tmp_path, {"server": {"tls": {"certificate": "/no/cert.pem", "key": "/no/key.pem"}}})
    told = "\n".join(unusable(load_settings(tmp_path)))
    assert "auth.token_secret is missing" in told
    assert "server.tls.certificate: /no/cert.pem can't be read" in told


def test_every_key_is_documented() -> None:
    documentation = (Path(__file__).parents[1] / "docs" / "configuration.md").read_text()
    from aigo.config import Settings

    def keys(section: Any, prefix: str = "") -> list[str]:
        found = []
        for name, info in section.model_fields.items():
            found.append(f"{prefix}{name}")
            for inner in [info.annotation, *getattr(info.annotation, "__args__", ())]:
                if hasattr(inner, "model_fields"):
                    found += keys(inner, f"{prefix}{name}.")
        return found

    assert [key for key in keys(Settings) if f"`{key}`" not in documentation] == []
