"""``/api/v1/auth`` and ``/api/v1/keys``."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, Field

from aigo.auth.store import User
from aigo.deps import Credential, CurrentUser, Running
from aigo.problems import Problem
from aigo.text import Prose

router = APIRouter(prefix="/api/v1", tags=["auth"])


class Credentials(BaseModel):
    """A name and its password."""

    name: Annotated[Prose, Field(min_length=1, max_length=200)]
    password: Annotated[Prose, Field(min_length=1, max_length=1024)]


class Token(BaseModel):
    """A bearer token and how long it lives."""

    access_token: str
    token_type: str = "bearer"  # noqa: S105 (the scheme's name)
    expires_in: int
    user: User


class NewKey(BaseModel):
    """What a key is for, and until when."""

    name: Annotated[Prose, Field(min_length=1, max_length=200)]
    expires_at: datetime | None = None


class Key(BaseModel):
    """A key without its secret."""

    id: str
    name: str
    created_at: datetime
    expires_at: datetime | None
    revoked: bool = False


class CreatedKey(Key):
    """A key with its full text, shown this once."""

    key: str


@router.post("/auth/login")
async def login(body: Credentials, runtime: Running) -> Token:
    """Exchange a password for a short-lived token."""
    user, token, seconds = await runtime.auth.login(body.name, body.password)
    return Token(access_token=token, expires_in=seconds, user=user)


@router.post("/auth/logout", status_code=204)
async def logout(credential: Credential, user: CurrentUser, runtime: Running) -> Response:
    """End the session of the token that is sent."""
    await runtime.auth.logout(credential)
    return Response(status_code=204)


@router.get("/auth/me")
async def me(user: CurrentUser) -> User:
    """Say who is signed in."""
    return user


@router.post("/keys", status_code=201)
async def create_key(body: NewKey, user: CurrentUser, runtime: Running) -> CreatedKey:
    """Create a key for a program."""
    row, text = await runtime.auth.users.create_key(user.id, body.name, body.expires_at)
    return CreatedKey(**row, key=text)


@router.get("/keys")
async def list_keys(user: CurrentUser, runtime: Running) -> list[Key]:
    """List one's own keys."""
    return [Key.model_validate(row, extra="ignore") for row in await runtime.auth.users.keys(user.id)]


@router.delete("/keys/{key_id}", status_code=204)
async def revoke_key(
    key_id: Annotated[str, Path(pattern="^[0-9a-f]{12}$")], user: CurrentUser, runtime: Running
) -> Response:
    """Revoke one of one's own keys."""
    if await runtime.auth.users.revoke_key(key_id, user.id) is None:
        raise Problem(404, "not_found", "There is no such key.")
    await runtime.cache.drop(f"aigo:key:{key_id}")
    return Response(status_code=204)
