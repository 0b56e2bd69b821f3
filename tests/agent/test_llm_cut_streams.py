"""Recorded streams that break off: nothing is shown twice, nothing of a failed attempt stays, no call comes of one.

Each stream is cut at the ends of its events, one byte before and behind, and at places that a seed chooses: as it was
recorded, where HTTP's framing tells that something is missing, and without framing, where a cut looks like an orderly
end. With AGENTIC_EVERY_BYTE set, the latter is done at every byte.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterable
from contextlib import AsyncExitStack
from functools import cache
from itertools import pairwise

import pytest
from support.faults import whole
from support.model_server import Json, ModelServer, Play, Reply, recorded
from support.outcomes import CALM, Outcome, ask, check, pool_at, question
from support.recordings import boundaries, recordings
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


def cuts_of(name: str, raw: bytes) -> Iterable[int]:
    near = (end + step for end in boundaries(raw) for step in (-1, 0, 1))
    chosen = random.Random(name).sample(range(len(raw)), min(SAMPLE, len(raw)))
    return sorted({*filter(len(raw).__gt__, near), *chosen})


@pytest.mark.parametrize("name", STREAMED)
def test_a_stream_cut_anywhere_leaves_nothing_behind(name: str) -> None:
    raw = recordings()[name].raw
    simulate(cut(raw, cuts_of(name, raw)))


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", STREAMED)
def test_a_stream_that_ends_early_in_good_order_leaves_nothing_behind(name: str) -> None:
    raw = recordings()[name].unframed
    simulate(cut(raw, range(len(raw)) if EVERY_BYTE else cuts_of(name, raw)))


async def cut(raw: bytes, places: Iterable[int]) -> None:
    """Ask once for each place, of a server that breaks off there and gives another answer to the next request.

    Broken off before the head is whole, a kept connection costs no attempt: the request is sent again over a new one.

    It is known beforehand to send reasoning apart from text, so that answers of mere reasoning stay what they are.
    """
    turns = Turns()
    async with ModelServer(turns, compactions=None) as server, pool_at(server.url) as pool:
        turns.coming = [OTHER]
        await ask(pool)
        turns.coming = [recorded(raw), OTHER]
        unbroken = await ask(pool)
        for place in places:
            turns.coming = [recorded(raw[:place]), OTHER]
            outcome = await ask(pool)
            judge(raw, place, unbroken, outcome)
            again = place < raw.index(b"\r\n\r\n") + 4
            assert len(outcome.of(ModelStarted)) == 2 - len(turns.coming) - again, "other requests than attempts"
            server.requests.clear()
            server.bodies.clear()


def judge(raw: bytes, place: int, unbroken: Outcome, outcome: Outcome) -> None:
    """After a cut that left no finish reason, all comes from the other answer; after one behind it, nothing does."""
    check(outcome)
    assert outcome.error is None
    attempts = len(outcome.of(ModelStarted))
    begin, end = finish_event(raw)
    if place < begin:
        assert outcome.content == OTHER_CONTENT, f"cut at {place}"
    elif place >= end:
        assert outcome.content == unbroken.content, f"cut at {place}"
    else:
        assert outcome.content == (OTHER_CONTENT if attempts == 2 else unbroken.content), f"cut at {place}"
    assert [failover.code for failover in outcome.of(Failover)] == ["stream_broken"] * (attempts - 1)


@cache
def finish_event(raw: bytes) -> tuple[int, int]:
    """The offsets of the event that holds the finish reason; behind the end where there is none."""
    for begin, end in pairwise(boundaries(raw)):
        if b'"finish_reason":"' in raw[begin:end].replace(b" ", b""):
            return begin, end
    return len(raw) + 1, len(raw) + 2


@pytest.mark.parametrize("name", SCRIPTED)
async def test_no_turn_is_lost_while_another_endpoint_lives(name: str) -> None:
    """Over real sockets, with the same answer whole at the second endpoint."""
    recording, turns = recordings()[name], Turns()
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(ModelServer(turns, compactions=None)) for _ in range(2)]
        pool = await stack.enter_async_context(pool_at(*(server.url for server in servers), deadlines=CALM))
        turns.coming = [recorded(recording.raw)]
        unbroken = await ask(pool)
        for place in boundaries(recording.raw)[:-1]:
            turns.coming = [recorded(recording.raw[:place]), recorded(recording.raw)]
            outcome = await ask(pool, question(f"cut at {place}"))
            check(outcome)
            assert outcome.error is None
            assert outcome.content == unbroken.content
            assert len(outcome.of(ModelStarted)) == 2 - len(turns.coming)
