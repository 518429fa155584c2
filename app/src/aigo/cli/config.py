"""``aigo config``."""

from __future__ import annotations

from typing import Annotated

import typer

from aigo.cli.common import show
from aigo.config import ConfigError, load_settings, masked, unusable

app = typer.Typer(no_args_is_help=True, help="Look at the configuration.")
Environment = Annotated[str | None, typer.Option("--env", help="The environment; default: $AIGO_ENV, else the file's.")]


@app.command()
def validate(env: Environment = None) -> None:
    """Check every key, secret and file; print all problems at once."""
    settings = load_settings(environment=env)
    if problems := unusable(settings):
        raise ConfigError(problems)
    typer.echo(f"The configuration is valid (environment {settings.environment}).")


@app.command("show")
def show_config(env: Environment = None) -> None:
    """Print the configuration as it is used, defaults included and secrets masked."""
    show(masked(load_settings(environment=env)))
