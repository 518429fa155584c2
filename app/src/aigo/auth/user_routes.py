"""``/api/v1/users``: for administrators, and to read for auditors."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Response

from aigo.auth.models import ListedUser, NewUser, UserChange
from aigo.auth.sessions import Session
from aigo.deps import From, Running, UserReader, UserWriter
from aigo.openapi import problems
from aigo.problems import Problem

router = APIRouter(prefix="/api/v1/users", tags=["users"])


@router.get("")
async def list_users(
    user: UserReader, runtime: Running, limit: Annotated[int, Query(ge=1, le=200)] = 100, after: UUID | None = None
) -> list[ListedUser]:
    """List users, oldest first; ``after`` is the last id of the page that came before."""
    return [ListedUser(**row) for row in await runtime.auth.users.page(limit, after)]


@router.post("", status_code=201, responses=problems(409))
async def create(body: NewUser, user: UserWriter, runtime: Running, origin: From, response: Response) -> ListedUser:
    """Create a local user."""
    hashed = await runtime.signin.hash(body.password)
    row = await runtime.auth.users.create(body.name, body.display_name or body.name, body.role, hashed)
    if row is None:
        raise Problem(409, "name_taken", f"There is a user {body.name!r} already.")
    await runtime.audit.record(
        "user.create", actor=(user.id, user.name), origin=origin, target=str(row["id"]), name=body.name, role=body.role
    )
    response.headers["Location"] = f"/api/v1/users/{row['id']}"
    return ListedUser(**row)


@router.get("/{user_id}", responses=problems(404))
async def get(user_id: UUID, user: UserReader, runtime: Running) -> ListedUser:
    """Return a user."""
    return ListedUser(**await runtime.auth.users.listed(user_id))


@router.patch("/{user_id}", responses=problems(404, 409))
async def change(user_id: UUID, body: UserChange, user: UserWriter, runtime: Running, origin: From) -> ListedUser:
    """Give a user another role, disable or enable, unlock, set a password, remove a lost second factor.

    It counts at once; where Redis can't be reached, within five seconds.
    """
    auth, row = runtime.auth, await runtime.auth.users.listed(user_id)
    managed = row["source"] != "local" and (body.role or body.password or body.display_name)
    if managed:
        raise Problem(409, "managed_elsewhere", "Role, name and password of this user come from the directory.")
    await auth.users.change(
        user_id,
        role=body.role,
        disabled=body.disabled,
        display_name=body.display_name,
        unlock=body.unlock is True or body.disabled is False,
    )
    if body.password:
        await runtime.signin.set_password(row["name"], body.password)
    if body.remove_second_factor:
        await auth.users.remove_factor(row["name"])
    if body.disabled:
        await auth.sessions.end(user_id)
    await auth.forget(user_id)
    changed: dict[str, Any] = {
        field: "set" if field == "password" else value for field, value in body.model_dump(exclude_none=True).items()
    }
    await runtime.audit.record(
        "user.change", actor=(user.id, user.name), origin=origin, target=str(user_id), name=row["name"], **changed
    )
    return ListedUser(**await auth.users.listed(user_id))


@router.get("/{user_id}/sessions", responses=problems(404))
async def list_sessions(user_id: UUID, user: UserReader, runtime: Running) -> list[Session]:
    """List where a user is signed in."""
    await runtime.auth.users.listed(user_id)
    return await runtime.auth.sessions.of_user(user_id)


@router.delete("/{user_id}/sessions", status_code=204, responses=problems(404))
async def end_sessions(user_id: UUID, user: UserWriter, runtime: Running, origin: From) -> Response:
    """End all sessions of a user; keys stay good."""
    row = await runtime.auth.users.listed(user_id)
    ended = await runtime.auth.sessions.end(user_id)
    await runtime.auth.forget_session(*ended)
    await runtime.audit.record(
        "session.end", actor=(user.id, user.name), origin=origin, target=str(user_id), name=row["name"], reason="admin"
    )
    return Response(status_code=204)
