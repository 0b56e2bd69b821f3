"""How much of its prompts a run finds in the servers' prefix caches: a long conversation, four sub-agents beside it.

Whole turns run through the pool, over HTTP; what the servers were sent is judged afterwards, token by token.
"""

from __future__ import annotations

import argparse
import asyncio
import inspect
import typing
from collections.abc import Sequence
from contextlib import ExitStack

from agentic.events import Compacted, Event, ModelFinished
from agentic.llm.endpoint import Endpoint as Address
from agentic.llm.pool import Pool
from agentic.ports.asker import ScriptedAsker
from agentic.ports.store import MemoryStore
from agentic.ports.workspace import MemoryWorkspace
from agentic.runtime import Ports, run
from agentic.task import Task
from benchmarks.batching_server import AT_ONCE, batching_server
from benchmarks.report import Row
from benchmarks.token_cache import Asked, Endpoint, Oracle, read, share

ITERATIONS, WINDOW = 50, 28_000
SUB_AGENTS, PARTS = 4, 8
LINES = 80
IN_FLIGHT = 2
"""Requests at each of two servers, so that the sub-agents must spread."""


def measure() -> list[Row]:
    return [*_one_server(), *_two_servers()]


def _one_server() -> list[Row]:
    asked, events = _play(1)
    cache, oracle = _judge(asked[0]), _judge_ideally(asked[0])
    compactions = sum(isinstance(event, Compacted) for event in events)
    beside = (
        f"{share([cache]):.1%} of {cache.prompt:,} prompt tokens in {len(asked[0])} requests; possible"
        f" {share([oracle]):.1%}; {compactions} compactions, {SUB_AGENTS} sub-agents; o200k, blocks of 16"
    )
    return [
        Row("cache", "prefix-cache hits / what is possible", cache.hits / oracle.hits, "", least=0.95, beside=beside),
        Row("cache", "the hit share as the pool computes it / the true one", _computed(events) / share([cache]), "×"),
    ]


def _two_servers() -> list[Row]:
    asked, _ = _play(2, IN_FLIGHT)
    everything = sorted((one for requests in asked for one in requests), key=lambda one: one.at)
    possible = _judge_ideally(everything)
    sticky = share([_judge(requests) for requests in asked])
    turns = share([_judge(everything[place::2]) for place in (0, 1)])
    requests = " and ".join(str(len(requests)) for requests in asked)
    beside = f"{sticky:.1%}, possible {share([possible]):.1%}, round robin {turns:.1%}; {requests} requests"
    ratio = sticky / share([possible])
    return [
        Row("cache", "two servers, sticky: prefix-cache hits / what is possible", ratio, "", least=0.9, beside=beside)
    ]


def _play(servers: int, in_flight: int = 8) -> tuple[list[list[Asked]], list[Event]]:
    """What each server was asked, in order, and all events."""
    with ExitStack() as stack:
        started = [stack.enter_context(batching_server(AT_ONCE)) for _ in range(servers)]
        addresses = [Address(server.url, window=WINDOW, max_requests=in_flight) for server in started]
        events = asyncio.run(_run_all(addresses))
        return [read(server.served()) for server in started], events


async def _run_all(addresses: Sequence[Address]) -> list[Event]:
    """The long conversation and, once it is under way, its sub-agents: the same system text and tools, other tasks."""
    pool, events, under_way = Pool(addresses), list[Event](), asyncio.Event()
    workspace = MemoryWorkspace(_files())

    async def work(name: str, files: int, first: int) -> None:
        task = Task(f"Read {files} files from {first} on.", name, "t1")
        async for event in run(task, Ports(pool, workspace, ScriptedAsker(), MemoryStore())):
            events.append(event)
            if isinstance(event, ModelFinished):
                under_way.set()

    async def sub_agents() -> None:
        await under_way.wait()
        agents = (work(f"sub-agent-{n}", PARTS, 1000 * (n + 1)) for n in range(SUB_AGENTS))
        await asyncio.gather(*agents)

    try:
        await asyncio.gather(work("long", ITERATIONS - 1, 0), sub_agents())
    finally:
        await pool.aclose()
    return events


def _files() -> dict[str, str]:
    """Real code, cut into files of the same number of lines."""
    lines = [
        line
        for module in (inspect, argparse, typing, asyncio.base_events)
        for line in inspect.getsource(module).split("\n")
    ]
    starts = iter(range(0, len(lines) - LINES, LINES))
    names = [f"{n + 1}.py" for n in range(ITERATIONS)]
    names += [f"{1000 * (agent + 1) + n + 1}.py" for agent in range(SUB_AGENTS) for n in range(PARTS)]
    return {name: "\n".join(lines[start : start + LINES]) for name, start in zip(names, starts, strict=False)}


def _judge(asked: Sequence[Asked]) -> Endpoint:
    cache = Endpoint()
    for one in asked:
        cache.ask(one)
    return cache


def _judge_ideally(asked: Sequence[Asked]) -> Oracle:
    oracle = Oracle()
    for one in asked:
        oracle.ask(one)
    return oracle


def _computed(events: Sequence[Event]) -> float:
    usages = [event.usage for event in events if isinstance(event, ModelFinished)]
    return sum(usage.cached or 0 for usage in usages) / sum(usage.prompt or 0 for usage in usages)
