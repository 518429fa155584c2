"""The server's configuration: one JSON file, secrets in files of their own."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class SettingsError(ValueError):
    """A configuration that can't be served; the message names the file, the key and the mend."""


@dataclass(frozen=True)
class Settings:
    """What the server needs to know.

    Sizes are in MiB, times in seconds, `context` in tokens for each of the `parallel` conversations.
    """

    model: Path
    name: str
    address: str
    port: int
    certificate: Path
    key: Path
    api_key: Path
    context: int
    parallel: int
    threads: int
    prompt_cache_mb: int
    drain_seconds: int

    def __post_init__(self) -> None:
        limits = {"port": 65535, "context": 1 << 24, "parallel": 256, "threads": 1024}
        for field, highest in limits.items():
            value = getattr(self, field)
            if not 1 <= value <= highest:
                raise ValueError(f"{field} is {value}; give a number from 1 to {highest}")


def load(path: Path) -> Settings:
    """Read a configuration file.

    Raises:
        SettingsError: the file can't be read, a key is missing, unknown or of the wrong type, or a value out of range.
    """
    try:
        raw = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path}: {error}") from error
    if not isinstance(raw, dict):
        raise SettingsError(f"{path}: a JSON object is expected")
    fields = {field.name: field.type for field in dataclasses.fields(Settings)}
    if unknown := sorted(raw.keys() - fields.keys()):
        raise SettingsError(f"{path}: unknown key {unknown[0]!r}; known keys are {', '.join(fields)}")
    if missing := [name for name in fields if name not in raw]:
        raise SettingsError(f"{path}: the key {missing[0]!r} is missing")
    try:
        return Settings(**{name: _typed(path, name, str(kind), raw[name]) for name, kind in fields.items()})
    except ValueError as error:
        raise SettingsError(f"{path}: {error}") from error


def _typed(path: Path, name: str, kind: str, value: object) -> Any:
    wanted: type = int if kind == "int" else str
    if not isinstance(value, wanted) or isinstance(value, bool):
        raise SettingsError(f"{path}: {name} is {value!r}; it must be of the type {wanted.__name__}")
    return Path(str(value)) if kind == "Path" else value
