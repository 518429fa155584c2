"""Reads the configuration directory and explains what is wrong with it, all of it at once."""

from __future__ import annotations

import difflib
import json
import os
import stat
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, SecretStr, ValidationError

from aigo.config.schema import Settings

DEFAULT_DIRECTORY = "/etc/aigo"
SECRETS = (
    "database.password",
    "database.migration_password",
    "redis.password",
    "auth.token_secret",
    "auth.mfa.secret",
    "auth.ldap.bind_password",
    "auth.oidc.client_secret",
    "documents.embedder.api_key",
)
# Lists whose entries have a name, and the secret that each entry may have.
_NAMED = {"models": "api_key", "sources": "password"}
_STORAGE_KEY = "storage.keys."


class ConfigError(Exception):
    """The configuration can't be used; ``problems`` holds one sentence for each reason."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def load_settings(directory: str | Path | None = None, environment: str | None = None) -> Settings:
    """Read, merge and check the configuration; :raises ConfigError: with every problem found.

    ``directory`` defaults to ``$AIGO_CONFIG_DIR`` or ``/etc/aigo``; ``environment`` to ``$AIGO_ENV``, then to the
    base file's own ``environment``. An environment that is asked for by name must have its file.
    """
    root = Path(directory or os.environ.get("AIGO_CONFIG_DIR") or DEFAULT_DIRECTORY)
    data = _base(root)
    asked = environment or os.environ.get("AIGO_ENV")
    name = asked or data.get("environment") or "production"
    overrides = root / "environments" / f"{name}.json"
    if overrides.exists():
        _merge(data, _read(overrides))
    elif environment:
        raise ConfigError([f"environment {name!r} has no file: create {overrides}"])
    data["environment"] = name
    problems = _secrets_in_files(data)
    problems += _apply_secrets(data, root / "secrets")
    try:
        settings = Settings.model_validate(data)
    except ValidationError as error:
        raise ConfigError(problems + [_explain(item) for item in error.errors()]) from None
    if problems:
        raise ConfigError(problems)
    return settings


def masked(settings: Settings) -> dict[str, Any]:
    """Return the settings as plain data in which every secret reads ``********``."""
    shown: dict[str, Any] = settings.model_dump(mode="json")
    return shown


def unusable(settings: Settings) -> list[str]:
    """Say what keeps the service from starting with these settings: a missing secret, a file that can't be read."""
    problems = []
    if settings.auth.token_secret is None:
        problems.append("auth.token_secret is missing: write 32 or more random characters to secrets/auth.token_secret")
    if settings.auth.oidc and settings.server.public_url is None:
        problems.append("auth.oidc needs server.public_url: the provider sends people back to that address")
    wanted = {"database.sslrootcert": settings.database.sslrootcert}
    if settings.server.tls:
        wanted["server.tls.certificate"] = settings.server.tls.certificate
        wanted["server.tls.key"] = settings.server.tls.key
    if settings.redis.tls:
        wanted["redis.tls.ca"] = settings.redis.tls.ca
    if settings.auth.ldap and settings.auth.ldap.ca:
        wanted["auth.ldap.ca"] = settings.auth.ldap.ca
    if settings.auth.oidc and settings.auth.oidc.ca:
        wanted["auth.oidc.ca"] = settings.auth.oidc.ca
    for key, path in wanted.items():
        if path and not os.access(path, os.R_OK):
            problems.append(f"{key}: {path} can't be read by this account")
    return problems


def _base(root: Path) -> dict[str, Any]:
    found = [root / name for name in ("config.json", "config.yaml") if (root / name).exists()]
    if not found:
        raise ConfigError([f"no configuration: create {root / 'config.json'} (or set AIGO_CONFIG_DIR)"])
    if len(found) > 1:
        raise ConfigError([f"both {found[0]} and {found[1].name} exist: keep one of them"])
    return _read(found[0])


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        data = yaml.safe_load(text) if path.suffix == ".yaml" else json.loads(text)
    except (OSError, UnicodeDecodeError, ValueError, yaml.YAMLError) as error:
        raise ConfigError([f"{path}: {error}"]) from None
    if not isinstance(data, dict):
        raise ConfigError([f"{path}: the top level must be an object, not {type(data).__name__}"])
    return data


