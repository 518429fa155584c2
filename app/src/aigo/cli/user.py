"""``aigo user``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aigo.auth.store import Role
from aigo.cli.common import CommandError, read_hash, show, with_users

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
    if if_absent and with_users(lambda users: users.by_name(name)):
        show({"changed": False, "name": name})
        return
    password_hash = read_hash(password_file)
    row = with_users(lambda users: users.create(name, display_name or name, role, password_hash))
    if row is None and not if_absent:
        raise CommandError(f"there is a user {name!r} already (--if-absent leaves it as it is)")
    show({"changed": row is not None, "name": name})


@app.command("list")
def list_users() -> None:
    """Print all users."""
    show(with_users(lambda users: users.all()))


@app.command()
def set_password(name: Name, password_file: PasswordFile = None) -> None:
    """Replace a password, unlock the account and end its sessions."""
    password_hash = read_hash(password_file)
    if not with_users(lambda users: users.set_password(name, password_hash)):
        raise CommandError(f"there is no user {name!r}")
    show({"changed": True, "name": name})


@app.command()
def disable(name: Name) -> None:
    """Keep a user from signing in; tokens and keys end within five seconds."""
    changed = with_users(lambda users: users.disable(name))
    if changed is None:
        raise CommandError(f"there is no user {name!r}")
    show({"changed": changed, "name": name})
