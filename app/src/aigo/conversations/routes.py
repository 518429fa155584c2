"""``/api/v1/conversations``."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from aigo.deps import CurrentUser, Running
from aigo.text import Prose

router = APIRouter(prefix="/api/v1/conversations", tags=["conversations"])
Limit = Annotated[int, Query(ge=1, le=200)]
Title = Annotated[Prose, Field(min_length=1, max_length=200)]


class NewConversation(BaseModel):
    """What a conversation is called."""

    title: Title = "New conversation"


class Rename(BaseModel):
    """Another title."""

    title: Title


class Conversation(BaseModel):
    """A conversation without its messages."""

    id: UUID
    title: str
    created_at: datetime
    updated_at: datetime


class MessageRun(BaseModel):
    """What became of the run that a message belongs to; ``tool_calls`` is unknown until it has completed."""

    status: Literal["running", "completed", "failed", "cancelled"]
    error: dict[str, Any] | None
    model: str | None
    tool_calls: int | None
    sources: list[dict[str, Any]] | None


class Message(BaseModel):
    """One message."""

    id: UUID
    run_id: UUID | None
    role: Literal["user", "assistant"]
    content: str
    created_at: datetime
    run: MessageRun | None


@router.post("", status_code=201)
async def create(body: NewConversation, response: Response, user: CurrentUser, runtime: Running) -> Conversation:
    """Create a conversation."""
    row = await runtime.conversations.create(user.id, body.title)
    response.headers["Location"] = f"/api/v1/conversations/{row['id']}"
    return Conversation(**row)


@router.get("")
async def list_conversations(
    user: CurrentUser, runtime: Running, limit: Limit = 50, before: UUID | None = None
) -> list[Conversation]:
    """List one's conversations, newest first; ``before`` is the last id of the page that came before."""
    return [Conversation(**row) for row in await runtime.conversations.page(user.id, limit, before)]


@router.get("/{conversation_id}")
async def get(conversation_id: UUID, user: CurrentUser, runtime: Running) -> Conversation:
    """Return a conversation."""
    return Conversation(**await runtime.conversations.get(user.id, conversation_id))


@router.get("/{conversation_id}/messages")
async def messages(
    conversation_id: UUID, user: CurrentUser, runtime: Running, limit: Limit = 100, before: UUID | None = None
) -> list[Message]:
    """Return the last messages, oldest first; ``before`` is the first id of the page that comes after."""
    await runtime.conversations.get(user.id, conversation_id)
    return [Message(**row) for row in await runtime.conversations.messages(conversation_id, limit, before)]


@router.patch("/{conversation_id}")
async def rename(conversation_id: UUID, body: Rename, user: CurrentUser, runtime: Running) -> Conversation:
    """Rename a conversation."""
    return Conversation(**await runtime.conversations.rename(user.id, conversation_id, body.title))


@router.delete("/{conversation_id}", status_code=204)
async def delete(conversation_id: UUID, user: CurrentUser, runtime: Running) -> Response:
    """Delete a conversation."""
    await runtime.conversations.delete(user.id, conversation_id)
    return Response(status_code=204)
