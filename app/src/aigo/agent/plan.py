"""Plans: how a model is asked for one, how it is read, and what each step and the answer are told."""

from __future__ import annotations

import re
from collections.abc import Sequence

PLANNING = (
    "You plan work that another assistant will carry out with its tools. Answer with a numbered list of the fewest "
    "steps that are needed, at most {limit}, each one line that makes sense by itself, and with nothing else."
)
ANSWERING = (
    "You are a helpful assistant. Steps towards the user's question have been carried out for you. Answer the "
    "question from their results, in the user's language, briefly and exactly. Keep marks such as [1], which cite "
    "sources."
)
_STEP = re.compile(r"^\s*(?:\d{1,2}[.):、]|[-*•])\s*(\S.*?)\s*$", re.MULTILINE)
_RESULT = 4_000


def steps_of(text: str, limit: int, question: str) -> list[str]:
    """Read the steps of a plan; a text without any means that the question is its own only step."""
    return [found.group(1) for found in _STEP.finditer(text)][:limit] or [question]


def step_prompt(question: str, step: str, results: Sequence[tuple[str, str]]) -> str:
    """Say what is to be done now, and what is known already."""
    return f"Do this, and report only its result: {step}\n\n{_known(results)}It is a part of this task: {question}"


def answer_prompt(question: str, results: Sequence[tuple[str, str]]) -> str:
    """Ask for the answer."""
    return f"{_known(results)}Answer this question: {question}"


def _known(results: Sequence[tuple[str, str]]) -> str:
    if not results:
        return ""
    lines = [f"{number}. {step}\n   {result[:_RESULT]}" for number, (step, result) in enumerate(results, 1)]
    return "Results of the steps:\n" + "\n".join(lines) + "\n\n"
