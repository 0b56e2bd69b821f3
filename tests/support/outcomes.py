"""What becomes of a request: its events, their sum, the error that ended it, and what must hold whatever happened."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from support import grammar

from agentic.errors import EndpointUnreachable, ModelError
from agentic.events import (
    Failover,
    FirstToken,
    ItemWithdrawn,
    Metrics,
    ModelEvent,
    ModelFinished,
    ModelStarted,
    Origin,
    PhaseFinished,
    PhaseStarted,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    TurnFinished,
    TurnStarted,
)
from agentic.llm.endpoint import Deadlines, Endpoint
from agentic.llm.pool import Pool
from agentic.ports.model import Answer, Model, ModelRequest, ToolSpec

ORIGIN: Origin = {"session_id": "s", "turn_id": "t", "agent": "main"}
BRISK = Deadlines(connect=2.0, first_token=4.0, silence=2.0, total=60.0)
"""Deadlines that no healthy answer comes near in simulated time."""
CALM = Deadlines(connect=30.0, first_token=60.0, silence=60.0, total=300.0)
"""Deadlines that no healthy answer comes near on a machine that is busy."""


@dataclass
class Outcome:
    """What became of a request."""

    events: list[ModelEvent] = field(default_factory=list[ModelEvent])
    answer: Answer = field(default_factory=Answer)
    error: ModelError | None = None

    def of(self, *kinds: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kinds)]

    @property
    def content(self) -> dict[str, Any]:
        """The answer without ids and times."""
        answer = self.answer
        return {
            "texts": list(answer.texts.values()),
            "thoughts": list(answer.thoughts.values()),
            "calls": [[call.name, call.arguments] for call in answer.tool_calls],
            "finish": answer.finish_reason,
        }

    @property
    def shown(self) -> dict[str, str]:
        """What a screen holds that adds each delta and removes each withdrawn item, by item."""
        items: dict[str, str] = {}
        for event in self.events:
            if isinstance(event, TextDelta | ThinkingDelta):
                items[event.item] = items.get(event.item, "") + event.text
            elif isinstance(event, ToolCallDelta):
                items[event.item] = items.get(event.item, "") + event.arguments
            elif isinstance(event, ItemWithdrawn):
                del items[event.item]
        return items


def question(text: str = "Hello?", tools: tuple[ToolSpec, ...] = (), session: str = "s") -> ModelRequest:
    return ModelRequest({**ORIGIN, "session_id": session}, [{"role": "user", "content": text}], tools)


@asynccontextmanager
async def pool_at(*urls: str, deadlines: Deadlines = BRISK, retries: int = 4, **settings: Any) -> AsyncGenerator[Pool]:
    """A pool over these addresses that waits for hundredths of a second where a real one waits for seconds."""
    pool = Pool([Endpoint(url, **settings) for url in urls], deadlines, retries=retries, waits=(0.01, 0.02), jitter=0.0)
    try:
        await _connect(pool)
        yield pool
    finally:
        await pool.aclose()


async def _connect(pool: Pool) -> None:
    """On a busy machine a probe may take longer than it is waited for: it is made again."""
    for _ in range(20):
        try:
            return await pool.connect()
        except EndpointUnreachable:
            await asyncio.sleep(0.1)
    return await pool.connect()


async def ask(model: Model, request: ModelRequest | None = None) -> Outcome:
    """One request to its end; whatever is not one of our errors comes through."""
    outcome = Outcome()
    try:
        async for event in model.complete(request or question()):
            outcome.events.append(event)
            outcome.answer.add(event)
    except ModelError as error:
        outcome.error = error
    return outcome


def check(outcome: Outcome) -> None:
    """What holds of every request: the grammar, nothing shown twice, nothing left of what failed."""
    if not outcome.events:
        assert outcome.error is not None, "nothing came of it"
        return
    first = outcome.events[0]
    origin: Origin = {"session_id": first.session_id, "turn_id": first.turn_id, "agent": first.agent}
    opened = TurnStarted(**origin, text="", mode="ask"), PhaseStarted(**origin, phase="model")
    closed = (
        PhaseFinished(**origin, phase="model", seconds=0.0),
        TurnFinished(**origin, stop_reason="error", summary="", metrics=Metrics()),
    )
    grammar.check([*opened, *outcome.events, *closed])
    answer = outcome.answer
    calls = {call.id: call.arguments for call in answer.tool_calls}
    assert outcome.shown == {**answer.texts, **answer.thoughts, **calls}, "what was shown is not what was said"
    attempts = [event.attempt for event in outcome.of(ModelStarted)]
    assert attempts == list(range(1, len(attempts) + 1))
    assert len(outcome.of(Failover)) in (len(attempts), len(attempts) - 1)
    if outcome.error is None:
        assert isinstance(outcome.of(ModelStarted, FirstToken, ModelFinished)[-1], ModelFinished)
        assert answer.finish_reason
        assert all(call.name for call in answer.tool_calls)
    else:
        assert outcome.shown == {}, "something of a failed attempt was left"
        assert not outcome.of(ModelFinished)
