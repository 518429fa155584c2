"""Endpoints that hang, break off, answer nonsense or are away: what the run says, and who is asked next."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest
from pydantic import SecretStr
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)

from aigo.agent import AgentFailure, AgentRunner, Step, Tally, Turn
from aigo.config.schema import Agent, Model, Settings
from aigo.models.breaker import Breaker
from aigo.models.window import fit, tokens_in

from .test_models import Endpoint, endpoint, model, said


def chunk(delta: dict[str, Any], reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"role": "assistant", **delta}, "finish_reason": reason}
    body = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return f"data: {json.dumps(body)}\n\n".encode()


class Saying(Endpoint):
    """Says one sentence."""

    text = "All is well"

    def do_POST(self) -> None:
        """Answer."""
        self.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.begin()
        for word in self.text.split(" "):
            self.wfile.write(chunk({"content": f"{word} "}))
        self.end()

    def begin(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()

    def end(self) -> None:
        usage = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": []}
        numbers = {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}
        self.wfile.write(chunk({}, "stop"))
        self.wfile.write(f"data: {json.dumps(usage | {'usage': numbers})}\n\ndata: [DONE]\n\n".encode())


class Breaking(Saying):
    """Stops in the middle of its sentence."""

    def end(self) -> None:
        """Close the connection instead."""


class Hanging(Saying):
    """Accepts the question and never answers."""

    released = threading.Event()

    def begin(self) -> None:
        self.released.wait(10)
        super().begin()


class Failing(Endpoint):
    """Answers 500."""

    status = 500

    def do_POST(self) -> None:
        """Refuse."""
        self.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(self.status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")


class Refusing(Failing):
    """Doesn't like the request."""

    status = 400


class Forgetful(Saying):
    """Drops each second connection before it answers, as servers do that close kept connections."""

    def do_POST(self) -> None:
        """Answer every second time."""
        if len(self.asked) % 2 == 0:
            self.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.connection.close()
            return
        super().do_POST()


async def ask(runner: AgentRunner, prompt: str = "How are you?", tally: Tally | None = None) -> list[Step]:
    return [step async for step in runner.stream([], prompt, None, tally)]


async def test_an_endpoint_that_hangs_before_the_first_token_is_left_for_the_next() -> None:
    Hanging.released.clear()
    with endpoint(Hanging) as (bad, asked), endpoint(Saying) as (good, _):
        runner = AgentRunner(Settings(models=[model("hangs", bad, first_token_seconds=0.2), model("good", good)]))
        tally = Tally()
        try:
            assert said(await ask(runner, tally=tally)) == "All is well "
        finally:
            Hanging.released.set()
    assert len(asked) == 1
    shown = tally.shown()
    assert shown is not None
    assert (shown["endpoints"], shown["input_tokens"], shown["output_tokens"]) == (["good"], 11, 3)


async def test_an_endpoint_that_breaks_in_mid_token_ends_the_run_so_that_it_can_be_retried_elsewhere() -> None:
    with endpoint(Breaking) as (bad, asked), endpoint(Saying) as (good, _):
        runner = AgentRunner(Settings(models=[model("breaks", bad, breaker_failures=1), model("good", good)]))
        seen: list[Step] = []

        async def listen() -> None:
            async for step in runner.stream([], "How are you?"):
                seen.append(step)

        with pytest.raises(AgentFailure) as failed:
            await listen()
        assert (failed.value.code, failed.value.retryable) == ("model_interrupted", True)
        assert said(seen) == "All is well "
        assert said(await ask(runner)) == "All is well "
    assert len(asked) == 1


async def test_an_endpoint_that_answers_500_is_asked_again_only_after_its_rest() -> None:
    with endpoint(Failing) as (bad, asked), endpoint(Saying) as (good, answered):
        rested = model("fails", bad, breaker_failures=2, breaker_seconds=0.3)
        runner = AgentRunner(Settings(models=[rested, model("good", good)]))
        for _ in range(4):
            assert said(await ask(runner)) == "All is well "
        assert (len(asked), len(answered)) == (2, 4)
        assert runner.endpoints[0].breaker.open
        await asyncio.sleep(0.35)
        await ask(runner)
        await ask(runner)
    assert (len(asked), len(answered)) == (3, 6)


async def test_a_request_that_is_refused_goes_on_but_does_not_count_against_the_endpoint() -> None:
    with endpoint(Refusing) as (bad, asked), endpoint(Saying) as (good, _):
        runner = AgentRunner(Settings(models=[model("refuses", bad, breaker_failures=1), model("good", good)]))
        for _ in range(3):
            assert said(await ask(runner)) == "All is well "
    assert len(asked) == 3


