"""Runs in the database. Whoever ends a run does it here, and only the first one wins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.errors import UniqueViolation
from psycopg.types.json import Jsonb

from aigo.agent import Turn
from aigo.db import Database, Row
from aigo.ids import new_id
from aigo.problems import Problem
from aigo.runs.events import Event

# A runner writes its heartbeat every two seconds; one that was silent for so long is gone.
STALE_SECONDS = 15
# An abandoned run may have streamed events that were never stored. Its last event must come after those.
ABANDONED_GAP = 10_000
# More than fits into most models' context windows; what doesn't is left out when a model is asked.
_HISTORY = 100
_FIELDS = "id, conversation_id, user_id, status, strategy, input, error, usage, model, sources, created_at, finished_at"


@dataclass(frozen=True)
class Outcome:
    """How a run ended, and what the assistant had said by then."""

    status: str
    text: str
    error: dict[str, Any] | None = None
    model: str | None = None
    sources: list[dict[str, Any]] | None = None
    usage: dict[str, Any] | None = None

    @property
    def event_type(self) -> str:
        """The type of the terminal event."""
        return "run.completed" if self.status == "completed" else "run.failed"

    @property
    def event_data(self) -> dict[str, Any]:
        """The data of the terminal event."""
        if self.error is not None:
            return {"status": self.status, "error": self.error}
        told = {"status": self.status, "usage": self.usage, "model": self.model}
        return told | ({"sources": self.sources} if self.sources else {})


def failure(code: str, message: str, retryable: bool) -> dict[str, Any]:
    """Return the error object of a run that didn't complete."""
    return {"code": code, "message": message, "retryable": retryable}


