"""Keeps what is sent to a model within its context window."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pydantic_ai.messages import ModelMessage, ModelRequest, ToolReturnPart, UserPromptPart

_PER_PART = 8
_SHORTENED = 400


def tokens_in(text: str) -> int:
    """Estimate the tokens of a text, rather too many: four ASCII characters a token, or one of any other kind."""
    plain = sum(character.isascii() for character in text)
    return (plain + 3) // 4 + len(text) - plain


def fit(messages: Sequence[ModelMessage], budget: int) -> list[ModelMessage]:
    """Return the newest messages that fit into so many tokens.

    Whole turns go first, the oldest before the others; then long results of tools in the current turn are shortened,
    again the oldest first. The current question and the model's own tool calls always stay.
    """
    kept = list(messages)
    sizes = [_size(message) for message in kept]
    total = sum(sizes)
    if total <= budget:
        return kept
    starts = [index for index, message in enumerate(kept) if _begins_turn(message)]
    current = starts[-1] if starts else 0
    first = 0
    for start in starts[1:]:
        if total <= budget:
            break
        total -= sum(sizes[first:start])
        first = start
    for index in range(current, len(kept)):
        message = kept[index]
        if total > budget and isinstance(message, ModelRequest):
            kept[index] = shorter = replace(message, parts=[_shortened(part) for part in message.parts])
            total -= sizes[index] - _size(shorter)
    return kept[first:]


def _begins_turn(message: ModelMessage) -> bool:
    return isinstance(message, ModelRequest) and any(isinstance(part, UserPromptPart) for part in message.parts)


def _size(message: ModelMessage) -> int:
    return sum(_PER_PART + tokens_in(_text_of(part)) for part in message.parts)


def _text_of(part: Any) -> str:
    value = getattr(part, "content", None) or getattr(part, "args", None) or ""
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)


def _shortened(part: Any) -> Any:
    if not isinstance(part, ToolReturnPart) or len(_text_of(part)) <= _SHORTENED:
        return part
    return replace(part, content=f"{_text_of(part)[:_SHORTENED]} … (shortened: the context is full)")
