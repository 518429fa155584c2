"""One endpoint as the agent sees it: guarded by a breaker, counted, and never asked for more than fits."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar
from typing import Any

import structlog
from pydantic_ai import RunContext
from pydantic_ai.exceptions import (
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelNotFoundError,
    ModelRequestRejectedError,
    ModelTimeoutError,
    ModelUnavailableError,
)
from pydantic_ai.messages import ModelMessage
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings

from aigo.models.breaker import Breaker
from aigo.models.window import fit
from aigo.obs import metrics

log = structlog.get_logger()
answered_by: ContextVar[list[str] | None] = ContextVar("answered_by", default=None)
"""Where the endpoints that answered write their names down, if somebody wants to know."""


class Endpoint(WrapperModel):
    """A model behind one endpoint.

    ``input_tokens`` bounds what is sent. ``says_why`` tells whether the endpoint ends its streams with a reason; if it
    does, a stream without one was cut off.
    """

    def __init__(self, name: str, wrapped: Model, breaker: Breaker, input_tokens: int, says_why: bool) -> None:
        super().__init__(wrapped)
        self.name, self.breaker = name, breaker
        self._input_tokens, self._says_why = input_tokens, says_why

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: RunContext[Any] | None = None,
    ) -> AsyncGenerator[StreamedResponse]:
        """Stream an answer; what goes wrong before or in the middle of it counts against the endpoint."""
        if not self.breaker.admit():
            metrics.model_requests.labels(self.name, "skipped").inc()
            raise ModelUnavailableError(self.name, f"{self.name} is left alone: it failed several times in a row")
        started = time.perf_counter()
        try:
            async with AsyncExitStack() as stack:
                arguments = (fit(messages, self._input_tokens), model_settings, model_request_parameters, run_context)
                response = await self._opened(stack, arguments)
                yield response
                finished = getattr(response, "_finished", True)
                if self._says_why and finished and response.finish_reason is None:
                    raise ModelConnectionError(self.name, "the stream ended without a reason", in_stream=True)
        except ModelAPIError as error:
            self._failed(error)
            raise
        except BaseException:
            self.breaker.released()
            raise
        self._succeeded(response, started)

    async def _opened(self, stack: AsyncExitStack, arguments: tuple[Any, ...]) -> StreamedResponse:
        try:
            return await stack.enter_async_context(self.wrapped.request_stream(*arguments))
        except ModelConnectionError as error:
            # Local servers drop connections that were kept; nothing has come yet, so asking again is safe.
            if isinstance(error, ModelTimeoutError) or error.phase == "connect":
                raise
        return await stack.enter_async_context(self.wrapped.request_stream(*arguments))

    def _failed(self, error: ModelAPIError) -> None:
        refused = isinstance(error, ModelRequestRejectedError)
        if refused and not isinstance(error, ModelAuthenticationError | ModelNotFoundError):
            # This request was no good, which the next request needn't be.
            self.breaker.released()
            metrics.model_requests.labels(self.name, "refused").inc()
        else:
            self.breaker.failed()
            metrics.model_requests.labels(self.name, "failed").inc()
            metrics.breaker_open.labels(self.name).set(int(self.breaker.open))
        log.warning("a model endpoint failed", endpoint=self.name, error=str(error), resting=self.breaker.open)

    def _succeeded(self, response: StreamedResponse, started: float) -> None:
        self.breaker.succeeded()
        metrics.breaker_open.labels(self.name).set(0)
        metrics.model_requests.labels(self.name, "answered").inc()
        metrics.model_seconds.labels(self.name).observe(time.perf_counter() - started)
        usage = response.usage
        for direction, count in (("input", usage.input_tokens), ("output", usage.output_tokens)):
            metrics.model_tokens.labels(self.name, direction).inc(count)
        if (names := answered_by.get()) is not None and self.name not in names:
            names.append(self.name)
