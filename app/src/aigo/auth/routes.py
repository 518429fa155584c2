"""``/api/v1/auth``: signing in and out, and one's own sessions and password."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Depends, Response

from aigo.auth.models import Credentials, Method, PasswordChange, RefreshToken, Token
from aigo.auth.sessions import Session
from aigo.auth.store import User
from aigo.deps import AccountHolder, From, Running, in_person, limited
from aigo.openapi import problems
from aigo.problems import Problem

router = APIRouter(prefix="/api/v1/auth", tags=["auth"])


@router.get("/methods", dependencies=[Depends(limited)])
async def methods(runtime: Running) -> list[Method]:
    """Say how one can sign in here."""
    ways = [Method(kind="password", label="Password", url="/api/v1/auth/login")]
    if oidc := runtime.settings.auth.oidc:
        ways.append(Method(kind="oidc", label=oidc.label, url="/api/v1/auth/oidc/start"))
    return ways


@router.post("/login", dependencies=[Depends(limited)], responses=problems(401, 403, 409))
async def login(body: Credentials, runtime: Running, origin: From) -> Token:
    """Exchange a password (and a code, where there is a second factor) for tokens.

    The problem ``second_factor_required`` means that the password was right and a code is missing.
    """
    return Token.of(await runtime.signin.login(body.name, body.password, body.code, origin))


@router.post("/refresh", dependencies=[Depends(limited)], responses=problems(401))
async def refresh(body: RefreshToken, runtime: Running, origin: From) -> Token:
    """Exchange a refresh token for new tokens; one that was exchanged before ends its session."""
    return Token.of(await runtime.signin.refresh(body.refresh_token, origin))


@router.post("/logout", status_code=204)
async def logout(user: AccountHolder, runtime: Running, origin: From) -> Response:
    """End the session of the token that is sent."""
    await runtime.signin.logout(user, origin)
    return Response(status_code=204)


@router.get("/me")
async def me(user: AccountHolder) -> User:
    """Say who is signed in, and what that allows."""
    return user


@router.post("/password", status_code=204, responses=problems(409))
async def change_password(body: PasswordChange, user: AccountHolder, runtime: Running, origin: From) -> Response:
    """Replace one's own password; all one's sessions end, this one too."""
    await runtime.signin.change_password(in_person(user), body.current_password, body.new_password, origin)
    return Response(status_code=204)


@router.get("/sessions")
async def list_sessions(user: AccountHolder, runtime: Running) -> list[Session]:
    """List where one is signed in."""
    sessions = await runtime.auth.sessions.of_user(user.id)
    return [session.model_copy(update={"current": session.id == user.session_id}) for session in sessions]


@router.delete("/sessions/{session_id}", status_code=204, responses=problems(404))
async def end_session(session_id: UUID, user: AccountHolder, runtime: Running, origin: From) -> Response:
    """End one of one's own sessions."""
    if not await runtime.auth.sessions.end(user.id, session_id):
        raise Problem(404, "not_found", "There is no such session.")
    await runtime.auth.forget_session(session_id)
    await runtime.audit.record(
        "session.end", actor=(user.id, user.name), origin=origin, target=str(session_id), reason="by hand"
    )
    return Response(status_code=204)


@router.delete("/sessions", status_code=204)
async def end_other_sessions(user: AccountHolder, runtime: Running, origin: From) -> Response:
    """End all one's sessions but the one that is used."""
    ended = await runtime.auth.sessions.end(user.id, keep=user.session_id)
    await runtime.auth.forget_session(*ended)
    await runtime.audit.record("session.end", actor=(user.id, user.name), origin=origin, number=len(ended))
    return Response(status_code=204)
