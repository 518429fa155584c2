"""``aigo migrate``."""

from __future__ import annotations

from typing import Annotated

import typer

from aigo.cli.common import show
from aigo.config import load_settings

PENDING = 3


def migrate(
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit with 3 when something is pending.")
    ] = False,
) -> None:
    """Bring the database's schema up to date; a second migrator waits for the first."""
    from aigo.db import migrate as migrations

    settings = load_settings()
    database, dimensions = settings.database, settings.documents.embedder.dimensions
    if check:
        pending = migrations.check(database, dimensions)
        show({"pending": pending.names})
        raise typer.Exit(PENDING if pending else 0)
    applied = migrations.migrate(database, dimensions)
    show({"changed": bool(applied), "applied": applied.names})
