"""The model port over the first endpoint that answers, looked for when a turn begins, and again after it was lost."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

from agentic.errors import EndpointUnreachable
from agentic.events import ModelEvent
from agentic.llm.endpoint import DEFAULT_WINDOW, Deadlines, Endpoint
from agentic.llm.probe import first_reachable
from agentic.llm.tokens import estimate_message
from agentic.ports.model import Message, ModelRequest, TokenCount, ToolSpec

if TYPE_CHECKING:
    from agentic.llm.openai_model import OpenAIModel


class FirstReachable:
    """`temperature` is that of requests which set none; None leaves it to the server."""

    def __init__(
        self, endpoints: Sequence[Endpoint], deadlines: Deadlines | None = None, temperature: float | None = None
    ) -> None:
        self._endpoints = tuple(endpoints)
        self._deadlines = deadlines or Deadlines()
        self._temperature = temperature
        self._model: OpenAIModel | None = None
        self._lost: list[OpenAIModel] = []
        """Endpoints that could not be reached any more; another turn's answer may still stream from one."""

    @property
    def window(self) -> int:
        return self._model.window if self._model is not None else DEFAULT_WINDOW

    async def connect(self) -> None:
        if self._model is None:
            from agentic.llm.openai_model import OpenAIModel

            endpoint, info = await first_reachable(self._endpoints)
            self._model = OpenAIModel(endpoint, info, self._deadlines)

    async def count(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> list[TokenCount]:
        return [TokenCount(estimate_message(one)) for one in (*messages, *tools)]

    async def complete(self, request: ModelRequest) -> AsyncGenerator[ModelEvent]:
        await self.connect()
        model = self._model
        if model is None:
            raise AssertionError("connect returned without a model")
        if request.temperature is None:
            request = replace(request, temperature=self._temperature)
        try:
            async with aclosing(model.complete(request)) as events:
                async for event in events:
                    yield event
        except EndpointUnreachable:
            if self._model is model:
                self._model = None
                self._lost.append(model)
            raise

    async def aclose(self) -> None:
        """Close the connections, those too that an answer still streams over."""
        models = [*self._lost, *([self._model] if self._model is not None else [])]
        self._model, self._lost = None, []
        for model in models:
            await model.aclose()
