"""``/api/v1/auth/mfa``: one's own second factor."""

from __future__ import annotations

from fastapi import APIRouter, Response

from aigo.auth.models import Enrolment, FactorCode, RecoveryCodes
from aigo.deps import AccountHolder, From, Running, in_person
from aigo.openapi import problems

router = APIRouter(prefix="/api/v1/auth/mfa", tags=["auth"])


@router.post("", status_code=201, responses=problems(409))
async def begin(user: AccountHolder, runtime: Running, response: Response) -> Enrolment:
    """Begin to set up a second factor: put the secret into an authenticator, then confirm with a code."""
    secret, uri = await runtime.signin.enrol(in_person(user))
    response.headers["Cache-Control"] = "no-store"
    return Enrolment(secret=secret, uri=uri)


@router.post("/confirm", responses=problems(409))
async def confirm(
    body: FactorCode, user: AccountHolder, runtime: Running, origin: From, response: Response
) -> RecoveryCodes:
    """Finish setting up with a first code; get the recovery codes."""
    codes = await runtime.signin.confirm(in_person(user), body.code.strip(), origin)
    response.headers["Cache-Control"] = "no-store"
    return RecoveryCodes(recovery_codes=codes)


@router.post("/verify", status_code=204)
async def verify(body: FactorCode, user: AccountHolder, runtime: Running, origin: From) -> Response:
    """Show the second factor in a session that began without it, as those of directories and providers do."""
    await runtime.signin.step_up(in_person(user), body.code.strip(), origin)
    return Response(status_code=204)


@router.post("/remove", status_code=204)
async def remove(body: FactorCode, user: AccountHolder, runtime: Running, origin: From) -> Response:
    """Give the second factor up, by one last code."""
    await runtime.signin.remove_factor(in_person(user), body.code.strip(), origin)
    return Response(status_code=204)
