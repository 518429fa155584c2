"""What route functions ask for."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from aigo.auth.service import unauthenticated
from aigo.auth.store import User
from aigo.obs.context import bind
from aigo.runtime import Runtime


def _runtime(request: Request) -> Runtime:
    runtime: Runtime = request.app.state.runtime
    return runtime


Running = Annotated[Runtime, Depends(_runtime)]


def bearer_of(header: str | None) -> str:
    """Return the credential of an Authorization header; :raises Problem: 401 without one."""
    scheme, _, credential = (header or "").partition(" ")
    if scheme.lower() != "bearer" or not credential.strip():
        raise unauthenticated()
    return credential.strip()


def _credential(request: Request) -> str:
    return bearer_of(request.headers.get("authorization"))


Credential = Annotated[str, Depends(_credential)]


async def _user(credential: Credential, runtime: Running) -> User:
    user = await runtime.auth.user_of(credential)
    bind(user_id=str(user.id))
    return user


CurrentUser = Annotated[User, Depends(_user)]
