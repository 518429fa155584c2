"""``aigo key``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from aigo.auth.permissions import Permission
from aigo.cli.common import CommandError, Identity, show, with_identity

app = typer.Typer(no_args_is_help=True, help="Keys for programs.")


@app.command()
def create(
    user: Annotated[str, typer.Argument(help="Whose key it is.")],
    name: Annotated[str, typer.Argument(help="What it is for.")],
    days: Annotated[int | None, typer.Option(min=1, max=3650, help="Until when it is good; default: no end.")] = None,
    scope: Annotated[
        list[Permission] | None, typer.Option(help="What it may do, repeatable; default: all that its owner may.")
    ] = None,
) -> None:
    """Create a key and print it, this once."""
    expires = datetime.now(UTC) + timedelta(days=days) if days else None

    async def act(identity: Identity) -> dict[str, Any]:
        row = await identity.users.by_name(user)
        if row is None:
            raise CommandError(f"there is no user {user!r}")
        key, text = await identity.keys.create(row["id"], name, expires, scope or None)
        await identity.record("key.create", key["id"], user=row["name"], scopes=key["scopes"])
        return {"changed": True, **key, "key": text}

    show(with_identity(act))


@app.command("list")
def list_keys(user: Annotated[str | None, typer.Argument(help="Only this user's keys.")] = None) -> None:
    """Print keys, without their secrets."""

    async def act(identity: Identity) -> list[Any]:
        row = await identity.users.by_name(user) if user else None
        if user and row is None:
            raise CommandError(f"there is no user {user!r}")
        return await identity.keys.all(row["id"] if row else None)

    show(with_identity(act))


@app.command()
def revoke(key_id: Annotated[str, typer.Argument(help="The key's id, as the list shows it.")]) -> None:
    """Revoke a key; it ends within five seconds."""

    async def act(identity: Identity) -> bool | None:
        changed = await identity.keys.revoke(key_id)
        if changed:
            await identity.record("key.revoke", key_id)
        return changed

    changed = with_identity(act)
    if changed is None:
        raise CommandError(f"there is no key {key_id!r}")
    show({"changed": changed, "id": key_id})
