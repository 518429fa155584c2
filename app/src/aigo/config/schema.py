"""Every key of the configuration, with its type, its limits and its default."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr, model_validator

from aigo.config.identity import Auth, Limits
from aigo.config.material import Documents, Storage, Web
from aigo.config.section import Section

_ENDPOINT = re.compile(r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})$")


def _endpoint(value: str) -> str:
    match = _ENDPOINT.match(value)
    if match is None or not 0 < int(match.group(2)) < 65536:
        raise ValueError(f"{value!r} is not host:port (an IPv6 address goes in brackets)")
    return value


def split_endpoint(value: str) -> tuple[str, int]:
    """Split ``host:port`` (or ``[v6]:port``) into a host without brackets and a port."""
    host, _, port = value.rpartition(":")
    return host.strip("[]"), int(port)


Endpoint = Annotated[str, AfterValidator(_endpoint)]
Port = Annotated[int, Field(ge=1, le=65535)]


class Tls(Section):
    """A certificate and its key, as PEM files."""

    certificate: str
    key: str


class Server(Section):
    """The listeners of ``aigo serve``."""

    api_host: str = "127.0.0.1"
    api_port: Port = 8000
    ws_host: str = "127.0.0.1"
    ws_port: Port = 8001
    processes: Annotated[int, Field(ge=1, le=256)] = 2
    public_url: str | None = None
    trusted_proxies: list[str] = []
    tls: Tls | None = None
    drain_seconds: Annotated[float, Field(ge=0, le=600)] = 20


class Database(Section):
    """PostgreSQL. Several hosts are tried in order for the one that accepts writes."""

    hosts: Annotated[list[Endpoint], Field(min_length=1)] = ["127.0.0.1:5432"]
    name: str = "aigo"
    user: str = "aigo_app"
    password: SecretStr | None = None
    migration_user: str | None = None
    migration_password: SecretStr | None = None
    sslmode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] = "prefer"
    sslrootcert: str | None = None
    pool_min: Annotated[int, Field(ge=0, le=100)] = 1
    pool_max: Annotated[int, Field(ge=2, le=500)] = 10

    @model_validator(mode="after")
    def _pool(self) -> Database:
        if self.pool_min > self.pool_max:
            raise ValueError(f"pool_min ({self.pool_min}) is more than pool_max ({self.pool_max})")
        return self


class Sentinel(Section):
    """The Sentinels that know the current Redis primary."""

    nodes: Annotated[list[Endpoint], Field(min_length=1)]
    service: str


class RedisTls(Section):
    """The authority that signed Redis' certificates."""

    ca: str


class Redis(Section):
    """Redis. With neither nodes nor Sentinels the application does without it."""

    nodes: list[Endpoint] = []
    sentinel: Sentinel | None = None
    username: str | None = None
    password: SecretStr | None = None
    tls: RedisTls | None = None

    @property
    def enabled(self) -> bool:
        """Whether a Redis is configured at all."""
        return bool(self.nodes) or self.sentinel is not None


class Model(Section):
    """One model endpoint; the list is tried in order."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    kind: Literal["openai", "anthropic", "scripted"] = "openai"
    base_url: str | None = None
    model: str | None = None
    api_key: SecretStr | None = None
    timeout_seconds: Annotated[float, Field(gt=0, le=3600)] = 60
    first_token_seconds: Annotated[float, Field(gt=0, le=3600)] | None = None
    context_tokens: Annotated[int, Field(ge=512, le=10_000_000)] = 32_768
    breaker_failures: Annotated[int, Field(ge=1, le=100)] = 3
    breaker_seconds: Annotated[float, Field(gt=0, le=3600)] = 30

    @model_validator(mode="after")
    def _complete(self) -> Model:
        if self.kind == "openai" and not (self.base_url and self.model):
            raise ValueError(f"model {self.name!r} of kind openai needs base_url and model")
        if self.kind == "anthropic" and not (self.model and self.api_key):
            raise ValueError(f"model {self.name!r} of kind anthropic needs model, and its key in secrets/")
        return self


class Agent(Section):
    """Bounds of one run of the agent."""

    max_steps: Annotated[int, Field(ge=1, le=100)] = 8
    timeout_seconds: Annotated[float, Field(gt=0, le=3600)] = 120
    max_tokens: Annotated[int, Field(ge=1, le=1_000_000)] = 2048
    run_tokens: Annotated[int, Field(ge=1, le=100_000_000)] = 200_000
    strategy: Literal["react", "plan"] = "react"
    plan_steps: Annotated[int, Field(ge=1, le=20)] = 5


class Source(Section):
    """A database that the agent may read for people of these roles and names, by an account of its own."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    description: Annotated[str, Field(min_length=1, max_length=500)]
    hosts: Annotated[list[Endpoint], Field(min_length=1)]
    database: str
    user: str
    password: SecretStr | None = None
    sslmode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] = "prefer"
    sslrootcert: str | None = None
    roles: list[Literal["user", "auditor", "admin"]] = []
    users: list[str] = []
    statement_seconds: Annotated[float, Field(gt=0, le=300)] = 10
    max_rows: Annotated[int, Field(ge=1, le=10_000)] = 100


class Worker(Section):
    """``aigo worker``: so many processes, each with so many jobs at a time."""

    processes: Annotated[int, Field(ge=1, le=256)] = 1
    concurrency: Annotated[int, Field(ge=1, le=100)] = 4


class Logging(Section):
    """What goes to standard output."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "text"] = "json"


class Settings(Section):
    """The whole configuration."""

    environment: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")] = "production"
    server: Server = Server()
    database: Database = Database()
    redis: Redis = Redis()
    models: list[Model] = []
    agent: Agent = Agent()
    web: Web = Web()
    sources: list[Source] = []
    storage: Storage = Storage()
    documents: Documents = Documents()
    auth: Auth = Auth()
    limits: Limits = Limits()
    worker: Worker = Worker()
    logging: Logging = Logging()

    @model_validator(mode="after")
    def _unique_names(self) -> Settings:
        for section, entries in (("models", self.models), ("sources", self.sources)):
            names = [entry.name for entry in entries]
            for name in names:
                if names.count(name) > 1:
                    raise ValueError(f"{section} has two entries named {name!r}: give each its own name")
        return self
