"""Errors as RFC 9457 problem documents."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from psycopg import InterfaceError, OperationalError
from psycopg_pool import PoolTimeout, TooManyRequests
from starlette.exceptions import HTTPException

from aigo.problems import Problem, problem_document

log = structlog.get_logger()


def _answer(status: int, code: str, detail: str, headers: dict[str, str] | None = None, **more: Any) -> JSONResponse:
    return JSONResponse(
        problem_document(status, code, detail, **more),
        status,
        {**(headers or {}), "Cache-Control": "no-store"},
        media_type="application/problem+json",
    )


async def _on_problem(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Problem)
    return _answer(error.status, error.code, error.detail, error.headers)


async def _on_http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code = getattr(error, "code", HTTPStatus(error.status_code).phrase.lower().replace(" ", "_"))
    return _answer(error.status_code, code, str(error.detail), dict(error.headers or {}))


async def _on_invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    items = [{"at": ".".join(str(part) for part in item["loc"]), "message": item["msg"]} for item in error.errors()]
    return _answer(422, "invalid", "The request doesn't have the form that is asked for.", errors=items)


async def _on_database(_: Request, error: Exception) -> JSONResponse:
    log.warning("database away", error=str(error))
    return _answer(503, "unavailable", "The database can't be reached at the moment.", {"Retry-After": "2"})


def install(app: FastAPI) -> None:
    """Register the handlers."""
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    for kind in (OperationalError, InterfaceError, PoolTimeout, TooManyRequests):
        app.add_exception_handler(kind, _on_database)
