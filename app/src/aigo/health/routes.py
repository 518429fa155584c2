"""``/health`` touches nothing, ``/ready`` asks what the service stands on, ``/metrics`` counts."""

from __future__ import annotations

import asyncio
import time
from typing import Literal

from fastapi import APIRouter, Response
from psycopg import Error as DatabaseError
from psycopg_pool import PoolTimeout
from pydantic import BaseModel

from aigo import __version__
from aigo.deps import Running, SystemReader
from aigo.obs import metrics
from aigo.runtime import Runtime

router = APIRouter(tags=["health"])
_SECONDS = 2.0


class Health(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"
    version: str


class Check(BaseModel):
    """One dependency: up, away, not configured, or (the schema) behind."""

    status: Literal["up", "away", "off", "behind"]
    latency_ms: float | None = None
    detail: str | None = None


class Readiness(BaseModel):
    """``unavailable`` only without PostgreSQL; ``degraded`` says what works less well."""

    status: Literal["ready", "degraded", "unavailable"]
    version: str
    draining: bool
    checks: dict[str, Check]


@router.get("/health")
async def health() -> Health:
    """Say that the process answers."""
    return Health(version=__version__)


@router.get("/ready", responses={503: {"model": Readiness}})
async def ready(runtime: Running, response: Response) -> Readiness:
    """Say whether requests can be served, and what is missing."""
    readiness = await _readiness(runtime)
    if readiness.status == "unavailable":
        response.status_code = 503
        response.headers["Retry-After"] = "2"
    response.headers["Cache-Control"] = "no-store"
    return readiness


@router.get("/api/v1/system")
async def system(user: SystemReader, runtime: Running, response: Response) -> Readiness:
    """Say the same to people: a proxy in front keeps ``/ready`` for machines inside."""
    response.headers["Cache-Control"] = "no-store"
    return await _readiness(runtime)


@router.get("/metrics", response_class=Response)
async def prometheus() -> Response:
    """Return the metrics of all processes of this service."""
    return Response(metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8")


async def _readiness(runtime: Runtime) -> Readiness:
    database, redis = await asyncio.gather(_database(runtime), _redis(runtime))
    checks = {"database": database, "redis": redis, "models": _models(runtime)}
    for name in ("database", "redis"):
        metrics.degraded.labels(name).set(int(checks[name].status == "away"))
    status: Literal["ready", "degraded", "unavailable"] = "ready"
    if any(check.status in ("away", "behind") for check in checks.values()):
        status = "degraded"
    if database.status == "away":
        status = "unavailable"
    return Readiness(status=status, version=__version__, draining=runtime.draining.is_set(), checks=checks)


async def _database(runtime: Runtime) -> Check:
    started = time.perf_counter()
    try:
        async with asyncio.timeout(_SECONDS):
            row = await runtime.db.one("SELECT max(version_num) AS revision FROM alembic_version")
    except (DatabaseError, PoolTimeout, TimeoutError) as error:
        if isinstance(error, DatabaseError) and error.sqlstate == "42P01":
            return Check(status="behind", detail="no schema yet: run aigo migrate")
        return Check(status="away", detail="requests that need the database are refused")
    latency = round((time.perf_counter() - started) * 1000, 1)
    revision = row["revision"] if row else None
    if revision is None or (runtime.head_revision and revision < runtime.head_revision):
        return Check(status="behind", latency_ms=latency, detail="an old schema: run aigo migrate")
    return Check(status="up", latency_ms=latency)


async def _redis(runtime: Runtime) -> Check:
    if not runtime.cache.enabled:
        return Check(status="off", detail="not configured: PostgreSQL does its work")
    started = time.perf_counter()
    if await runtime.cache.ping():
        return Check(status="up", latency_ms=round((time.perf_counter() - started) * 1000, 1))
    return Check(status="away", detail="streams between processes come from PostgreSQL, a little later")


def _models(runtime: Runtime) -> Check:
    endpoints = runtime.agent.endpoints
    if not runtime.settings.models:
        return Check(status="up", detail="the embedded scripted model")
    told = [f"{endpoint.name} (left alone)" if endpoint.breaker.open else endpoint.name for endpoint in endpoints]
    away = all(endpoint.breaker.open for endpoint in endpoints)
    return Check(status="away" if away else "up", detail=", ".join(told))
