"""Builds the model that the configuration describes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from aigo.config.load import reveal
from aigo.config.schema import Model as ModelSettings

if TYPE_CHECKING:
    from pydantic_ai.models import Model


def build_model(models: Sequence[ModelSettings]) -> Model:
    """Return one model: the only one, or a chain in which the next takes over when one can't be reached."""
    built = [_one(model) for model in models] or [_scripted("scripted")]
    if len(built) == 1:
        return built[0]
    from pydantic_ai.models.fallback import FallbackModel

    return FallbackModel(built[0], *built[1:])


def _one(settings: ModelSettings) -> Model:
    if settings.kind == "scripted":
        return _scripted(settings.name)
    from openai import AsyncOpenAI
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    client = AsyncOpenAI(
        base_url=settings.base_url,
        # Local servers need no key, but the SDK insists on one.
        api_key=reveal(settings.api_key) or "none",
        timeout=settings.timeout_seconds,
        # Local servers drop kept connections; one more try, before any byte came, is enough.
        max_retries=1,
    )
    assert settings.model is not None
    return OpenAIChatModel(settings.model, provider=OpenAIProvider(openai_client=client))


def _scripted(name: str) -> Model:
    from aigo.models.scripted import scripted_model

    return scripted_model(name)
