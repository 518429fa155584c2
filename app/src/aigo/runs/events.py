"""The events of a run, as stored, streamed and replayed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

TERMINAL = frozenset({"run.completed", "run.failed"})


@dataclass(frozen=True)
class Event:
    """One event. Sequences rise from 1; only the last event of an abandoned run may leave a gap."""

    run_id: UUID
    sequence: int
    type: str
    data: dict[str, Any]

    @property
    def terminal(self) -> bool:
        """Whether nothing comes after this event."""
        return self.type in TERMINAL

    def to_json(self) -> str:
        """Return the event as it goes over a wire."""
        body = {"run_id": str(self.run_id), "sequence": self.sequence, "type": self.type, "data": self.data}
        return json.dumps(body, ensure_ascii=False, separators=(",", ":"))

    def to_sse(self) -> bytes:
        """Return the event as a server-sent event."""
        return f"id: {self.sequence}\nevent: {self.type}\ndata: {self.to_json()}\n\n".encode()

    @classmethod
    def from_wire(cls, body: dict[str, Any]) -> Event:
        """Rebuild an event from :meth:`to_json`'s object or from a row."""
        return cls(UUID(str(body["run_id"])), body["sequence"], body["type"], body["data"])


def stream_key(run_id: UUID) -> str:
    """Return the name of a run's live stream in Redis."""
    return f"aigo:run:{run_id}"
