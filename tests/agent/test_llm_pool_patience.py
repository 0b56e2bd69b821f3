"""How long the pool waits for servers that are slow or gone, by a clock that is not the wall's."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import count

import pytest
from support.model_server import ModelServer, Reply, status
from support.outcomes import BRISK, ask, question
from support.simulation import simulate

from agentic.errors import EndpointUnreachable
from agentic.events import ModelNotice
from agentic.llm.endpoint import Endpoint
from agentic.llm.pool import FIRST_PROBES, PROBE_SECONDS, Pool

MODELS = {"object": "list", "data": [{"id": "tiny", "owned_by": "vllm", "max_model_len": 8192}]}
SLOW = replace(status(200, MODELS), delay=30.0)


def serving() -> ModelServer:
    return ModelServer(lambda _: Reply("Here."), compactions=None)


def test_a_server_that_is_slow_at_a_turns_start_is_asked_again() -> None:
    async def scenario() -> None:
        async with serving() as server:
            server.models = SLOW
            pool = Pool([Endpoint(server.url)], BRISK)
            connecting = asyncio.create_task(pool.connect())
            await asyncio.sleep(1)
            server.models = MODELS
            await connecting
            assert pool.states == {server.url: "ready"}
            await pool.aclose()

    simulate(scenario())


def test_one_that_stays_silent_is_given_up_by_name() -> None:
    async def scenario() -> None:
        async with serving() as server:
            server.models = SLOW
            pool = Pool([Endpoint(server.url)], BRISK)
            with pytest.raises(EndpointUnreachable, match="did not answer within"):
                await pool.connect()
            assert server.paths.count("/v1/models") == FIRST_PROBES
            await pool.aclose()

    simulate(scenario())


def test_a_wait_ends_when_a_server_is_back() -> None:
    async def scenario() -> None:
        async with serving() as server:
            pool = Pool([Endpoint(server.url)], replace(BRISK, total=600), waits=(60.0,), jitter=0.0)
            await pool.connect()
            server.die()
            loop = asyncio.get_running_loop()
            begun = loop.time()
            asking = asyncio.create_task(ask(pool))
            await asyncio.sleep(5)
            await server.listen_again()
            outcome = await asking
            assert outcome.error is None, (outcome.error, outcome.events)
            assert outcome.answer.text == "Here."
            assert loop.time() - begun <= 5 + PROBE_SECONDS + 1
            await pool.aclose()

    simulate(scenario())


def test_a_conversation_is_told_once_that_its_requests_wait_for_others() -> None:
    async def scenario() -> None:
        numbers = count()
        answer = replace(Reply("Here."), delay=1.0)
        async with ModelServer(lambda _: answer, compactions=None) as server:
            pool = Pool([Endpoint(server.url, max_requests=1)], BRISK)
            await pool.connect()
            outcomes = await asyncio.gather(*(ask(pool, question(f"n {next(numbers)}")) for _ in range(5)))
            told = [notice.code for outcome in outcomes for notice in outcome.of(ModelNotice)]
            assert told == ["waiting"]
            assert all(outcome.answer.text == "Here." for outcome in outcomes)
            await pool.aclose()

    simulate(scenario())