class RunStore:
    """Questions and changes about runs."""

    def __init__(self, db: Database, instance: str) -> None:
        self._db, self._instance = db, instance

    async def start(
        self, user_id: UUID, conversation_id: UUID, text: str, key: str | None, strategy: str | None = None
    ) -> tuple[Row, bool]:
        """Begin a run and store the user's message; return it and whether it is new (a repeated key gives the old one).

        :raises Problem: 404 for a conversation of somebody else, 409 while another run is going on there,
            422 for a key that was used for something else.
        """
        if key and (known := await self._by_key(user_id, conversation_id, text, key)):
            return known, False
        await self.reap(STALE_SECONDS, conversation_id)
        try:
            async with self._db.transaction() as connection:
                return await self._insert(connection, user_id, conversation_id, text, key, strategy), True
        except UniqueViolation as error:
            if key and (known := await self._by_key(user_id, conversation_id, text, key)):
                return known, False
            detail = "A run is going on in this conversation: wait for it or cancel it."
            raise Problem(409, "run_in_progress", detail) from error

    async def _insert(
        self,
        connection: AsyncConnection[Row],
        user_id: UUID,
        conversation_id: UUID,
        text: str,
        key: str | None,
        strategy: str | None,
    ) -> Row:
        run_id = new_id()
        cursor = await connection.execute(
            "UPDATE conversations SET updated_at = now() WHERE id = %s AND user_id = %s AND deleted_at IS NULL"
            " RETURNING id",
            (conversation_id, user_id),
        )
        if await cursor.fetchone() is None:
            raise Problem(404, "not_found", "There is no such conversation.")
        cursor = await connection.execute(
            "INSERT INTO runs (id, conversation_id, user_id, status, strategy, input, idempotency_key, instance)"
            f" VALUES (%s, %s, %s, 'running', %s, %s, %s, %s) RETURNING {_FIELDS}",
            (run_id, conversation_id, user_id, strategy, text, key, self._instance),
        )
        row = await cursor.fetchone()
        assert row is not None
        await connection.execute(
            "INSERT INTO messages (id, conversation_id, run_id, role, content) VALUES (%s, %s, %s, 'user', %s)",
            (new_id(), conversation_id, run_id, text),
        )
        await _insert_events(connection, [Event(run_id, 1, "run.started", {"conversation_id": str(conversation_id)})])
        return row

    async def _by_key(self, user_id: UUID, conversation_id: UUID, text: str, key: str) -> Row | None:
        row = await self._db.one(
            f"SELECT {_FIELDS} FROM runs WHERE user_id = %s AND idempotency_key = %s",
            (user_id, key),
        )
        if row and (row["conversation_id"] != conversation_id or row["input"] != text):
            raise Problem(422, "idempotency_key_reused", "This Idempotency-Key was used for another request.")
        return row

    async def get(self, user_id: UUID, run_id: UUID) -> Row:
        """Return a run of that user; :raises Problem: 404."""
        row = await self._db.one(
            f"SELECT {_FIELDS} FROM runs WHERE id = %s AND user_id = %s",
            (run_id, user_id),
        )
        if row is None:
            raise Problem(404, "not_found", "There is no such run.")
        return row

    async def history(self, conversation_id: UUID, run_id: UUID) -> list[Turn]:
        """Return the last messages of a conversation, oldest first, without those of one run."""
        rows = await self._db.all(
            "SELECT role, content FROM messages WHERE conversation_id = %s AND run_id IS DISTINCT FROM %s"
            " ORDER BY id DESC LIMIT %s",
            (conversation_id, run_id, _HISTORY),
        )
        return [Turn(row["role"], row["content"]) for row in reversed(rows)]

    async def events_after(self, run_id: UUID, sequence: int) -> list[Event]:
        """Return the stored events after a sequence."""
        rows = await self._db.all(
            "SELECT run_id, sequence, type, data FROM run_events WHERE run_id = %s AND sequence > %s ORDER BY sequence",
            (run_id, sequence),
        )
        return [Event.from_wire(row) for row in rows]

    async def save(self, run_id: UUID, events: list[Event]) -> bool:
        """Store events and a heartbeat; return whether the run should go on (nobody ended or cancelled it)."""
        async with self._db.transaction() as connection:
            cursor = await connection.execute(
                "UPDATE runs SET heartbeat_at = now() WHERE id = %s AND status = 'running'"
                " RETURNING cancel_requested_at",
                (run_id,),
            )
            row = await cursor.fetchone()
            if row is None:
                return False
            if events:
                await _insert_events(connection, events)
            return row["cancel_requested_at"] is None

    async def finish(self, run_id: UUID, outcome: Outcome, events: list[Event]) -> bool:
        """End a run with its last events, the answer and all, or do nothing when somebody else ended it before."""
        async with self._db.transaction() as connection:
            cursor = await connection.execute(
                "UPDATE runs SET status = %s, error = %s, usage = %s, model = %s, sources = %s, finished_at = now()"
                " WHERE id = %s AND status = 'running' RETURNING conversation_id",
                (
                    outcome.status,
                    _json(outcome.error),
                    _json(outcome.usage),
                    outcome.model,
                    _json(outcome.sources or None),
                    run_id,
                ),
            )
            row = await cursor.fetchone()
            if row is None:
                return False
            await _insert_events(connection, events)
            if outcome.text:
                await connection.execute(
                    "INSERT INTO messages (id, conversation_id, run_id, role, content)"
                    " VALUES (%s, %s, %s, 'assistant', %s)",
                    (new_id(), row["conversation_id"], run_id, outcome.text),
                )
            return True

    async def request_cancel(self, run_id: UUID) -> None:
        """Ask the process that has the run, wherever it is, to stop it."""
        await self._db.write(
            "UPDATE runs SET cancel_requested_at = now() WHERE id = %s AND status = 'running'", (run_id,)
        )

    async def reap(self, stale_seconds: float, conversation_id: UUID | None = None) -> list[UUID]:
        """End the runs whose process is gone; what was stored of their answers becomes the answer."""
        rows = await self._db.all(
            "SELECT id FROM runs WHERE status = 'running' AND heartbeat_at < now() - make_interval(secs => %(stale)s)"
            " AND (%(one)s::uuid IS NULL OR conversation_id = %(one)s) LIMIT 500",
            {"stale": stale_seconds, "one": conversation_id},
        )
        ended = []
        for row in rows:
            events = await self.events_after(row["id"], 0)
            text = "".join(event.data["text"] for event in events if event.type == "token")
            message = "The process that answered went away. What it had said is kept; ask again for the rest."
            outcome = Outcome("failed", text, failure("orphaned", message, True))
            sequence = (events[-1].sequence if events else 0) + ABANDONED_GAP
            last = Event(row["id"], sequence, outcome.event_type, outcome.event_data)
            if await self.finish(row["id"], outcome, [last]):
                ended.append(row["id"])
        return ended


async def _insert_events(connection: AsyncConnection[Row], events: list[Event]) -> None:
    # A batch is sent again when its acknowledgement was lost with the connection.
    await connection.execute(
        "INSERT INTO run_events (run_id, sequence, type, data)"
        " SELECT * FROM unnest(%s::uuid[], %s::integer[], %s::text[], %s::jsonb[]) ON CONFLICT DO NOTHING",
        (
            [event.run_id for event in events],
            [event.sequence for event in events],
            [event.type for event in events],
            [Jsonb(event.data) for event in events],
        ),
    )


def _json(value: dict[str, Any] | list[Any] | None) -> Jsonb | None:
    return Jsonb(value) if value is not None else None
