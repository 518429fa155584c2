"""What the endpoints about identity take and give."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field, model_validator

from aigo.auth.passwords import MINIMUM_LENGTH
from aigo.auth.permissions import Permission, Role
from aigo.auth.signin import Grant
from aigo.auth.store import Source, User
from aigo.text import Prose

Name = Annotated[Prose, Field(min_length=1, max_length=200)]
Password = Annotated[Prose, Field(min_length=1, max_length=1024)]
NewPassword = Annotated[Prose, Field(min_length=MINIMUM_LENGTH, max_length=1024)]
Code = Annotated[str, Field(pattern=r"^\s*([0-9]{6}|[0-9A-Fa-f]{4}(-[0-9A-Fa-f]{4}){4})\s*$")]


class Credentials(BaseModel):
    """A name and its password, and the code of a second factor where there is one."""

    name: Name
    password: Password
    code: Code | None = None


class RefreshToken(BaseModel):
    """The newest refresh token of a session."""

    refresh_token: Annotated[str, Field(min_length=1, max_length=4096)]


class Token(BaseModel):
    """A bearer token and how long it lives; the refresh token is good once."""

    access_token: str
    refresh_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 (the scheme's name)
    expires_in: int
    user: User

    @classmethod
    def of(cls, grant: Grant) -> Token:
        """Put a grant into the form that clients get."""
        return cls(access_token=grant.access, refresh_token=grant.refresh, expires_in=grant.seconds, user=grant.user)


class Method(BaseModel):
    """One way to sign in: ``password`` has a form, ``oidc`` an address to go to."""

    kind: Literal["password", "oidc"]
    label: str
    url: str


class PasswordChange(BaseModel):
    """The password as it is, and as it shall be."""

    current_password: Password
    new_password: NewPassword


class FactorCode(BaseModel):
    """A code of the second factor, or a recovery code."""

    code: Code


class Enrolment(BaseModel):
    """What an authenticator application needs."""

    secret: str
    uri: str


class RecoveryCodes(BaseModel):
    """Codes for when the authenticator is lost, each good once; shown this once."""

    recovery_codes: list[str]


class NewKey(BaseModel):
    """What a key is for, until when, what it may do (default: all that its owner may) and whether it signs."""

    name: Name
    expires_at: AwareDatetime | None = None
    scopes: Annotated[list[Permission], Field(min_length=1)] | None = None
    signing: bool = False


class Key(BaseModel):
    """A key without its secret."""

    id: str
    name: str
    scopes: list[str] | None
    signing: bool
    created_at: datetime
    expires_at: datetime | None
    revoked: bool = False


class CreatedKey(Key):
    """A key with its full text, shown this once."""

    key: str


class NewUser(BaseModel):
    """A local user."""

    name: Name
    password: NewPassword
    display_name: Name | None = None
    role: Role = "user"


class UserChange(BaseModel):
    """What shall be different; what isn't named stays."""

    role: Role | None = None
    disabled: bool | None = None
    display_name: Name | None = None
    password: NewPassword | None = None
    unlock: Literal[True] | None = None
    remove_second_factor: Literal[True] | None = None

    @model_validator(mode="after")
    def _something(self) -> UserChange:
        if not self.model_fields_set:
            raise ValueError("nothing is to be changed")
        return self


class ListedUser(BaseModel):
    """A user, as administrators and auditors see one."""

    id: UUID
    name: str
    display_name: str
    role: Role
    source: Source
    disabled: bool
    locked: bool
    enrolled: bool
    created_at: datetime
