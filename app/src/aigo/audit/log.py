"""The audit log: each entry carries the hash of the one before it.

Whoever changes, removes or inserts an entry breaks the chain from there on. Whoever rewrites the whole chain, or cuts
its end off, is found by a head that is kept elsewhere: each entry's number and hash also go to the service's log.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

import structlog
from psycopg.types.json import Jsonb

from aigo.auth.origin import Origin
from aigo.db import Database, Row
from aigo.obs.context import current_request_id
from aigo.text import storable

log = structlog.get_logger("aigo.audit")
Outcome = Literal["success", "failure"]
GENESIS = bytes(32)
_LOCK = 4_242_002
_BATCH = 1000
_FIELDS = (
    "sequence",
    "at",
    "actor_id",
    "actor_name",
    "action",
    "target",
    "outcome",
    "address",
    "request_id",
    "details",
)


@dataclass(frozen=True)
class Verdict:
    """What a verification found: how many entries are good, the head, and the first thing that is wrong."""

    entries: int
    sequence: int
    hash: str
    problem: str | None = None


def entry_hash(previous: bytes, row: Row | dict[str, Any]) -> bytes:
    """Return the hash of an entry: SHA-256 over the hash before it and its fields as canonical JSON."""
    values = [row[field] for field in _FIELDS]
    text = json.dumps(values, default=_plain, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(previous + text.encode()).digest()


def _plain(value: Any) -> str:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value)


class AuditLog:
    """Adds entries, reads them, and verifies the chain."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def record(
        self,
        action: str,
        *,
        actor: tuple[UUID | None, str],
        origin: Origin,
        target: str | None = None,
        outcome: Outcome = "success",
        **details: Any,
    ) -> None:
        """Add an entry. ``actor`` is the id (if it is known) and the name of who did it;
        details are plain: texts, whole numbers, truth values, lists of texts.
        """
        row: dict[str, Any] = {
            "at": datetime.now(UTC),
            "actor_id": actor[0],
            "actor_name": storable(actor[1]),
            "action": action,
            "target": storable(target),
            "outcome": outcome,
            "address": origin.address,
            "request_id": current_request_id(),
            "details": storable(details),
        }
        async with self._db.transaction() as connection:
            # One writer at a time, on all hosts; the lock goes with the transaction.
            await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            cursor = await connection.execute("SELECT sequence, hash FROM audit_log ORDER BY sequence DESC LIMIT 1")
            last = await cursor.fetchone()
            row["sequence"] = last["sequence"] + 1 if last else 1
            row["previous_hash"] = bytes(last["hash"]) if last else GENESIS
            row["hash"] = entry_hash(row["previous_hash"], row)
            await connection.execute(
                "INSERT INTO audit_log (sequence, at, actor_id, actor_name, action, target, outcome, address,"
                " request_id, details, previous_hash, hash) VALUES (%(sequence)s, %(at)s, %(actor_id)s,"
                " %(actor_name)s, %(action)s, %(target)s, %(outcome)s, %(address)s, %(request_id)s, %(details)s,"
                " %(previous_hash)s, %(hash)s)",
                row | {"details": Jsonb(row["details"])},
            )
        log.info("audit", action=action, outcome=outcome, sequence=row["sequence"], hash=row["hash"].hex())

    async def page(self, limit: int, before: int | None, action: str | None, actor: str | None) -> list[Row]:
        """Return entries before a number, newest first, of one action and one actor's name if wanted."""
        return await self._db.all(
            "SELECT * FROM audit_log WHERE (%(before)s::bigint IS NULL OR sequence < %(before)s)"
            " AND (%(action)s::text IS NULL OR action = %(action)s)"
            " AND (%(actor)s::text IS NULL OR lower(actor_name) = lower(%(actor)s))"
            " ORDER BY sequence DESC LIMIT %(limit)s",
            {"before": before, "action": action, "actor": actor, "limit": limit},
        )

    async def verify(self, expected: tuple[int, str] | None = None) -> Verdict:
        """Walk the whole chain; ``expected`` is the number and hash of an entry as it was seen earlier."""
        entries, sequence, previous, problem = 0, 0, GENESIS, None
        found = expected is None
        async for row in self._walk():
            problem = _flaw(row, sequence, previous)
            if problem is None and expected and row["sequence"] == expected[0]:
                found = bytes(row["hash"]).hex() == expected[1].lower()
                problem = None if found else f"entry {expected[0]} isn't the one that was seen earlier"
            if problem:
                break
            entries, sequence, previous = entries + 1, row["sequence"], bytes(row["hash"])
        if problem is None and not found and expected:
            problem = f"entry {expected[0]} is missing: the log ends with entry {sequence}"
        return Verdict(entries, sequence, previous.hex(), problem)

    async def _walk(self) -> AsyncIterator[Row]:
        after = -1
        while rows := await self._db.all(
            "SELECT * FROM audit_log WHERE sequence > %s ORDER BY sequence LIMIT %s", (after, _BATCH)
        ):
            for row in rows:
                yield row
            after = rows[-1]["sequence"]


def _flaw(row: Row, sequence: int, previous: bytes) -> str | None:
    if row["sequence"] != sequence + 1:
        missing = f"entry {sequence + 1} is missing" if row["sequence"] > sequence + 1 else "an entry has been added"
        return f"{missing} before entry {row['sequence']}"
    if bytes(row["previous_hash"]) != previous:
        return f"entry {row['sequence']} doesn't follow the one before it"
    if bytes(row["hash"]) != entry_hash(previous, row):
        return f"entry {row['sequence']} was changed after it had been written"
    return None
