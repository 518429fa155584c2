"""Cuts text into passages that make sense by themselves."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_BOUNDARY = re.compile("(?<=[.!?])\\s+|(?<=[\u3002\uff01\uff1f])|\\n+")


def passages(pages: Iterable[tuple[int | None, str]], size: int) -> Iterator[tuple[int | None, str]]:
    """Yield (page, text) of about ``size`` characters, cut between sentences; each repeats the last sentence before it.

    A passage never reaches over the end of a page, so that a citation can name the page.
    """
    for page, text in pages:
        current: list[str] = []
        length = 0
        for sentence in _sentences(text, size):
            if current and length + len(sentence) > size:
                yield page, " ".join(current)
                kept = current[-1] if len(current[-1]) <= size // 4 else ""
                current, length = ([kept], len(kept)) if kept else ([], 0)
            current.append(sentence)
            length += len(sentence) + 1
        if current:
            yield page, " ".join(current)


def _sentences(text: str, size: int) -> Iterator[str]:
    for sentence in _BOUNDARY.split(text):
        sentence = " ".join(sentence.split())
        # What has no sentences, such as a table, is cut where it must be.
        for start in range(0, len(sentence), size):
            yield sentence[start : start + size]