def _merge(base: dict[str, Any], over: dict[str, Any]) -> None:
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            _merge(base[key], value)
        else:
            base[key] = value


def _secrets_in_files(data: dict[str, Any]) -> list[str]:
    problems = []
    for key in SECRETS:
        *sections, leaf = key.split(".")
        part: Any = data
        for section in sections:
            part = part.get(section) if isinstance(part, dict) else None
        if isinstance(part, dict) and leaf in part:
            problems.append(f"{key} is a secret: remove it from the configuration and put it in secrets/{key}")
    for section, leaf in _NAMED.items():
        for entry in _entries(data, section):
            if leaf in entry:
                key = f"{section}.{entry.get('name')}.{leaf}"
                problems.append(f"{key} is a secret: remove it from the configuration and put it in secrets/{key}")
    storage = data.get("storage")
    if isinstance(storage, dict) and "keys" in storage:
        problems.append("storage.keys are secrets: remove them and put each in secrets/storage.keys.<name>")
    return problems


def _apply_secrets(data: dict[str, Any], directory: Path) -> list[str]:
    if not directory.is_dir():
        return []
    named = {
        f"{section}.{entry.get('name')}.{leaf}": entry
        for section, leaf in _NAMED.items()
        for entry in _entries(data, section)
    }
    known = [*SECRETS, *named]
    problems = []
    part: Any
    for path in sorted(directory.iterdir()):
        if path.name.startswith(".") or not path.is_file():
            continue
        if path.name not in known and not path.name.startswith(_STORAGE_KEY):
            problems.append(f"secrets/{path.name} is not a known secret{_nearest(path.name, known)}")
            continue
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o007:
            problems.append(f"secrets/{path.name} is open to every user (mode {mode:04o}): chmod 0640")
            continue
        try:
            value = path.read_text(encoding="utf-8").rstrip("\n")
        except PermissionError:
            # The migration password is kept from the service's own account on purpose.
            if path.name != "database.migration_password":
                problems.append(f"secrets/{path.name} can't be read by this account: chgrp it to the service's group")
            continue
        if not value:
            problems.append(f"secrets/{path.name} is empty")
        if path.name in named:
            named[path.name][path.name.rpartition(".")[2]] = value
        else:
            part = data
            *sections, leaf = path.name.split(".")
            for section in sections:
                part = part.setdefault(section, {}) if isinstance(part, dict) else None
            if isinstance(part, dict):
                part[leaf] = value
    return problems


def _entries(data: dict[str, Any], section: str) -> list[dict[str, Any]]:
    entries = data.get(section)
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []


def _explain(item: Any) -> str:
    where = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        return f"unknown key {where}{_nearest(str(item['loc'][-1]), _siblings(item['loc'][:-1]))}"
    if isinstance(item.get("input"), dict | list) or _is_secret(where):
        return f"{where or 'configuration'}: {item['msg']}"
    return f"{where or 'configuration'}: {item['msg']} (it is {item['input']!r})"


def _is_secret(where: str) -> bool:
    return where in SECRETS or where.endswith(("api_key", ".password")) or where.startswith(_STORAGE_KEY)


def _siblings(path: tuple[str | int, ...]) -> list[str]:
    section: Any = Settings
    for part in path:
        if isinstance(part, int):
            continue
        section = _section_in(section.model_fields[part].annotation)
    return list(section.model_fields)


def _section_in(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        if (found := _section_in(inner)) is not None:
            return found
    return None


def _nearest(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f": did you mean {close[0]}?" if close else f": known are {', '.join(sorted(known))}"


def reveal(secret: SecretStr | None) -> str | None:
    """Return the value of a secret, or None where there is none."""
    return secret.get_secret_value() if secret else None
