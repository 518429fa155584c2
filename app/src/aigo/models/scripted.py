"""A model that answers by rule, so that a site without any provider can see the whole system at work.

It says what it is, calls the calculator for arithmetic, the clock for the time and the search for documents, plans one
step for each sum, and counts when it is told to, one number at a time: that is for trying out streams, cancelling and
reconnecting.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator

from pydantic_ai.messages import ModelMessage, ModelRequest, ToolReturnPart, UserPromptPart
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, DeltaToolCalls, FunctionModel

_ARITHMETIC = re.compile(r"[\d(][\d\s.+\-*/%()]*[+\-*/%][\d\s.+\-*/%()]*[\d)]")
_COUNT = re.compile(r"\bcount to (\d{1,4})\b", re.IGNORECASE)
_DOCUMENTS = re.compile(r"\b(documents?|files?|uploads?)\b|文档|文件", re.IGNORECASE)
_RESULTS = re.compile(r"^Results of the steps:\n(.*?)\n\n", re.DOTALL)
_TIME = re.compile(r"\b(time|date|today|clock)\b|时间|日期|几点", re.IGNORECASE)
_INTRODUCTION = "I am the embedded scripted model, which answers by rule because no model endpoint is configured. "
_COUNT_PAUSE = 0.02


def scripted_model(name: str) -> FunctionModel:
    """Return the scripted model under a name."""
    return FunctionModel(stream_function=_answer, model_name=name)


async def _answer(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str | DeltaToolCalls]:
    parts = messages[-1].parts if isinstance(messages[-1], ModelRequest) else []
    returns = [part for part in parts if isinstance(part, ToolReturnPart)]
    prompt = next((str(part.content) for part in reversed(parts) if isinstance(part, UserPromptPart)), "")
    tools = {tool.name for tool in info.function_tools}
    if "numbered list" in (info.instructions or ""):
        yield "\n".join(f"{number}. {step}" for number, step in enumerate(_steps(prompt), 1))
    elif (results := _RESULTS.search(prompt)) and not tools:
        async for word in _words(f"{_INTRODUCTION}What the steps gave:\n{results.group(1)}"):
            yield word
    elif returns:
        async for word in _words(_INTRODUCTION + " ".join(_sentence(part) for part in returns)):
            yield word
    elif count := _COUNT.search(prompt):
        for number in range(1, int(count.group(1)) + 1):
            yield f"{number} "
            await asyncio.sleep(_COUNT_PAUSE)
    elif "calculator" in tools and (found := _ARITHMETIC.search(prompt)):
        yield _call("calculator", {"expression": found.group(0).strip()})
    elif "search_documents" in tools and _DOCUMENTS.search(prompt):
        yield _call("search_documents", {"query": prompt[:500]})
    elif "current_time" in tools and _TIME.search(prompt):
        yield _call("current_time", {"timezone": "UTC"})
    else:
        async for word in _words(f"{_INTRODUCTION}You wrote: “{prompt}”. Try “What is 6 * 7?” or “What time is it?”."):
            yield word


def _steps(prompt: str) -> list[str]:
    return [found.group(0).strip() for found in _ARITHMETIC.finditer(prompt)] or [prompt.replace("\n", " ")]


def _call(tool: str, arguments: dict[str, str]) -> DeltaToolCalls:
    return {0: DeltaToolCall(name=tool, json_args=json.dumps(arguments), tool_call_id=f"scripted-{tool}")}


def _sentence(part: ToolReturnPart) -> str:
    return {
        "calculator": f"The result is {part.content}.",
        "current_time": f"It is {part.content}.",
        "search_documents": f"The documents say:\n{part.content}",
    }.get(part.tool_name, f"{part.tool_name} said: {part.content}")


async def _words(text: str) -> AsyncIterator[str]:
    for word in re.findall(r"\S+\s*", text):
        yield word
        await asyncio.sleep(0)
