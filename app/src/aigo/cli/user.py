"""``aigo user``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aigo.auth.permissions import Role
from aigo.cli.common import CommandError, Identity, read_hash, show, with_identity

app = typer.Typer(no_args_is_help=True, help="People who may sign in.")
Name = Annotated[str, typer.Argument(help="The name that the person signs in with.")]
PasswordFile = Annotated[
    Path | None, typer.Option(exists=True, dir_okay=False, help="Read the password from this file, not standard input.")
]


@app.command()
def create(
    name: Name,
    role: Annotated[Role, typer.Option(help="What the person may do.")] = "user",
    display_name: Annotated[str | None, typer.Option(help="The name that is shown.")] = None,
    password_file: PasswordFile = None,
    if_absent: Annotated[bool, typer.Option("--if-absent", help="Leave a user of that name as it is.")] = False,
) -> None:
    """Create a user; the password comes from standard input or a file."""
    if not name.strip() or len(name) > 200:
        raise CommandError("a name needs 1 to 200 characters")
    if if_absent and with_identity(lambda identity: identity.users.by_name(name)):
        show({"changed": False, "name": name})
        return
    password_hash = read_hash(password_file)

    async def act(identity: Identity) -> bool:
        row = await identity.users.create(name, display_name or name, role, password_hash)
        if row:
            await identity.record("user.create", str(row["id"]), name=name, role=role)
        return row is not None

    created = with_identity(act)
    if not created and not if_absent:
        raise CommandError(f"there is a user {name!r} already (--if-absent leaves it as it is)")
    show({"changed": created, "name": name})


@app.command("list")
def list_users() -> None:
    """Print all users."""
    show(with_identity(lambda identity: identity.users.all()))


@app.command()
def set_password(name: Name, password_file: PasswordFile = None) -> None:
    """Replace a password, unlock the account and end its sessions."""
    password_hash = read_hash(password_file)

    async def act(identity: Identity) -> bool:
        done = await identity.users.set_password(name, password_hash)
        if done:
            await identity.record("user.change", name, password="set")  # noqa: S106 (not the password)
        return done

    if not with_identity(act):
        raise CommandError(f"there is no user {name!r} with a password of its own")
    show({"changed": True, "name": name})


@app.command()
def disable(name: Name) -> None:
    """Keep a user from signing in; tokens and keys end within five seconds."""

    async def act(identity: Identity) -> bool | None:
        changed = await identity.users.disable(name)
        if changed:
            await identity.record("user.change", name, disabled=True)
        return changed

    changed = with_identity(act)
    if changed is None:
        raise CommandError(f"there is no user {name!r}")
    show({"changed": changed, "name": name})


@app.command()
def reset_mfa(name: Name) -> None:
    """Remove a lost second factor; the person can set up a new one."""

    async def act(identity: Identity) -> bool | None:
        removed = await identity.users.remove_factor(name)
        if removed:
            await identity.record("user.change", name, remove_second_factor=True)
        return removed

    removed = with_identity(act)
    if removed is None:
        raise CommandError(f"there is no user {name!r}")
    show({"changed": removed, "name": name})
