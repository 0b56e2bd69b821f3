"""One endpoint found for all turns, and looked for again when it is lost."""

from __future__ import annotations

import asyncio

import pytest
from support.model_server import ModelServer, Reply

from agentic.errors import EndpointUnreachable
from agentic.events import Origin, TextDelta
from agentic.llm.connect import FirstReachable
from agentic.llm.endpoint import Endpoint
from agentic.ports.model import Answer, ModelRequest

ORIGIN: Origin = {"session_id": "s", "turn_id": "t", "agent": "main"}
QUESTION = ModelRequest(ORIGIN, [{"role": "user", "content": "Hello?"}])


async def answer(model: FirstReachable, begun: asyncio.Event | None = None) -> Answer:
    whole = Answer()
    async for event in model.complete(QUESTION):
        whole.add(event)
        if begun is not None and isinstance(event, TextDelta):
            begun.set()
    return whole


async def test_a_turn_that_loses_the_endpoint_leaves_the_answer_of_another_whole() -> None:
    words = " ".join(["word"] * 40)
    async with ModelServer([Reply(words, pace=0.02)]) as server:
        model = FirstReachable([Endpoint(server.url)])
        begun = asyncio.Event()
        first = asyncio.create_task(answer(model, begun))
        await asyncio.wait_for(begun.wait(), 30)
        server.stop_listening()
        with pytest.raises(EndpointUnreachable):
            await answer(model)
        assert (await first).text == words
        await model.aclose()


async def test_a_lost_endpoint_is_looked_for_again() -> None:
    async with ModelServer([Reply("One.")]) as gone, ModelServer([Reply("Two.")]) as there:
        model = FirstReachable([Endpoint(gone.url), Endpoint(there.url)])
        assert (await answer(model)).text == "One."
        gone.stop_listening()
        gone.hang_up()
        with pytest.raises(EndpointUnreachable):
            await answer(model)
        assert (await answer(model)).text == "Two."
        await model.aclose()
