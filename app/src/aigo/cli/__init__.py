"""The ``aigo`` command. Exit statuses: 0 done, 1 an error that is explained, 2 a wrong call, 3 migrations pending."""

from __future__ import annotations

from typing import Annotated

import typer

from aigo import __version__
from aigo.cli import audit, config, key, migrate, serve, user
from aigo.cli.common import explained

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="The agent server.",
)
app.add_typer(config.app, name="config")
app.add_typer(user.app, name="user")
app.add_typer(key.app, name="key")
app.add_typer(audit.app, name="audit")
app.command("serve")(serve.serve)
app.command("worker")(serve.worker)
app.command("migrate")(migrate.migrate)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")] = False,
) -> None:
    """Run, migrate, check and administer the agent server."""


def main() -> None:
    """Run the command; errors that are expected become one sentence and exit status 1."""
    with explained():
        app()
