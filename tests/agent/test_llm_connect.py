"""One endpoint found for all turns, and looked for again when it is lost."""

from __future__ import annotations

import asyncio

import pytest
from support.model_server import ModelServer, Play, Reply

from agentic.errors import StreamBroken
from agentic.events import Origin, TextDelta
from agentic.llm.endpoint import Endpoint
from agentic.llm.pool import Pool
from agentic.ports.model import Answer, ModelRequest

ORIGIN: Origin = {"session_id": "s", "turn_id": "t", "agent": "main"}
QUESTION = ModelRequest(ORIGIN, [{"role": "user", "content": "Hello?"}])


async def answer(model: Pool, begun: asyncio.Event | None = None) -> Answer:
    whole = Answer()
    async for event in model.complete(QUESTION):
        whole.add(event)
        if begun is not None and isinstance(event, TextDelta):
            begun.set()
    return whole


async def test_a_turn_that_loses_the_endpoint_leaves_the_answer_of_another_whole() -> None:
    words = " ".join(["word"] * 40)
    async with ModelServer([Reply(words, pace=0.02), Play([], chunked=False, ending="cut")]) as server:
        model = Pool([Endpoint(server.url)], retries=0)
        begun = asyncio.Event()
        first = asyncio.create_task(answer(model, begun))
        await asyncio.wait_for(begun.wait(), 30)
        with pytest.raises(StreamBroken):
            await answer(model)
        assert (await first).text == words
        await model.aclose()


async def test_a_conversation_goes_on_elsewhere_when_its_endpoint_is_lost() -> None:
    async with ModelServer(lambda _: Reply("One.")) as one, ModelServer(lambda _: Reply("Two.")) as two:
        model = Pool([Endpoint(one.url), Endpoint(two.url)])
        first = (await answer(model)).text
        gone = one if first == "One." else two
        gone.stop_listening()
        gone.hang_up()
        assert {first, (await answer(model)).text} == {"One.", "Two."}
        await model.aclose()
