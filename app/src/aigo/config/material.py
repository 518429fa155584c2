"""The keys of what the agent works with: stored files, documents and their search, web pages."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr, model_validator

from aigo.config.section import Section

_ALLOWED = re.compile(r"^(https?://)?(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)*(:[0-9]{1,5})?$")
KeyName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]


def _allowed(value: str) -> str:
    if not _ALLOWED.match(value):
        raise ValueError(f"{value!r} is not a host: write example.org, *.example.org, or http://example.org:8080")
    return value


def _network(value: str) -> str:
    ipaddress.ip_network(value)
    return value


class Storage(Section):
    """Where uploaded files are, and the keys that they are encrypted with."""

    directory: str = "/var/lib/aigo/files"
    reserve_bytes: Annotated[int, Field(ge=0)] = 268_435_456
    key_id: KeyName | None = None
    keys: dict[KeyName, SecretStr] = {}

    @model_validator(mode="after")
    def _known_key(self) -> Storage:
        if self.key_id and self.key_id not in self.keys:
            raise ValueError(f"key_id is {self.key_id!r}, but there is no secrets/storage.keys.{self.key_id}")
        if len(self.keys) > 1 and self.key_id is None:
            raise ValueError(f"there are several keys ({', '.join(sorted(self.keys))}): say which one key_id is")
        for name, key in self.keys.items():
            _check_key(name, key)
        return self


class Embedder(Section):
    """What turns text into numbers: an endpoint, or the built-in hashing of words."""

    kind: Literal["hashing", "openai"] = "hashing"
    base_url: str | None = None
    model: str | None = None
    api_key: SecretStr | None = None
    dimensions: Annotated[int, Field(ge=64, le=2000)] = 384
    batch: Annotated[int, Field(ge=1, le=512)] = 32
    timeout_seconds: Annotated[float, Field(gt=0, le=600)] = 30

    @model_validator(mode="after")
    def _complete(self) -> Embedder:
        if self.kind == "openai" and not (self.base_url and self.model):
            raise ValueError("an embedder of kind openai needs base_url and model")
        return self


class Documents(Section):
    """Uploads and their search."""

    max_bytes: Annotated[int, Field(ge=1)] = 52_428_800
    user_bytes: Annotated[int, Field(ge=1)] = 1_073_741_824
    passage_characters: Annotated[int, Field(ge=200, le=8000)] = 1200
    embedder: Embedder = Embedder()


class Web(Section):
    """What the HTTP tool may read; with an empty list there is no such tool."""

    allow: list[Annotated[str, AfterValidator(_allowed)]] = []
    networks: list[Annotated[str, AfterValidator(_network)]] = []
    timeout_seconds: Annotated[float, Field(gt=0, le=120)] = 10
    max_bytes: Annotated[int, Field(ge=1024, le=16_777_216)] = 1_048_576


def _check_key(name: str, key: SecretStr) -> None:
    from aigo.storage.keys import decoded_key

    try:
        decoded_key(key.get_secret_value())
    except ValueError as error:
        raise ValueError(f"secrets/storage.keys.{name} {error}") from None
