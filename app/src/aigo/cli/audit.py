"""``aigo audit``."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from aigo.cli.common import CommandError, show, with_identity

app = typer.Typer(no_args_is_help=True, help="Who did what.")
_HEAD = re.compile(r"^([0-9]{1,18}):([0-9a-fA-F]{64})$")


@app.callback()
def _group() -> None:
    """Look after the audit log."""


@app.command()
def verify(
    expect: Annotated[
        str | None, typer.Option(help="NUMBER:HASH of an entry as it was noted elsewhere; it must still be there.")
    ] = None,
) -> None:
    """Walk the chain of hashes; exit with 1 and name the first entry that is wrong."""
    match = _HEAD.match(expect) if expect else None
    if expect and match is None:
        raise CommandError(f"--expect {expect!r} is not NUMBER:HASH as this command prints it")

    head = (int(match[1]), match[2]) if match else None
    verdict = with_identity(lambda identity: identity.audit.verify(head))
    if verdict.problem:
        raise CommandError(f"the audit log was tampered with: {verdict.problem}")
    show({"entries": verdict.entries, "head": f"{verdict.sequence}:{verdict.hash}"})
