"""``/api/v1/auth/oidc``: to the provider, back from it, and from its answer to tokens.

Browsers go through the first two; errors on the way lead back to the page, with their code after ``#sign-in-failed=``.
No token is ever part of an address: the page exchanges a cookie of one minute, good once, for tokens.
"""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import structlog
from fastapi import APIRouter, Cookie, Depends, Request, Response
from fastapi.responses import RedirectResponse

from aigo.auth.models import Token
from aigo.auth.oidc import Provider, open_cookie, seal_cookie
from aigo.auth.service import unauthenticated
from aigo.deps import From, Running, limited
from aigo.openapi import problems
from aigo.problems import Problem
from aigo.runtime import Runtime

log = structlog.get_logger()
router = APIRouter(prefix="/api/v1/auth/oidc", tags=["auth"], dependencies=[Depends(limited)])
_FLOW, _RESULT = "aigo_oidc", "aigo_oidc_result"
_RESULT_SECONDS = 60
_REDIRECT: dict[int | str, dict[str, Any]] = {303: {"description": "Go there.", "content": {}}}


async def _provider(runtime: Running) -> Provider:
    if runtime.provider is None:
        raise Problem(404, "not_found", "No provider is configured here.")
    return runtime.provider


Configured = Annotated[Provider, Depends(_provider)]


@router.get("/start", status_code=303, response_class=RedirectResponse, responses={**_REDIRECT, **problems(404)})
async def start(provider: Configured, runtime: Running) -> RedirectResponse:
    """Send the browser to the provider."""
    try:
        address, cookie = await provider.start()
    except Problem as problem:
        return _back(f"sign-in-failed={problem.code}")
    answer = _redirect(address)
    _set(answer, runtime, _FLOW, cookie, 600, "lax")
    return answer


@router.get("/callback", status_code=303, response_class=RedirectResponse, responses={**_REDIRECT, **problems(404)})
async def callback(
    request: Request,
    provider: Configured,
    runtime: Running,
    origin: From,
    flow: Annotated[str | None, Cookie(alias=_FLOW)] = None,
) -> RedirectResponse:
    """Take the provider's answer, and send the browser back to the page."""
    settings = runtime.settings.auth.oidc
    assert settings is not None
    try:
        person, strong = await provider.finish(flow, request.query_params)
        row = await runtime.signin.adopt(person, "oidc", settings, origin)
        session = await runtime.signin.open_pending(row, "oidc", strong, origin)
    except Problem as problem:
        log.warning("a sign-in by the provider failed", code=problem.code)
        answer = _back(f"sign-in-failed={problem.code}")
    else:
        answer = _back("signed-in")
        result = seal_cookie(runtime.auth.sealer, {"session": str(session)}, _RESULT_SECONDS)
        _set(answer, runtime, _RESULT, result, _RESULT_SECONDS, "strict")
    answer.delete_cookie(_FLOW, path=router.prefix)
    return answer


@router.post("/token", responses=problems(401))
async def token(
    runtime: Running, origin: From, response: Response, result: Annotated[str | None, Cookie(alias=_RESULT)] = None
) -> Token:
    """Exchange the cookie that the callback has set for tokens, once."""
    opened = open_cookie(runtime.auth.sealer, result)
    if opened is None or "session" not in opened:
        raise unauthenticated("Sign in by the provider first.")
    grant = await runtime.signin.claim(UUID(opened["session"]), origin)
    response.delete_cookie(_RESULT, path=router.prefix)
    return Token.of(grant)


def _redirect(address: str) -> RedirectResponse:
    return RedirectResponse(address, 303, {"Cache-Control": "no-store"})


def _back(fragment: str) -> RedirectResponse:
    return _redirect(f"/#{fragment}")


def _set(answer: Response, runtime: Runtime, name: str, value: str, seconds: int, same_site: str) -> None:
    answer.set_cookie(
        name,
        value,
        max_age=seconds,
        path=router.prefix,
        secure=(runtime.settings.server.public_url or "").startswith("https:"),
        httponly=True,
        samesite="strict" if same_site == "strict" else "lax",
    )
