"""The keys about signing in and about limits."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from aigo.auth.permissions import Role
from aigo.config.section import Section

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_ENDPOINT = re.compile(r"^(GET|POST|PUT|PATCH|DELETE) /\S*$")


class Lockout(Section):
    """After so many wrong passwords in a row an account is locked for a while."""

    attempts: Annotated[int, Field(ge=1, le=100)] = 5
    minutes: Annotated[int, Field(ge=1, le=10_080)] = 15


class Mfa(Section):
    """The second factor."""

    required_roles: list[Role] = []
    secret: SecretStr | None = None

    @field_validator("secret")
    @classmethod
    def _strong(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < 32:
            raise ValueError("secret is shorter than 32 characters")
        return value


class Mapping(Section):
    """Which groups of a directory make which role; the mightiest role wins."""

    roles: dict[Role, list[str]] = {}
    default_role: Role | None = None

    @model_validator(mode="after")
    def _somebody(self) -> Mapping:
        if not any(self.roles.values()) and self.default_role is None:
            raise ValueError("nobody could sign in: give roles some groups, or set default_role")
        return self


class Ldap(Mapping):
    """An LDAP directory or Active Directory."""

    url: str
    bind_dn: str
    bind_password: SecretStr | None = None
    base_dn: str
    user_filter: str = "(uid={name})"
    group_base_dn: str | None = None
    group_filter: str = "(member={dn})"
    name_attribute: str = "uid"
    display_name_attribute: str = "cn"
    id_attribute: str = "entryUUID"
    start_tls: bool = True
    ca: str | None = None
    timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 5

    @model_validator(mode="after")
    def _usable(self) -> Ldap:
        url = urlsplit(self.url)
        if url.scheme not in ("ldap", "ldaps") or not url.hostname:
            raise ValueError(f"url {self.url!r} is not ldaps://host[:port] or ldap://host[:port]")
        if url.scheme == "ldap" and not self.start_tls and url.hostname not in _LOOPBACK:
            raise ValueError("passwords would cross the network in the clear: use ldaps:// or start_tls")
        for name, mark in (("user_filter", "{name}"), ("group_filter", "{dn}")):
            if getattr(self, name).count(mark) != 1:
                raise ValueError(f"{name} must contain {mark} once")
        return self


class Oidc(Mapping):
    """An OpenID Connect provider."""

    issuer: str
    client_id: str
    client_secret: SecretStr | None = None
    scopes: list[str] = ["openid", "profile", "email"]
    name_claim: str = "preferred_username"
    role_claim: str = "groups"
    label: str = "Single sign-on"
    ca: str | None = None
    timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 5

    @model_validator(mode="after")
    def _usable(self) -> Oidc:
        url = urlsplit(self.issuer)
        if not url.hostname or (url.scheme != "https" and not (url.scheme == "http" and url.hostname in _LOOPBACK)):
            raise ValueError(f"issuer {self.issuer!r} is not an https:// address")
        if "openid" not in self.scopes:
            raise ValueError("scopes must contain openid")
        return self


class Auth(Section):
    """Signing in."""

    token_secret: SecretStr | None = None
    token_minutes: Annotated[int, Field(ge=1, le=1440)] = 15
    session_hours: Annotated[float, Field(gt=0, le=8760)] = 12
    lockout: Lockout = Lockout()
    mfa: Mfa = Mfa()
    ldap: Ldap | None = None
    oidc: Oidc | None = None

    @model_validator(mode="after")
    def _strong(self) -> Auth:
        if self.token_secret is not None and len(self.token_secret.get_secret_value()) < 32:
            raise ValueError("token_secret is shorter than 32 characters")
        return self


class Rate(Section):
    """So many requests a minute on average, and so many at once."""

    per_minute: Annotated[float, Field(gt=0)]
    burst: Annotated[int, Field(ge=1)]


class EndpointRate(Rate):
    """A limit on one endpoint, for each user, or for each address where nobody is signed in."""

    endpoint: str

    @field_validator("endpoint")
    @classmethod
    def _form(cls, value: str) -> str:
        if not _ENDPOINT.match(value):
            raise ValueError(f"{value!r} is not a method and a path as in the API document: POST /api/v1/auth/login")
        return value


_SIGN_IN = [
    EndpointRate(endpoint="POST /api/v1/auth/login", per_minute=30, burst=20),
    EndpointRate(endpoint="POST /api/v1/auth/refresh", per_minute=60, burst=60),
]


class Limits(Section):
    """How much one address, one user, and one user at one endpoint may ask."""

    enabled: bool = True
    address: Rate = Rate(per_minute=6000, burst=2000)
    user: Rate = Rate(per_minute=1200, burst=400)
    endpoints: list[EndpointRate] = _SIGN_IN
