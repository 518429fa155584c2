"""What a run brings along: what its tools may reach, what they found, what it has used up."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol
from uuid import UUID

_MARK = re.compile(r"\[(\d{1,3})\]")


@dataclass(frozen=True)
class Passage:
    """A piece of a document that answers a search."""

    document_id: UUID
    name: str
    ordinal: int
    page: int | None
    text: str
    score: float


class Library(Protocol):
    """Somebody's documents."""

    async def search(self, query: str, limit: int) -> list[Passage]:
        """Return the passages nearest to a query, the nearest first."""


class Web(Protocol):
    """The part of the web that tools may read."""

    async def get(self, url: str) -> str:
        """Return a page as text; :raises Refused: when it may not or can't be read."""


class Source(Protocol):
    """A database that may be asked."""

    name: str
    description: str

    async def query(self, statement: str) -> str:
        """Return rows as text; :raises Refused: when the statement may not or can't be run."""


class Refused(Exception):
    """A tool may not or can't do what the model asked of it; the sentence is for the model."""


@dataclass
class Context:
    """What the tools of one run may reach. By default that is nothing."""

    library: Library | None = None
    web: Web | None = None
    sources: Sequence[Source] = ()
    found: list[Passage] = field(default_factory=list)

    def number(self, passage: Passage) -> int:
        """Return the number under which an answer cites a passage."""
        for number, known in enumerate(self.found, 1):
            if (known.document_id, known.ordinal) == (passage.document_id, passage.ordinal):
                return number
        self.found.append(passage)
        return len(self.found)

    def cited(self, answer: str) -> list[dict[str, Any]]:
        """Return the passages to which an answer refers as ``[1]``, in the order of their numbers."""
        numbers = {int(number) for number in _MARK.findall(answer)}
        return [
            {
                "number": number,
                "document_id": str(passage.document_id),
                "name": passage.name,
                "ordinal": passage.ordinal,
                "page": passage.page,
                "excerpt": passage.text[:300],
            }
            for number, passage in enumerate(self.found, 1)
            if number in numbers
        ]


@dataclass
class Tally:
    """What a run has used so far; it counts also when the run fails or is cancelled."""

    usage: Any = None
    endpoints: list[str] = field(default_factory=list)

    def shown(self) -> dict[str, Any] | None:
        """Return the numbers as they are stored, or None before the first request."""
        if self.usage is None:
            return None
        numbers = {name: getattr(self.usage, name) for name in ("input_tokens", "output_tokens")}
        numbers |= {name: getattr(self.usage, name) for name in ("requests", "tool_calls")}
        return {**numbers, "endpoints": list(self.endpoints)}


@dataclass(frozen=True)
class Turn:
    """One earlier message of the conversation."""

    role: Literal["user", "assistant"]
    content: str


@dataclass(frozen=True)
class Step:
    """Something that happened.

    ``token``, ``tool.call`` and ``tool.result``; ``plan`` and ``plan.step`` where there is a plan; ``end`` once, with
    usage, model and the sources that the answer cites.
    """

    type: Literal["token", "tool.call", "tool.result", "plan", "plan.step", "end"]
    data: dict[str, Any]


class AgentFailure(Exception):
    """The agent couldn't finish: a stable code, a sentence, and whether trying again makes sense."""

    def __init__(self, code: str, message: str, retryable: bool) -> None:
        super().__init__(message)
        self.code, self.message, self.retryable = code, message, retryable
