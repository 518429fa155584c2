"""JSON lines on standard output, the libraries' lines included."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

from aigo.config.schema import Logging
from aigo.ids import instance_name

# Their ordinary events are told in this package's own words, or not worth a line.
_NOISY = ("alembic", "asyncio", "httpcore2", "httpx", "httpx2", "openai", "procrastinate", "psycopg.pool", "uvicorn")


def configure(settings: Logging, service: str) -> None:
    """Send every log line to standard output as one JSON object (or as text, for people)."""
    instance = instance_name()

    def stamp(_: Any, __: str, event: Any) -> Any:
        event["level"] = str(event.get("level", "info")).upper()
        return event | {"service": service, "instance": instance}

    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="%Y-%m-%dT%H:%M:%S.%fZ", utc=True, key="timestamp"),
        structlog.processors.format_exc_info,
        stamp,
        structlog.processors.EventRenamer("message"),
        _in_order,
    ]
    last: Any = structlog.processors.JSONRenderer(ensure_ascii=False)
    if settings.format == "text":
        last = structlog.processors.KeyValueRenderer()
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(settings.level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.level.upper())
    for noisy in _NOISY:
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _in_order(_: Any, __: str, event: Any) -> Any:
    event["timestamp"] = event["timestamp"][:-4] + "Z"
    first = ("timestamp", "level", "service", "instance", "message")
    return {key: event.pop(key) for key in first} | event
