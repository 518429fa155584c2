"""What each kind of job does: takes its input, returns a file."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from uuid import UUID

from aigo.conversations.store import Conversations
from aigo.jobs.store import Result

_EXPORTED = 100_000


async def export_conversation(conversations: Conversations, user_id: UUID, data: Mapping[str, Any]) -> Result:
    """Write a conversation as JSON or Markdown; :raises Problem: 404 when it is gone."""
    conversation_id = UUID(data["conversation_id"])
    conversation = await conversations.get(user_id, conversation_id)
    messages = await conversations.messages(conversation_id, _EXPORTED)
    if data["format"] == "markdown":
        parts = [f"# {conversation['title']}"]
        parts += [f"## {row['role']}, {row['created_at']:%Y-%m-%d %H:%M} UTC\n\n{row['content']}" for row in messages]
        return Result("\n\n".join(parts).encode(), "text/markdown; charset=utf-8", f"conversation-{conversation_id}.md")
    body = {"conversation": conversation, "messages": messages}
    text = json.dumps(body, default=_plain, ensure_ascii=False, indent=2)
    return Result(text.encode(), "application/json", f"conversation-{conversation_id}.json")


def _plain(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


KINDS: dict[str, Callable[[Conversations, UUID, Mapping[str, Any]], Awaitable[Result]]] = {
    "conversation.export": export_conversation,
}
