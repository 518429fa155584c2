"""The one middleware: request id, security headers, size limit, metrics and the log line, in pure ASGI."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import structlog
from starlette.exceptions import HTTPException

from aigo.obs import metrics
from aigo.obs.context import request_id, reset
from aigo.problems import problem_document

log = structlog.get_logger("aigo.request")
MAXIMUM_BODY = 1_048_576
# Answered many times a minute by machines for machines.
_QUIET = {"/health", "/ready", "/metrics"}
_SECURITY = [
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        # The page never turns a text into markup; the browser is told to refuse it should it ever try.
        b"require-trusted-types-for 'script'; trusted-types 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
]


class _TooLarge(HTTPException):
    """The body is past the limit. The framework lets its own kind of exception through while it reads a body."""

    code = "too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(413, f"A body may have {limit} bytes.", {"Connection": "close"})


class RequestMiddleware:
    """Wraps the whole application; ``uploads`` are the paths whose bodies have limits of their own."""

    def __init__(self, app: Any, uploads: Mapping[str, int]) -> None:
        self._app, self._uploads = app, uploads

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Handle one connection."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: Any, receive: Any, send: Any) -> None:
        started = time.perf_counter()
        headers = dict(scope["headers"])
        identifier = request_id(headers.get(b"x-request-id", b"").decode("latin-1"))
        reset(request_id=identifier)
        # Whoever handles the request may add headers, for example how much of a limit is left.
        scope["aigo.headers"] = extra = [(b"x-request-id", identifier.encode()), *_SECURITY]
        status, first_byte, size = 0, 0.0, 0
        limit = self._uploads.get(scope["path"], MAXIMUM_BODY)

        async def limited() -> Any:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > limit:
                raise _TooLarge(limit)
            return message

        async def with_headers(message: Any) -> None:
            nonlocal status, first_byte
            if message["type"] == "http.response.start":
                status, first_byte = message["status"], time.perf_counter() - started
                message = message | {"headers": [*message.get("headers", []), *extra]}
            await send(message)

        try:
            length = headers.get(b"content-length", b"0")
            if length.isdigit() and int(length) > limit:
                raise _TooLarge(limit)
            await self._app(scope, limited, with_headers)
        except _TooLarge as error:
            await _refuse(with_headers, 413, error.code, error.detail)
        except Exception:
            log.exception("unexpected error", path=scope["path"])
            if status:
                raise
            await _refuse(with_headers, 500, "internal", "Something went wrong; the log has the request id.")
        finally:
            self._record(scope, status, first_byte, started)

    def _record(self, scope: Any, status: int, first_byte: float, started: float) -> None:
        route = getattr(scope.get("route"), "path", "static" if status < 400 else "unmatched")
        metrics.requests.labels(scope["method"], route, status).inc()
        metrics.latency.labels(route).observe(first_byte)
        if scope["path"] not in _QUIET:
            elapsed = round((time.perf_counter() - started) * 1000)
            words = "Request processed" if status < 500 else "Request failed"
            log.info(words, method=scope["method"], path=scope["path"], latency_ms=elapsed, status_code=status)


async def _refuse(send: Any, status: int, code: str, detail: str) -> None:
    body = json.dumps(problem_document(status, code, detail)).encode()
    headers = [(b"content-type", b"application/problem+json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*headers, (b"connection", b"close")]})
    await send({"type": "http.response.body", "body": body})
