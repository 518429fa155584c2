"""What the commands share."""

from __future__ import annotations

import asyncio
import getpass
import json
import logging
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import structlog
import typer
from psycopg import Error as DatabaseError
from psycopg_pool import PoolTimeout

from aigo.audit.log import AuditLog
from aigo.auth.keys import Keys
from aigo.auth.origin import Origin
from aigo.auth.store import Users
from aigo.config import ConfigError, load_settings
from aigo.db import Database

T = TypeVar("T")


class CommandError(Exception):
    """Something that the caller can mend."""


@contextmanager
def explained() -> Iterator[None]:
    """Print expected errors on standard error, without a traceback, and exit with 1."""
    try:
        yield
    except ConfigError as error:
        for problem in error.problems:
            typer.echo(f"aigo: {problem}", err=True)
        raise SystemExit(1) from None
    except (CommandError, DatabaseError, PoolTimeout, OSError, ValueError, RuntimeError) as error:
        typer.echo(f"aigo: {error}", err=True)
        raise SystemExit(1) from None


def show(value: Any) -> None:
    """Print a value as JSON."""
    typer.echo(json.dumps(value, default=str, ensure_ascii=False, indent=2))


@dataclass(frozen=True)
class Identity:
    """What commands about people and keys work with."""

    users: Users
    keys: Keys
    audit: AuditLog

    async def record(self, action: str, target: str, **details: Any) -> None:
        """Write down what whoever runs the command has done."""
        actor = (None, f"command line: {getpass.getuser()}")
        await self.audit.record(action, actor=actor, origin=Origin(), target=target, **details)


def quiet_logs() -> None:
    """Keep log lines out of what a command prints; warnings go to standard error."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def with_identity(action: Callable[[Identity], Awaitable[T]]) -> T:
    """Run an action against the configured database."""

    quiet_logs()

    async def run() -> T:
        db = Database(load_settings().database)
        await db.open()
        try:
            return await action(Identity(Users(db), Keys(db), AuditLog(db)))
        finally:
            await db.close()

    return asyncio.run(run())


def read_hash(path: Path | None) -> str:
    """Read a password from the first line of a file or, without one, of standard input; return its hash."""
    from aigo.auth.passwords import hash_password

    if path is None and sys.stdin.isatty():
        return hash_password(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    text = path.read_text(encoding="utf-8") if path else sys.stdin.read()
    lines = text.splitlines()
    return hash_password(lines[0] if lines else "")
