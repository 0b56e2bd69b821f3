"""Recorded streams that break off: nothing is shown twice, nothing of a failed attempt stays, no call comes of one.

Each stream is cut at the ends of its events, one byte before and behind, and at places that a seed chooses. With
AGENTIC_EVERY_BYTE set, each is cut at every byte.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterable
from contextlib import AsyncExitStack

import pytest
from support.faults import whole
from support.model_server import Json, ModelServer, Play, Reply, recorded
from support.outcomes import CALM, Outcome, ask, check, pool_at, question
from support.recordings import Recording, recordings
from support.simulation import simulate

from agentic.events import Failover, ModelStarted

EVERY_BYTE = bool(os.environ.get("AGENTIC_EVERY_BYTE"))
SAMPLE = 40
"""Cuts of each stream beside those at the ends of its events."""

STREAMED = [name for name, recording in recordings().items() if b"text/event-stream" in recording.raw]
SCRIPTED = [name for name in STREAMED if recordings()[name].scripted]

OTHER = whole(Reply("All is well.", "Hm.", [("f", {"x": 1})]))
OTHER_CONTENT = {
    "texts": ["All is well."],
    "thoughts": ["Hm."],
    "calls": [["f", '{"x": 1}']],
    "finish": "tool_calls",
}


class Turns:
    """A script for several servers together: the plays of `coming`, in order, whichever server is asked."""

    def __init__(self) -> None:
        self.coming: list[Play] = []

    def __call__(self, _: Json) -> Play:
        return self.coming.pop(0)


def cuts_of(recording: Recording) -> Iterable[int]:
    size = len(recording.raw)
    if EVERY_BYTE:
        return range(size)
    near = (end + step for end in recording.boundaries for step in (-1, 0, 1))
    return sorted({*filter(size.__gt__, near), *random.Random(recording.name).sample(range(size), min(SAMPLE, size))})


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", STREAMED)
def test_a_stream_cut_anywhere_leaves_nothing_behind(name: str) -> None:
    recording = recordings()[name]

    async def scenario() -> None:
        turns = Turns()
        async with ModelServer(turns, compactions=None) as server, pool_at(server.url) as pool:
            turns.coming = [recorded(recording.raw)]
            unbroken = await ask(pool)
            for cut in cuts_of(recording):
                turns.coming = [recorded(recording.raw[:cut]), OTHER]
                outcome = await ask(pool)
                judge(recording, cut, unbroken, outcome, turns)
                server.requests.clear()
                server.bodies.clear()

    simulate(scenario())


def judge(recording: Recording, cut: int, unbroken: Outcome, outcome: Outcome, turns: Turns) -> None:
    """After a cut that left no finish reason, all comes from the other answer; after one behind it, nothing does."""
    check(outcome)
    assert outcome.error is None
    attempts = len(outcome.of(ModelStarted))
    assert attempts == 2 - len(turns.coming), "another number of requests than of attempts"
    begin, end = finish_event(recording)
    if cut < begin:
        assert outcome.content == OTHER_CONTENT, f"cut at {cut}"
    elif cut >= end:
        assert outcome.content == unbroken.content, f"cut at {cut}"
    else:
        assert outcome.content == (OTHER_CONTENT if attempts == 2 else unbroken.content), f"cut at {cut}"
    if attempts == 2:
        (failover,) = outcome.of(Failover)
        assert failover.code == "stream_broken"


def finish_event(recording: Recording) -> tuple[int, int]:
    """The offsets of the event that holds the finish reason; behind the end where there is none."""
    for begin, end in zip(recording.boundaries, recording.boundaries[1:], strict=False):
        event = recording.raw[begin:end].replace(b" ", b"")
        if b'"finish_reason":"' in event:
            return begin, end
    return len(recording.raw) + 1, len(recording.raw) + 2


@pytest.mark.parametrize("name", SCRIPTED)
async def test_no_turn_is_lost_while_another_endpoint_lives(name: str) -> None:
    """Over real sockets, with the same answer whole at the second endpoint."""
    recording, turns = recordings()[name], Turns()
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(ModelServer(turns, compactions=None)) for _ in range(2)]
        pool = await stack.enter_async_context(pool_at(*(server.url for server in servers), deadlines=CALM))
        turns.coming = [recorded(recording.raw)]
        unbroken = await ask(pool)
        for cut in recording.boundaries[:-1]:
            turns.coming = [recorded(recording.raw[:cut]), recorded(recording.raw)]
            outcome = await ask(pool, question(f"cut at {cut}"))
            check(outcome)
            assert outcome.error is None
            assert outcome.content == unbroken.content
            assert len(outcome.of(ModelStarted)) == 2 - len(turns.coming)
