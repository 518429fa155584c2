"""``/api/v1/audit``."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, field_validator

from aigo.deps import Auditor, Running
from aigo.text import Prose

router = APIRouter(prefix="/api/v1/audit", tags=["audit"])
Filter = Annotated[Prose | None, Query(min_length=1, max_length=200)]


class AuditEntry(BaseModel):
    """One entry; the hash covers it and ``previous_hash``."""

    sequence: int
    at: datetime
    actor_id: UUID | None
    actor_name: str
    action: str
    target: str | None
    outcome: Literal["success", "failure"]
    address: str | None
    request_id: str | None
    details: dict[str, Any]
    previous_hash: str
    hash: str

    @field_validator("previous_hash", "hash", mode="before")
    @classmethod
    def _hex(cls, value: Any) -> Any:
        return bytes(value).hex()


@router.get("")
async def read(
    user: Auditor,
    runtime: Running,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    before: Annotated[int | None, Query(ge=1, lt=2**63)] = None,
    action: Filter = None,
    actor: Filter = None,
) -> list[AuditEntry]:
    """Read the audit log, newest first; ``before`` is the last number of the page that came before."""
    return [AuditEntry.model_validate(row) for row in await runtime.audit.page(limit, before, action, actor)]