async def test_a_connection_that_was_dropped_before_any_answer_is_tried_once_more() -> None:
    with endpoint(Forgetful) as (url, asked):
        runner = AgentRunner(Settings(models=[model("only", url, breaker_failures=1)]))
        assert said(await ask(runner)) == "All is well "
        assert not runner.endpoints[0].breaker.open
    assert len(asked) == 2


async def test_old_turns_are_left_out_when_they_do_not_fit() -> None:
    with endpoint(Saying) as (url, asked):
        settings = Settings(models=[model("small", url, context_tokens=600)], agent=Agent(max_tokens=100))
        history = [Turn("user", "first " * 400), Turn("assistant", "old"), Turn("user", "hi"), Turn("assistant", "yes")]
        steps = [step async for step in AgentRunner(settings).stream(history, "And now?")]
    assert said(steps) == "All is well "
    contents = [message["content"] for message in asked[0]["messages"] if message["role"] != "system"]
    assert contents == ["hi", "yes", "And now?"]


async def test_a_run_that_uses_too_many_tokens_is_stopped() -> None:
    with endpoint(Saying) as (url, _), pytest.raises(AgentFailure) as failed:
        await ask(AgentRunner(Settings(models=[model("only", url)], agent=Agent(run_tokens=5))))
    assert (failed.value.code, failed.value.retryable) == ("token_limit", False)


async def test_a_plan_is_made_carried_out_and_answered_from() -> None:
    steps = [step async for step in AgentRunner(Settings()).stream([], "What are 6 * 7 and 3 * 3?", None, None, "plan")]
    kinds = [step.type for step in steps if step.type != "token"]
    assert kinds == ["plan", *["tool.call", "tool.result", "plan.step"] * 2, "end"]
    assert steps[0].data == {"steps": ["6 * 7", "3 * 3"]}
    assert "42" in said(steps)
    assert "9" in said(steps)
    assert steps[-1].data["usage"]["requests"] == 6


class Anthropic(Endpoint):
    """Speaks Anthropic's protocol."""

    def do_POST(self) -> None:
        """Answer one message as a stream."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(body | {"key": self.headers["Authorization"], "path": self.path})
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        message = {"id": "m", "type": "message", "role": "assistant", "model": "claude", "content": []}
        usage = {"input_tokens": 7, "output_tokens": 1}
        told: list[dict[str, Any]] = [
            {"type": "message_start", "message": message | {"usage": usage, "stop_reason": None}},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Good day"}},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
            {"type": "message_stop"},
        ]
        for event in told:
            self.wfile.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())


async def test_an_anthropic_endpoint_is_asked_in_its_own_way() -> None:
    with endpoint(Anthropic) as (url, asked):
        base = url.removesuffix("/v1")
        claude = Model(name="claude", kind="anthropic", base_url=base, model="claude", api_key=SecretStr("key"))
        tally = Tally()
        assert said(await ask(AgentRunner(Settings(models=[claude])), tally=tally)) == "Good day"
    assert (asked[0]["key"], asked[0]["path"].partition("?")[0]) == ("Bearer key", "/v1/messages")
    assert {tool["name"] for tool in asked[0]["tools"]} == {"calculator", "current_time"}
    shown = tally.shown()
    assert shown is not None
    assert (shown["input_tokens"], shown["output_tokens"]) == (7, 2)


def test_a_breaker_lets_one_request_try_after_its_rest() -> None:
    now = [0.0]
    breaker = Breaker(2, 10, lambda: now[0])
    breaker.failed()
    assert breaker.admit()
    breaker.failed()
    assert not breaker.admit()
    now[0] = 11
    assert [breaker.admit(), breaker.admit()] == [True, False]
    breaker.released()
    assert breaker.admit()
    breaker.failed()
    now[0] = 20
    assert not breaker.admit()
    now[0] = 22
    assert breaker.admit()
    breaker.succeeded()
    assert [breaker.admit(), breaker.admit(), breaker.open] == [True, True, False]


def test_the_window_keeps_the_question_and_shortens_old_results() -> None:
    question = ModelRequest(parts=[UserPromptPart(content="why?")])
    call = ModelResponse(parts=[ToolCallPart("read", {"url": "x"}, "1")])
    long = ModelRequest(parts=[ToolReturnPart("read", "word " * 2000, "1")])
    old: list[ModelMessage] = [
        ModelRequest(parts=[UserPromptPart(content="old")]),
        ModelResponse(parts=[TextPart("o")]),
    ]
    messages: list[ModelMessage] = [*old, question, call, long]
    assert fit(messages, 100_000) == messages
    fitted = fit(messages, 300)
    assert fitted[:2] == [question, call]
    returned = fitted[2].parts[0]
    assert isinstance(returned, ToolReturnPart)
    assert str(returned.content).endswith("(shortened: the context is full)")
    assert (tokens_in("abcd" * 10), tokens_in("你好")) == (10, 2)
