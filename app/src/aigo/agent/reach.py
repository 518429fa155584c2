"""The tools that reach out: the user's documents, allowed web pages, granted databases.

A model sees only those that its run can use.
"""

from __future__ import annotations

from dataclasses import replace

from pydantic_ai import RunContext, Tool
from pydantic_ai.tools import ToolDefinition

from aigo.agent.context import Context, Refused

_PASSAGES = 6


async def search_documents(ctx: RunContext[Context], query: str) -> str:
    """Search the user's own documents and return numbered passages. Cite a passage that you use as [number].

    Args:
        query: What to look for, in a few words.
    """
    assert ctx.deps.library is not None
    try:
        passages = await ctx.deps.library.search(query, _PASSAGES)
    except Refused as error:
        return f"error: {error}"
    if not passages:
        return "Nothing in the user's documents matches."
    lines = []
    for passage in passages:
        place = f", page {passage.page}" if passage.page else ""
        lines.append(f"[{ctx.deps.number(passage)}] {passage.name}{place}:\n{passage.text}")
    return "\n\n".join(lines)


async def http_get(ctx: RunContext[Context], url: str) -> str:
    """Read a web page or an API by HTTP GET and return it as text. Only some hosts are allowed.

    Args:
        url: The whole address, with https://.
    """
    assert ctx.deps.web is not None
    try:
        return await ctx.deps.web.get(url)
    except Refused as error:
        return f"error: {error}"


async def query_source(ctx: RunContext[Context], source: str, statement: str) -> str:
    """Ask a PostgreSQL database by one SELECT statement and return the rows as JSON lines.

    Args:
        source: The name of the database.
        statement: One SELECT statement. Ask information_schema for tables and columns first.
    """
    for granted in ctx.deps.sources:
        if granted.name == source:
            try:
                return await granted.query(statement)
            except Refused as error:
                return f"error: {error}"
    return f"error: there is no source {source!r}; there are {', '.join(known.name for known in ctx.deps.sources)}"


def reaching_tools() -> list[Tool[Context]]:
    """Return the tools, each hidden from runs that can't use it."""
    return [
        Tool(search_documents, prepare=_with_library),
        Tool(http_get, prepare=_with_web),
        Tool(query_source, prepare=_with_sources),
    ]


def _with_library(ctx: RunContext[Context], tool: ToolDefinition) -> ToolDefinition | None:
    return tool if ctx.deps.library else None


def _with_web(ctx: RunContext[Context], tool: ToolDefinition) -> ToolDefinition | None:
    return tool if ctx.deps.web else None


def _with_sources(ctx: RunContext[Context], tool: ToolDefinition) -> ToolDefinition | None:
    if not ctx.deps.sources:
        return None
    known = "; ".join(f"{source.name} ({source.description})" for source in ctx.deps.sources)
    return replace(tool, description=f"{tool.description} The databases: {known}.")
