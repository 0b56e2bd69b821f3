"""Whatever servers and networks do: an answer or one of our named errors, in time, once, and nothing left behind."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import grammar
from support.faults import DONE, FAULTS, WORDS, Fault, FaultServer, faults, long_delta, whole
from support.model_server import Json, ModelServer, Play, Reply, delta, events, recorded, stream
from support.outcomes import BRISK, CALM, ask, check, pool_at, question
from support.recordings import recordings
from support.runs import work
from support.simulation import SimulatedLoop, simulate

from agentic.errors import (
    ContextOverflow,
    DeadlineExceeded,
    EndpointUnreachable,
    RequestRefused,
    ServerBusy,
    StreamBroken,
)
from agentic.events import ErrorRaised, Event, Failover, ModelStarted, TextDelta, ToolStarted, TurnFinished
from agentic.llm.endpoint import Deadlines
from agentic.llm.pool import Pool
from agentic.ports.asker import ScriptedAsker
from agentic.ports.model import ToolSpec
from agentic.ports.store import MemoryStore
from agentic.ports.workspace import MemoryWorkspace
from agentic.runtime import Ports, run
from agentic.task import Task

GOOD = Reply("All is well.", "Hm.", [("f", {"x": 1})])
CONTENT = {"texts": ["All is well."], "thoughts": ["Hm."], "calls": [["f", '{"x": 1}']], "finish": "tool_calls"}
RETRIED = ("broken", "busy", "stalled")
CURABLE = ("none", "unwanted", *RETRIED)
"""Effects that another endpoint makes up for."""
KNOWABLE = ("refused", *CURABLE)
"""Effects after which a turn goes on as it was, or ends. (After an overflow the conversation is shortened.)"""
NAMED = {
    error.code
    for error in (ContextOverflow, DeadlineExceeded, EndpointUnreachable, RequestRefused, ServerBusy, StreamBroken)
}
PATIENT = replace(BRISK, total=600.0)
SLACK = 5.0
"""Seconds beyond the total deadline for what is done around a request: probes, closing."""


def good(_: Json) -> Reply:
    return GOOD


def now() -> float:
    return asyncio.get_running_loop().time()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_has_its_effect_and_no_other(fault: Fault) -> None:
    for seed in range(12):
        simulate(one_fault(fault, seed))


@pytest.mark.parametrize("fault", [one for one in FAULTS if one.effect != "stalled"], ids=lambda fault: fault.name)
async def test_a_fault_has_the_same_effect_over_a_real_network(fault: Fault) -> None:
    await one_fault(fault, 1, CALM)


async def one_fault(fault: Fault, seed: int, deadlines: Deadlines = BRISK) -> None:
    plays = [fault.make(whole(GOOD), random.Random(seed)), whole(GOOD)]
    async with (
        ModelServer(lambda _: plays.pop(0), compactions=None) as server,
        pool_at(server.url, deadlines=deadlines) as pool,
    ):
        outcome = await ask(pool)
        check(outcome)
        said = f"seed {seed}: {outcome.error!r} {outcome.content}"
        if fault.effect == "none":
            assert (len(plays), outcome.content) == (1, CONTENT), said
        elif fault.effect in RETRIED and not isinstance(outcome.error, ServerBusy):
            assert (len(plays), outcome.content) == (0, CONTENT), said
        elif fault.effect in RETRIED:
            assert fault.name == "retry after", said
            assert len(plays) == 1
        elif fault.effect in ("refused", "unwanted"):
            assert (len(plays), type(outcome.error)) == (1, RequestRefused), said
        elif fault.effect == "overflow":
            assert (len(plays), type(outcome.error)) == (1, ContextOverflow), said


@pytest.mark.parametrize("seed", range(25))
def test_no_request_is_lost_while_one_endpoint_lives(seed: int) -> None:
    async def scenario() -> None:
        faulty = FaultServer(seed, good, faults(*CURABLE), share=0.7)
        healthy = ModelServer(good, compactions=None)
        async with faulty, healthy, pool_at(faulty.url, healthy.url, deadlines=PATIENT) as pool:
            for number in range(12):
                outcome = await ask(pool, question(f"{number}", session=f"s{number % 3}"))
                check(outcome)
                assert outcome.error is None
                assert outcome.content == CONTENT
                await asyncio.sleep(1)

    simulate(scenario())


@pytest.mark.parametrize("seed", range(25))
def test_faults_everywhere_end_in_an_answer_or_a_named_error_and_in_time(seed: int) -> None:
    async def scenario() -> None:
        one, two = (FaultServer(seed + place, good, share=0.8) for place in (0, 1000))
        async with one, two, pool_at(one.url, two.url) as pool:
            for number in range(8):
                began, sent = now(), len(one.requests) + len(two.requests)
                outcome = await ask(pool, question(f"{number}"))
                check(outcome)
                assert now() - began <= BRISK.total + SLACK
                requests = len(one.requests) + len(two.requests) - sent
                assert requests >= len(outcome.of(ModelStarted)) - unsent(outcome.of(Failover))
                await asyncio.sleep(1)

    simulate(scenario())


def unsent(failovers: Sequence[Failover]) -> int:
    """Attempts that ended before a request could be sent."""
    return sum(failover.code == "endpoint_unreachable" for failover in failovers)


@settings(max_examples=150, deadline=None)
@given(body=st.binary(max_size=300), as_stream=st.booleans())
def test_any_bytes_are_an_answer_or_a_named_error(body: bytes, as_stream: bool) -> None:
    simulate(any_play(stream([body] if body else []) if as_stream else recorded(body)))


TEXTS = st.text(st.characters(), max_size=5)
"""With halves of characters, which JSON can hold."""
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.sampled_from(["stop", "f"])
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4),
    max_leaves=12,
)


def mostly(usual: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """The usual, and now and then something else: were all fields odd, no answer would come far."""
    return st.integers(0, 20).flatmap(lambda number: SCALARS if number == 20 else usual | st.none())


ARGUMENTS = ("{}", '{"x": 1}', "{")
FUNCTIONS = st.fixed_dictionaries(
    {},
    optional={
        "name": mostly(st.sampled_from(["f", "g", ""])),
        "arguments": mostly(
            TEXTS | st.sampled_from(["{}", '{"x": 1}', "{"]) | st.dictionaries(TEXTS, VALUES, max_size=2)
        ),
    },
)
PIECES = st.fixed_dictionaries(
    {},
    optional={
        "index": mostly(st.integers(0, 2)),
        "id": mostly(st.sampled_from(["a", "b", ""]) | TEXTS),
        "function": mostly(FUNCTIONS),
    },
)
TAGS = ("<tool_call>", '{"name": "f", "arguments": {}}', "</tool_call>", "<think>", "</think>")
DELTAS = st.fixed_dictionaries(
    {},
    optional={
        "content": mostly(
            TEXTS | st.sampled_from(["<tool_call>", '{"name": "f", "arguments": {}}', "</tool_call>", "<think>"])
        ),
        "reasoning": mostly(TEXTS),
        "reasoning_content": mostly(TEXTS),
        "tool_calls": mostly(st.lists(PIECES, max_size=3)),
    },
)
FINISHES = st.sampled_from([None, None, None, "stop", "tool_calls", "length", "error"])
CHUNKS = st.integers(0, 20).flatmap(
    lambda number: (
        VALUES if number == 20 else st.builds(lambda fields, finish: delta(finish, **fields), DELTAS, FINISHES)
    )
)
TOOL: ToolSpec = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}


@settings(max_examples=200, deadline=None)
@given(chunks=st.lists(CHUNKS, max_size=8))
def test_any_json_is_an_answer_or_a_named_error(chunks: list[Any]) -> None:
    simulate(any_play(stream([*(f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks), DONE])))


@settings(max_examples=100, deadline=None)
@given(name=st.sampled_from(sorted(recordings())), seed=st.integers(0, 2**32))
def test_any_damage_to_a_recording_is_an_answer_or_a_named_error(name: str, seed: int) -> None:
    dice, raw = random.Random(seed), bytearray(recordings()[name].raw)
    for _ in range(dice.randint(1, 10)):
        start = dice.randrange(len(raw))
        raw[start : start + dice.randint(0, 4)] = dice.randbytes(dice.randint(0, 4))
    simulate(any_play(recorded(bytes(raw), sorted(dice.choices(range(len(raw)), k=5)))))


async def any_play(play: Play) -> None:
    async with ModelServer(lambda _: play, compactions=None) as server, pool_at(server.url, retries=1) as pool:
        check(await ask(pool, question(tools=(TOOL,))))
        assert now() <= BRISK.total + SLACK


def test_thirty_million_characters_in_one_event_are_a_text_or_a_broken_stream() -> None:
    async def scenario() -> None:
        size = 30_000_000
        plays = [stream([long_delta(size), *events(delta("stop"), done=True).pieces]), whole(GOOD)]
        async with ModelServer(lambda _: plays.pop(0), compactions=None) as server, pool_at(server.url) as pool:
            outcome = await ask(pool)
            check(outcome)
            assert len(outcome.answer.text) == size or outcome.content == CONTENT

    simulate(scenario())


SLOWLY = replace(whole(GOOD), pace=0.1)
STALLED = replace(SLOWLY, pieces=SLOWLY.pieces[:5], ending="stall")
EVENTS = 12
"""As many as a whole answer has, at least."""


@pytest.mark.parametrize("play", [SLOWLY, STALLED], ids=["whole", "stalled"])
@pytest.mark.parametrize("count", range(EVENTS))
def test_closing_after_any_event_closes_the_connection_and_leaves_nothing(play: Play, count: int) -> None:
    async def reading(pool: Pool) -> None:
        answering = pool.complete(question())
        for _ in range(count if play is SLOWLY else min(count, 4)):
            await anext(answering, None)
        await answering.aclose()

    simulate(nothing_is_left(play, reading))


@pytest.mark.parametrize("play", [SLOWLY, STALLED], ids=["whole", "stalled"])
@pytest.mark.parametrize("tenths", range(EVENTS))
def test_cancelling_at_any_time_closes_the_connection_and_leaves_nothing(play: Play, tenths: int) -> None:
    async def reading(pool: Pool) -> None:
        task = asyncio.create_task(ask(pool))
        await asyncio.sleep(tenths / 10)
        whole = task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled() is not whole

    simulate(nothing_is_left(play, reading))


async def nothing_is_left(play: Play, reading: Callable[[Pool], Awaitable[None]]) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SimulatedLoop)
    async with ModelServer([play]) as server:
        async with pool_at(server.url) as pool:
            await asyncio.sleep(0.05)
            before = asyncio.all_tasks()
            await reading(pool)
            await asyncio.sleep(0.05)
            left = {task.get_coro().__qualname__ for task in asyncio.all_tasks() - before}
            assert left <= {"ModelServer._serve"}, "a task was left behind, or the server still answers"
            whole = server.request_seen.is_set() and not server.client_closed.is_set()
        await asyncio.sleep(0.05)
        assert not loop.open_ends, "a connection was left open"
        assert asyncio.all_tasks() <= before
    assert play is SLOWLY or not whole


async def test_closing_leaves_no_task_and_no_socket_on_a_real_network() -> None:
    before, sockets = asyncio.all_tasks(), len(psutil.Process().net_connections())
    async with ModelServer([STALLED]) as server, pool_at(server.url, deadlines=CALM) as pool:
        answering = pool.complete(question())
        async for event in answering:
            if isinstance(event, TextDelta):
                break
        await answering.aclose()
        await asyncio.wait_for(server.client_closed.wait(), 10)
    assert asyncio.all_tasks() == before
    assert len(psutil.Process().net_connections()) == sockets


FILES = {"a.py": "x = 1\ny = 1\n"}
FIXED = {"a.py": "x = 2\ny = 1\n"}
COURSE = (
    Reply(work("I look.", plan=["look", "fix"]), "Which file?", [("read_file", {"path": "a.py"})]),
    Reply("Now I change it.", "", [("edit_file", {"path": "a.py", "old": "x = 1", "new": "x = 2"})]),
    Reply("Set x to 2 in a.py.", "That was it."),
)


def course(request: Json) -> Reply:
    """The answer to a conversation in which so many calls have been answered."""
    return COURSE[sum(message["role"] == "tool" for message in request["messages"])]


async def turn(servers: Sequence[ModelServer]) -> tuple[list[Event], dict[str, str]]:
    """A whole turn of the program over these servers: its events and the files at its end."""
    workspace = MemoryWorkspace(dict(FILES), {})
    async with pool_at(*(server.url for server in servers), deadlines=PATIENT) as pool:
        task = Task("Set x to 2", "s", "t1", "auto")
        happened = [event async for event in run(task, Ports(pool, workspace, ScriptedAsker([]), MemoryStore()))]
    grammar.check(happened)
    started = [event.item for event in happened if isinstance(event, ToolStarted)]
    assert len(started) == len(set(started)), "a call ran twice"
    return happened, workspace.files


def tools_run(happened: Sequence[Event]) -> list[str]:
    return [event.tool for event in happened if isinstance(event, ToolStarted)]


@pytest.mark.parametrize("seed", range(30))
def test_a_turn_ends_as_ever_when_one_endpoint_is_faulty(seed: int) -> None:
    async def scenario() -> None:
        faulty = FaultServer(seed, course, faults(*CURABLE), share=0.8)
        async with faulty, ModelServer(course, compactions=None) as healthy:
            happened, files = await turn([faulty, healthy])
            finished = happened[-1]
            assert isinstance(finished, TurnFinished)
            assert (finished.stop_reason, finished.summary) == ("end_turn", "Set x to 2 in a.py.")
            assert (files, tools_run(happened)) == (FIXED, ["read_file", "edit_file"])

    simulate(scenario())


@pytest.mark.parametrize("seed", range(30))
def test_a_turn_over_faulty_endpoints_ends_well_or_with_a_named_error(seed: int) -> None:
    async def scenario() -> None:
        one, two = (FaultServer(seed + place, course, faults(*KNOWABLE), share=0.8) for place in (0, 1000))
        async with one, two:
            happened, files = await turn([one, two])
            finished = happened[-1]
            assert isinstance(finished, TurnFinished)
            if finished.stop_reason == "end_turn":
                assert (files, tools_run(happened)) == (FIXED, ["read_file", "edit_file"])
            elif finished.stop_reason == "loop":
                assert (*one.drawn, *two.drawn).count("long line") >= 3, "a line of one letter repeats itself"
            else:
                errors = [event.code for event in happened if isinstance(event, ErrorRaised)]
                assert finished.stop_reason == "error"
                assert errors
                assert errors[-1] in NAMED
                assert tools_run(happened) == ["read_file", "edit_file"][: len(tools_run(happened))]

    simulate(scenario())


@pytest.mark.parametrize("seed", range(20))
def test_a_turn_survives_answers_that_are_nonsense(seed: int) -> None:
    async def scenario() -> None:
        one, two = (FaultServer(seed + place, course, share=0.9) for place in (0, 1000))
        async with one, two:
            happened, _ = await turn([one, two])
            assert not [event for event in happened if isinstance(event, ErrorRaised) and event.code == "internal"]

    simulate(scenario())
