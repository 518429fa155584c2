"""``/api/v1/keys``: one's own keys for programs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response

from aigo.auth.models import CreatedKey, Key, NewKey
from aigo.deps import From, KeyHolder, Running, in_person
from aigo.openapi import problems
from aigo.problems import Problem

router = APIRouter(prefix="/api/v1/keys", tags=["keys"])


@router.post("", status_code=201)
async def create_key(body: NewKey, user: KeyHolder, runtime: Running, origin: From, response: Response) -> CreatedKey:
    """Create a key. A program can't: a key that makes keys would outlive its own end."""
    for scope in body.scopes or []:
        if scope not in in_person(user).permissions:
            raise Problem(403, "forbidden", f"You don't have the permission {scope} yourself.")
    sealer = runtime.auth.sealer if body.signing else None
    row, text = await runtime.auth.keys.create(in_person(user).id, body.name, body.expires_at, body.scopes, sealer)
    await runtime.audit.record(
        "key.create",
        actor=(user.id, user.name),
        origin=origin,
        target=row["id"],
        scopes=row["scopes"],
        signing=body.signing,
    )
    response.headers["Cache-Control"] = "no-store"
    return CreatedKey(**row, key=text)


@router.get("")
async def list_keys(user: KeyHolder, runtime: Running) -> list[Key]:
    """List one's own keys."""
    return [Key.model_validate(row, extra="ignore") for row in await runtime.auth.keys.all(user.id)]


@router.delete("/{key_id}", status_code=204, responses=problems(404))
async def revoke_key(
    key_id: Annotated[str, Path(pattern="^[0-9a-f]{12}$")], user: KeyHolder, runtime: Running, origin: From
) -> Response:
    """Revoke one of one's own keys."""
    changed = await runtime.auth.keys.revoke(key_id, user.id)
    if changed is None:
        raise Problem(404, "not_found", "There is no such key.")
    await runtime.auth.forget_key(key_id)
    if changed:
        await runtime.audit.record("key.revoke", actor=(user.id, user.name), origin=origin, target=key_id)
    return Response(status_code=204)
