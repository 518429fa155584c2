"""Talking to the agent over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx2


def conversation(client: httpx2.Client) -> str:
    """Create a conversation and return its id."""
    answer = client.post("/api/v1/conversations", json={})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def ask(client: httpx2.Client, where: str, text: str, **headers: str) -> dict[str, Any]:
    """Start a run and return it."""
    answer = client.post(f"/api/v1/conversations/{where}/runs", json={"input": text}, headers=headers)
    assert answer.status_code in (200, 201), answer.text
    run: dict[str, Any] = answer.json()
    return run


def events(client: httpx2.Client, run_id: str, after: int | None = None) -> Iterator[dict[str, Any]]:
    """Follow a run."""
    headers = {} if after is None else {"Last-Event-ID": str(after)}
    with client.stream("GET", f"/api/v1/runs/{run_id}/events", headers=headers) as stream:
        assert stream.status_code == 200, stream.read()
        for line in stream.iter_lines():
            if line.startswith("data: "):
                yield json.loads(line[6:])


def text_of(stream: list[dict[str, Any]]) -> str:
    """Return what was said."""
    return "".join(event["data"]["text"] for event in stream if event["type"] == "token")


def numbers(last: int) -> str:
    """Return what the scripted model says when it is told to count."""
    return "".join(f"{number} " for number in range(1, last + 1))
