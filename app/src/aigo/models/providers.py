"""Builds the models that the configuration describes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aigo.config.load import reveal
from aigo.config.schema import Model as ModelSettings
from aigo.config.schema import Settings
from aigo.models.breaker import Breaker

if TYPE_CHECKING:
    from pydantic_ai.models import Model

    from aigo.models.endpoint import Endpoint


def build_endpoints(settings: Settings) -> list[Endpoint]:
    """Return an endpoint for each configured model, in order, or the embedded scripted one."""
    from aigo.models.endpoint import Endpoint

    endpoints = []
    for model in settings.models or [ModelSettings(name="scripted", kind="scripted")]:
        breaker = Breaker(model.breaker_failures, model.breaker_seconds)
        # An answer needs room as well; a window that is nearly all answer still gets a question.
        room = max(model.context_tokens - settings.agent.max_tokens, model.context_tokens // 4)
        endpoints.append(Endpoint(model.name, _built(model), breaker, room, says_why=model.kind != "scripted"))
    return endpoints


def in_order(endpoints: list[Endpoint]) -> Model:
    """Return one model: the only endpoint, or a chain in which the next takes over until the first token has come."""
    if len(endpoints) == 1:
        return endpoints[0]
    from pydantic_ai.models.fallback import FallbackModel

    return FallbackModel(endpoints[0], *endpoints[1:])


def _built(settings: ModelSettings) -> Model:
    match settings.kind:
        case "scripted":
            from aigo.models.scripted import scripted_model

            return scripted_model(settings.name)
        case "anthropic":
            return _anthropic(settings)
        case "openai":
            return _openai(settings)


def _openai(settings: ModelSettings) -> Model:
    from openai import AsyncOpenAI
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.profiles.openai import OpenAIModelProfile
    from pydantic_ai.providers.openai import OpenAIProvider
    from pydantic_ai.settings import ModelSettings as Bounds

    client = AsyncOpenAI(
        base_url=settings.base_url,
        # Local servers need no key, but the SDK insists on one.
        api_key=reveal(settings.api_key) or "none",
        timeout=settings.timeout_seconds,
        max_retries=0,
    )
    assert settings.model is not None
    bounds = Bounds(first_event_timeout=settings.first_token_seconds or settings.timeout_seconds)
    return OpenAIChatModel(
        settings.model,
        provider=OpenAIProvider(openai_client=client),
        # A stream without its reason was cut off by a server or a proxy that closed it as if it were done.
        profile=OpenAIModelProfile(openai_chat_streaming_requires_finish_reason=True),
        settings=bounds,
    )


def _anthropic(settings: ModelSettings) -> Model:
    # Costs seconds of import, so only a site that has such an endpoint pays for it.
    from anthropic import AsyncAnthropic
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.providers.anthropic import AnthropicProvider
    from pydantic_ai.settings import ModelSettings as Bounds

    client = AsyncAnthropic(
        base_url=settings.base_url,
        api_key=reveal(settings.api_key) or "none",
        timeout=settings.timeout_seconds,
        max_retries=0,
    )
    assert settings.model is not None
    bounds = Bounds(first_event_timeout=settings.first_token_seconds or settings.timeout_seconds)
    return AnthropicModel(settings.model, provider=AnthropicProvider(anthropic_client=client), settings=bounds)
