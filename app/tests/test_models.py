"""The agent against endpoints that speak OpenAI's protocol, good ones and bad ones."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from aigo.agent import AgentFailure, AgentRunner, Step, Turn
from aigo.config.schema import Agent, Model, Settings

from .site import free_port


class Endpoint(BaseHTTPRequestHandler):
    """Calls the calculator first and then says what it got; keeps what it was asked."""

    asked: list[dict[str, Any]]
    finishes = True

    def do_POST(self) -> None:
        """Answer one completion as a stream."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(body | {"authorization": self.headers["Authorization"]})
        last = body["messages"][-1]
        answered = self.finishes and last["role"] == "tool"
        if answered:
            deltas: list[dict[str, Any]] = [{"content": "It is "}, {"content": last["content"]}]
        else:
            function = {"name": "calculator", "arguments": '{"expression": "6*7"}'}
            deltas = [{"tool_calls": [{"index": 0, "id": "call-1", "type": "function", "function": function}]}]
        finish = "stop" if answered else "tool_calls"
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for delta, reason in [*((delta, None) for delta in deltas), ({}, finish)]:
            choice = {"index": 0, "delta": {"role": "assistant", **delta}, "finish_reason": reason}
            chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
            self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
        self.wfile.write(b"data: [DONE]\n\n")

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing."""


class Forgetful(Endpoint):
    """Calls the tool again and again."""

    finishes = False


@contextmanager
def endpoint(kind: type[Endpoint] = Endpoint) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Serve on a free port; yields the base URL and what was asked."""
    asked: list[dict[str, Any]] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (kind,), {"asked": asked}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", asked
    finally:
        server.shutdown()
        server.server_close()


def model(name: str, url: str, **more: Any) -> Model:
    return Model(name=name, base_url=url, model="m", timeout_seconds=5, **more)


async def run(settings: Settings, prompt: str = "What is 6*7?", history: list[Turn] | None = None) -> list[Step]:
    return [step async for step in AgentRunner(settings).stream(history or [], prompt)]


def said(steps: list[Step]) -> str:
    return "".join(step.data["text"] for step in steps if step.type == "token")


async def test_the_endpoint_is_asked_with_tools_history_and_key_and_its_tool_call_is_done() -> None:
    with endpoint() as (url, asked):
        settings = Settings(models=[model("local", url, api_key="sk-test")], agent=Agent(max_tokens=77))
        steps = await run(settings, history=[Turn("user", "hi"), Turn("assistant", "hello")])
    assert [step.type for step in steps if step.type != "token"] == ["tool.call", "tool.result", "end"]
    assert said(steps) == "It is 42"
    assert asked[0]["authorization"] == "Bearer sk-test"
    assert {tool["function"]["name"] for tool in asked[0]["tools"]} == {"calculator", "current_time"}
    contents = [message["content"] for message in asked[0]["messages"]]
    assert contents[-3:] == ["hi", "hello", "What is 6*7?"]
    assert 77 in (asked[0].get("max_tokens"), asked[0].get("max_completion_tokens"))


async def test_the_next_endpoint_takes_over_when_one_is_away() -> None:
    with endpoint() as (url, _):
        away = model("away", f"http://127.0.0.1:{free_port()}/v1")
        assert said(await run(Settings(models=[away, model("local", url)]))) == "It is 42"


async def test_without_any_endpoint_left_the_failure_can_be_retried() -> None:
    away = [model(name, f"http://127.0.0.1:{free_port()}/v1") for name in ("a", "b")]
    for models in (away, away[:1]):
        with pytest.raises(AgentFailure) as failed:
            await run(Settings(models=models))
        assert (failed.value.code, failed.value.retryable) == ("model_unavailable", True)


async def test_a_model_that_never_stops_calling_tools_is_stopped() -> None:
    with endpoint(Forgetful) as (url, asked), pytest.raises(AgentFailure) as failed:
        await run(Settings(models=[model("local", url)], agent=Agent(max_steps=3)))
    assert failed.value.code == "step_limit"
    assert len(asked) == 3


async def test_the_scripted_model_says_what_it_is_and_uses_the_clock() -> None:
    steps = await run(Settings(), "What time is it?")
    assert steps[0].data["name"] == "current_time"
    assert "embedded scripted model" in said(steps)
    assert "embedded scripted model" in said(await run(Settings(), "hello"))
