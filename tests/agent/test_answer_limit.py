"""An answer of a server that does not keep to the limit it was told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from support.model_server import ModelServer, Reply

from agentic.events import (
    ItemWithdrawn,
    ModelEvent,
    ModelFinished,
    ModelStarted,
    Origin,
    TextDelta,
    TextFinished,
    ThinkingDelta,
    ThinkingFinished,
    ToolCallDelta,
    Usage,
)
from agentic.llm.endpoint import Endpoint
from agentic.llm.pool import Pool
from agentic.ports.limit import FEWEST_TOKENS, MOST_CHARS, within_limit
from agentic.ports.model import Answer, ModelRequest, ScriptedModel

ORIGIN = Origin(session_id="s", turn_id="t", agent="main")
MOST = FEWEST_TOKENS * MOST_CHARS
STARTED = ModelStarted(**ORIGIN, request="r", endpoint="e", model="m", attempt=1, prompt_tokens=0)
FINISHED = ModelFinished(**ORIGIN, request="r", finish_reason="stop", usage=Usage(), seconds=1.0)


class Endless(ScriptedModel):
    """Gives these events, and notes whether it was closed before their end."""

    def __init__(self, *events: ModelEvent) -> None:
        super().__init__([])
        self.events = events
        self.closed_early = False

    async def complete(self, request: ModelRequest) -> AsyncGenerator[ModelEvent]:
        try:
            for event in self.events:
                yield event
        except GeneratorExit:
            self.closed_early = True
            raise


async def read(model: Any, max_tokens: int | None = 1) -> tuple[list[ModelEvent], Answer]:
    answer, events = Answer(), list[ModelEvent]()
    request = ModelRequest(ORIGIN, [{"role": "user", "content": "Tell"}], max_tokens=max_tokens)
    async for event in within_limit(model, request, answer):
        answer.add(event)
        events.append(event)
    return events, answer


def text(size: int, item: str = "text") -> TextDelta:
    return TextDelta(**ORIGIN, item=item, text="x" * size)


@pytest.mark.parametrize("max_tokens", [None, 0, 1, FEWEST_TOKENS])
async def test_an_answer_within_its_limit_is_passed_on_as_it_is(max_tokens: int | None) -> None:
    whole = TextFinished(**ORIGIN, item="text", text="x" * MOST)
    model = Endless(STARTED, text(MOST - 1), text(1), whole, FINISHED)
    events, _ = await read(model, max_tokens)
    assert tuple(events) == model.events


async def test_what_goes_beyond_is_cut_and_the_answer_ended() -> None:
    thought = ThinkingDelta(**ORIGIN, item="thought", text="y" * 100)
    model = Endless(STARTED, thought, text(MOST), text(1), text(1), FINISHED)
    events, answer = await read(model)
    assert model.closed_early
    assert answer.text == "x" * (MOST - 100)
    assert events[-3:-1] == [
        ThinkingFinished(**ORIGIN, item="thought", text="y" * 100),
        TextFinished(**ORIGIN, item="text", text=answer.text),
    ]
    assert (answer.finish_reason, events[-1].request) == ("length", "r")


async def test_what_is_finished_already_is_not_finished_again() -> None:
    model = Endless(STARTED, text(9, "one"), TextFinished(**ORIGIN, item="one", text="x" * 9), text(MOST, "two"))
    events, _ = await read(model)
    assert [event.item for event in events if isinstance(event, TextFinished)] == ["one", "two"]


async def test_a_call_beyond_it_stays_open_for_whoever_reads_the_finish_reason() -> None:
    call = ToolCallDelta(**ORIGIN, item="call", name="write_file", arguments="z" * MOST)
    events, answer = await read(Endless(STARTED, call, call, FINISHED))
    assert (answer.finish_reason, len(answer.calls)) == ("length", 1)
    assert not [event for event in events if isinstance(event, ItemWithdrawn)]


async def test_another_attempt_begins_anew() -> None:
    gone = ItemWithdrawn(**ORIGIN, item="text")
    again = ModelStarted(**ORIGIN, request="r2", endpoint="e", model="m", attempt=2, prompt_tokens=0)
    events, answer = await read(Endless(STARTED, text(MOST), gone, again, text(MOST, "b"), text(1, "b")))
    assert (len(answer.text), events[-1].request) == (MOST, "r2")


async def test_the_connection_to_such_a_server_is_closed() -> None:
    words = " ".join(f"word{number}" for number in range(MOST // 4))
    async with ModelServer([Reply(words)]) as server:
        pool = Pool([Endpoint(server.url)])
        await pool.connect()
        events, answer = await read(pool)
        async with asyncio.timeout(10):
            await server.client_closed.wait()
        await pool.aclose()
    assert (answer.finish_reason, len(answer.text)) == ("length", MOST)
    assert isinstance(events[-1], ModelFinished)
