"""What route functions ask for."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.openapi.models import HTTPBearer
from fastapi.security import SecurityScopes
from fastapi.security.base import SecurityBase

from aigo.auth.origin import Origin
from aigo.auth.permissions import Permission
from aigo.auth.service import Signed, require, unauthenticated
from aigo.auth.signing import SCHEME, Signature
from aigo.auth.store import User
from aigo.limits.limiter import too_many
from aigo.obs.context import bind
from aigo.problems import Problem
from aigo.runtime import Runtime

_SIGNED_BODY = 1_048_576


# What doesn't wait is async all the same: the framework sends plain functions through a thread, which costs more
# than all the rest of a dependency.
async def _runtime(request: Request) -> Runtime:
    runtime: Runtime = request.app.state.runtime
    return runtime


Running = Annotated[Runtime, Depends(_runtime)]


async def _origin(request: Request) -> Origin:
    agent = request.headers.get("user-agent")
    return Origin(request.client.host if request.client else None, agent[:200].replace("\x00", "") if agent else None)


From = Annotated[Origin, Depends(_origin)]


def bearer_of(header: str | None) -> str:
    """Return the credential of an Authorization header; :raises Problem: 401 without one."""
    scheme, _, credential = (header or "").partition(" ")
    if scheme.lower() != "bearer" or not credential.strip():
        raise unauthenticated()
    return credential.strip()


class _Credential(SecurityBase):
    """Reads a token, a key or a signature from the Authorization header."""

    def __init__(self) -> None:
        self.scheme_name = "credential"
        description = f"A token or a key; or, for signing keys, the scheme {SCHEME}."
        self.model: Any = HTTPBearer(description=description)

    async def __call__(self, request: Request) -> str | Signed:
        header = request.headers.get("authorization")
        scheme, _, rest = (header or "").partition(" ")
        if scheme.upper() != SCHEME:
            return bearer_of(header)
        signature = Signature.parse(rest)
        if signature is None:
            raise unauthenticated(f"The Authorization header isn't of the form that {SCHEME} asks for.")
        length = request.headers.get("content-length", "0")
        if "transfer-encoding" in request.headers or not length.isdigit() or int(length) > _SIGNED_BODY:
            raise Problem(413, "too_large", f"A signed body has a Content-Length of at most {_SIGNED_BODY} bytes.")
        path = request.scope.get("raw_path") or request.scope["path"].encode()
        query = request.scope["query_string"]
        target = (path + b"?" + query if query else path).decode("latin-1")
        return Signed(signature, request.method, target, await request.body())


_credential = _Credential()


async def _take(request: Request, runtime: Runtime, origin: Origin, user: str | None) -> None:
    route = getattr(request.scope.get("route"), "path", request.scope["path"])
    state = await runtime.limiter.take(origin.network, f"{request.method} {route}", user)
    if state is not None:
        headers = [(name.encode(), value.encode()) for name, value in state.headers]
        request.scope.get("aigo.headers", []).extend(headers)
        if not state.allowed:
            raise too_many()


async def _user(
    scopes: SecurityScopes,
    request: Request,
    runtime: Running,
    origin: From,
    credential: Annotated[str | Signed, Depends(_credential)],
) -> User:
    try:
        user = await runtime.auth.user_of(credential)
    except Problem:
        await _take(request, runtime, origin, None)
        raise
    bind(user_id=str(user.id))
    await _take(request, runtime, origin, str(user.id))
    for scope in scopes.scopes:
        require(user, Permission(scope))
    return user


async def limited(request: Request, runtime: Running, origin: From) -> None:
    """Count a request of somebody who isn't signed in, or refuse it with 429."""
    await _take(request, runtime, origin, None)


# A user who may do that; the permission is also part of the API document.
CurrentUser = Annotated[User, Security(_user, scopes=[Permission.CHAT])]
AccountHolder = Annotated[User, Security(_user, scopes=[Permission.ACCOUNT])]
KeyHolder = Annotated[User, Security(_user, scopes=[Permission.KEYS])]
UserReader = Annotated[User, Security(_user, scopes=[Permission.USERS_READ])]
UserWriter = Annotated[User, Security(_user, scopes=[Permission.USERS_WRITE])]
Auditor = Annotated[User, Security(_user, scopes=[Permission.AUDIT_READ])]
SystemReader = Annotated[User, Security(_user, scopes=[Permission.SYSTEM_READ])]


def in_person(user: User) -> User:
    """Return the user; :raises Problem: 403 when a key is used for what takes a person."""
    if user.session_id is None:
        raise Problem(403, "session_needed", "This takes a signed-in person: a key can't do it.")
    return user
