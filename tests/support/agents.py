"""A model that plays several agents at once, each by a script of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing

from agentic.events import ModelEvent
from agentic.ports.model import Message, ModelRequest, Say, ScriptedModel, TokenCount, ToolSpec


class ScriptedAgents:
    """Answers each agent from its own list. `together`: no first answer comes before so many agents have asked."""

    def __init__(self, scripts: Mapping[str, Sequence[Say]], window: int = 32_768, together: int = 0) -> None:
        self.window = window
        self.agents = {name: ScriptedModel(script, window) for name, script in scripts.items()}
        self.order: list[str] = []
        """Who asked, in the order of the requests."""
        self._barrier = asyncio.Barrier(together) if together else None
        self._met: set[str] = {"main"}

    @property
    def requests(self) -> list[ModelRequest]:
        """The main agent's."""
        return self.agents["main"].requests

    async def connect(self) -> None:
        return None

    async def count(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> list[TokenCount]:
        return await next(iter(self.agents.values())).count(messages, tools)

    async def complete(self, request: ModelRequest) -> AsyncGenerator[ModelEvent]:
        name = request.origin["agent"]
        self.order.append(name)
        if name not in self.agents:
            raise AssertionError(f"no script for the agent {name}: {request.messages[-1]}")
        if self._barrier is not None and name not in self._met:
            self._met.add(name)
            async with asyncio.timeout(10):
                await self._barrier.wait()
        async with aclosing(self.agents[name].complete(request)) as events:
            async for event in events:
                yield event
