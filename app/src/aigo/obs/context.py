"""What every log line of a request, a socket or a job carries."""

from __future__ import annotations

import re
import secrets

import structlog

_GOOD = re.compile(r"^[A-Za-z0-9._-]{1,64}$")


def request_id(given: str | None) -> str:
    """Return the caller's request id if it is harmless, else a new one."""
    return given if given and _GOOD.match(given) else f"req-{secrets.token_hex(8)}"


def bind(**values: str) -> None:
    """Add values to the log lines of the current task."""
    structlog.contextvars.bind_contextvars(**values)


def reset(**values: str) -> None:
    """Start a new context with these values only."""
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(**values)


def current_request_id() -> str | None:
    """Return the request id of the current task."""
    value: str | None = structlog.contextvars.get_contextvars().get("request_id")
    return value
