"""``aigo key``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from aigo.auth.store import Users
from aigo.cli.common import CommandError, show, with_users

app = typer.Typer(no_args_is_help=True, help="Keys for programs.")


@app.command()
def create(
    user: Annotated[str, typer.Argument(help="Whose key it is.")],
    name: Annotated[str, typer.Argument(help="What it is for.")],
    days: Annotated[int | None, typer.Option(min=1, max=3650, help="Until when it is good; default: no end.")] = None,
) -> None:
    """Create a key and print it, this once."""
    expires = datetime.now(UTC) + timedelta(days=days) if days else None

    async def act(users: Users) -> dict[str, Any]:
        row = await users.by_name(user)
        if row is None:
            raise CommandError(f"there is no user {user!r}")
        key, text = await users.create_key(row["id"], name, expires)
        return {"changed": True, **key, "key": text}

    show(with_users(act))


@app.command("list")
def list_keys(user: Annotated[str | None, typer.Argument(help="Only this user's keys.")] = None) -> None:
    """Print keys, without their secrets."""

    async def act(users: Users) -> list[Any]:
        row = await users.by_name(user) if user else None
        if user and row is None:
            raise CommandError(f"there is no user {user!r}")
        return await users.keys(row["id"] if row else None)

    show(with_users(act))


@app.command()
def revoke(key_id: Annotated[str, typer.Argument(help="The key's id, as the list shows it.")]) -> None:
    """Revoke a key; it ends within five seconds."""
    changed = with_users(lambda users: users.revoke_key(key_id))
    if changed is None:
        raise CommandError(f"there is no key {key_id!r}")
    show({"changed": changed, "id": key_id})
