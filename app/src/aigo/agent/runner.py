"""Runs the agent loop of pydantic-ai and turns what happens into steps that can be stored and shown.

pydantic-ai and the providers' SDKs are imported when the runner is built, not when this module is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import structlog

from aigo.config.schema import Settings

log = structlog.get_logger()
INSTRUCTIONS = (
    "You are a helpful assistant. Answer in the user's language, briefly and exactly. "
    "Use the calculator for arithmetic and current_time for dates and times instead of guessing."
)


@dataclass(frozen=True)
class Turn:
    """One earlier message of the conversation."""

    role: Literal["user", "assistant"]
    content: str


@dataclass(frozen=True)
class Step:
    """Something that happened: ``token``, ``tool.call``, ``tool.result``, and ``end`` once, with usage and model."""

    type: Literal["token", "tool.call", "tool.result", "end"]
    data: dict[str, Any]


class AgentFailure(Exception):
    """The agent couldn't finish: a stable code, a sentence, and whether trying again makes sense."""

    def __init__(self, code: str, message: str, retryable: bool) -> None:
        super().__init__(message)
        self.code, self.message, self.retryable = code, message, retryable


class AgentRunner:
    """One agent for all runs of a process; it holds no state of any run."""

    def __init__(self, settings: Settings) -> None:
        from pydantic_ai import Agent

        from aigo.agent.tools import calculator, current_time
        from aigo.models.providers import build_model

        self._settings = settings
        self._agent: Agent[None, str] = Agent(
            build_model(settings.models),
            instructions=INSTRUCTIONS,
            tools=[calculator, current_time],
            retries=2,
        )

    async def stream(self, history: Sequence[Turn], prompt: str) -> AsyncIterator[Step]:
        """Answer a prompt; :raises AgentFailure: when no answer could be finished."""
        from pydantic_ai.exceptions import (
            AgentRunError,
            FallbackExceptionGroup,
            ModelAPIError,
            UsageLimitExceeded,
        )

        try:
            async for step in self._stream(history, prompt):
                yield step
        except UsageLimitExceeded:
            limit = self._settings.agent.max_steps
            raise AgentFailure("step_limit", f"The agent didn't finish within {limit} steps.", False) from None
        except (ModelAPIError, FallbackExceptionGroup) as error:
            log.warning("no model endpoint answered", error=str(error))
            raise AgentFailure("model_unavailable", "No model endpoint could answer.", True) from error
        except AgentRunError as error:
            log.warning("the model misbehaved", error=str(error))
            raise AgentFailure("model_error", "The model's answer couldn't be understood.", True) from error

    async def _stream(self, history: Sequence[Turn], prompt: str) -> AsyncIterator[Step]:
        from pydantic_ai import AgentRunResultEvent
        from pydantic_ai.messages import (
            FunctionToolCallEvent,
            FunctionToolResultEvent,
            PartDeltaEvent,
            PartStartEvent,
            TextPart,
            TextPartDelta,
        )
        from pydantic_ai.settings import ModelSettings
        from pydantic_ai.usage import UsageLimits

        bounds = self._settings.agent
        spoken, paragraph = False, False
        async with self._agent.run_stream_events(
            prompt,
            message_history=_messages(history),
            model_settings=ModelSettings(max_tokens=bounds.max_tokens),
            usage_limits=UsageLimits(request_limit=bounds.max_steps),
        ) as events:
            async for event in events:
                match event:
                    case (
                        PartStartEvent(part=TextPart(content=text))
                        | PartDeltaEvent(delta=TextPartDelta(content_delta=text))
                    ) if text:
                        # What is said after a tool call is a paragraph of its own.
                        yield Step("token", {"text": f"\n\n{text}" if spoken and paragraph else text})
                        spoken, paragraph = True, False
                    case FunctionToolCallEvent(part=part):
                        paragraph = True
                        arguments = part.args_as_dict(raise_if_invalid=False)
                        yield Step(
                            "tool.call", {"id": part.tool_call_id, "name": part.tool_name, "arguments": arguments}
                        )
                    case FunctionToolResultEvent(part=part):
                        content = str(part.content)[:10_000]
                        yield Step("tool.result", {"id": part.tool_call_id, "name": part.tool_name, "result": content})
                    case AgentRunResultEvent(result=result):
                        usage = {"input_tokens": result.usage.input_tokens, "output_tokens": result.usage.output_tokens}
                        usage |= {"requests": result.usage.requests, "tool_calls": result.usage.tool_calls}
                        yield Step("end", {"usage": usage, "model": result.response.model_name})


def _messages(history: Sequence[Turn]) -> list[Any]:
    from pydantic_ai.messages import ModelRequest, ModelResponse, TextPart, UserPromptPart

    return [
        ModelRequest(parts=[UserPromptPart(turn.content)])
        if turn.role == "user"
        else ModelResponse(parts=[TextPart(turn.content)])
        for turn in history
    ]
