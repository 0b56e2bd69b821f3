"""What the model layer costs and gains: for a chunk, a request, a failover, a count of tokens, requests together."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing

import httpx2
import openai

from agentic.context.history import History
from agentic.context.prompts import load as load_prompt
from agentic.events import Failover, ModelFinished, ModelStarted, TextDelta
from agentic.graph.window import PromptWindow
from agentic.llm.answers import AnswerReader
from agentic.llm.attempt import EndpointClient
from agentic.llm.client import open_client
from agentic.llm.clock import Clock
from agentic.llm.counting import TokenCounter
from agentic.llm.endpoint import Deadlines, Endpoint, EndpointInfo
from agentic.llm.pool import Pool
from agentic.llm.prefix import PrefixMap, PromptChains
from agentic.llm.probe import probe
from agentic.llm.tokenizer import load_o200k
from agentic.ports.model import Message, ModelRequest, TokenCount, ToolSpec
from agentic.ports.store import MemoryStore
from agentic.tools.registry import tool_specs
from benchmarks.batching_server import Speed, batching_server
from benchmarks.model_server import ModelServer, Plan, model_server
from benchmarks.report import Row, median, percentile

ROUNDS, CHUNKS = 12, 2000
REQUESTS = 200
FAILURES = 40
TOGETHER, ANSWER_TOKENS = 4, 100
HISTORY_TOKENS, MESSAGE_TOKENS = 100_000, 250
SENTENCE = "The lighthouse keeper climbs the stairs and counts them until the lamp is lit. "


def measure() -> list[Row]:
    gc.disable()
    try:
        rows = [*asyncio.run(_chunks()), *asyncio.run(_healthy_requests()), *asyncio.run(_failovers())]
        rows += [*asyncio.run(_batches()), *asyncio.run(_counts()), _prefixes()]
    finally:
        gc.enable()
    return rows


async def _chunks() -> list[Row]:
    """CPU of this process for each chunk of a stream that comes as fast as it is read."""
    with model_server() as server:
        server.plan(Plan(tokens=CHUNKS))
        pool, plain = Pool([Endpoint(server.url)]), openai.AsyncOpenAI(base_url=server.url, api_key="x", max_retries=0)
        async with httpx2.AsyncClient(base_url=server.url, trust_env=False) as http:
            ways: list[Callable[[], AsyncIterator[str]]] = [
                lambda: _by_pool(pool),
                lambda: _by_openai(plain),
                lambda: _by_httpx(http),
            ]
            spent = [await _cpu_a_chunk(way) for _ in range(ROUNDS) for way in ways]
        await pool.aclose()
        await plain.close()
    ours, theirs, raw = (median(spent[way::3]) for way in range(3))
    beside = (
        f"{ours:.0f} µs of CPU, openai {theirs:.0f}, httpx and json {raw:.0f}; {CHUNKS} chunks, medians of {ROUNDS}"
    )
    return [
        Row("models", "a streamed chunk: the pool / the plain openai client", ours / theirs, "×", 1.5, beside),
        Row("models", "a streamed chunk: the pool / plain httpx reading and json", ours / raw, "×"),
    ]


async def _cpu_a_chunk(way: Callable[[], AsyncIterator[str]]) -> float:
    begun, pieces = time.process_time(), 0
    async for _ in way():
        pieces += 1
    assert pieces >= CHUNKS
    return (time.process_time() - begun) * 1e6 / pieces


async def _by_pool(pool: Pool) -> AsyncIterator[str]:
    async for event in pool.complete(_request("chunks", [_user("Go.")])):
        if isinstance(event, TextDelta):
            yield event.text


async def _by_openai(client: openai.AsyncOpenAI) -> AsyncIterator[str]:
    stream = await client.chat.completions.create(
        model="tiny", messages=[{"role": "user", "content": "Go."}], stream=True
    )
    async for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content:
            yield chunk.choices[0].delta.content


async def _by_httpx(client: httpx2.AsyncClient) -> AsyncIterator[str]:
    body = {"model": "tiny", "messages": [_user("Go.")], "stream": True}
    async with client.stream("POST", "chat/completions", json=body) as answer:
        async for line in answer.aiter_lines():
            if line.startswith("data: {"):
                choices = json.loads(line[6:])["choices"]
                if choices and choices[0]["delta"].get("content"):
                    yield choices[0]["delta"]["content"]


async def _healthy_requests() -> list[Row]:
    """A request through the pool beside one attempt of the bare endpoint client, in turns, over the same connection."""
    messages = [_user(f"{number}: {SENTENCE * 4}") for number in range(100)]
    with model_server() as server, model_server() as other:
        addresses = [Endpoint(server.url), Endpoint(other.url)]
        pool = Pool(addresses)
        client = EndpointClient(addresses[0], await probe(addresses[0]), Deadlines())
        ways: list[Callable[[], Awaitable[object]]] = [
            lambda: _drain(pool, _request("healthy", messages)),
            lambda: _attempt(client, _request("healthy", messages)),
        ]
        spent = [await _pair(ways, number) for number in range(REQUESTS)][10:]
        await pool.aclose()
        await client.aclose()
    ours, bare = (median([pair[way] for pair in spent]) for way in range(2))
    beyond = median([ours - bare for ours, bare in spent])
    beside = f"{ours:.2f} and {bare:.2f} ms, {len(messages)} messages; median of {len(spent)} pairs; two endpoints"
    return [Row("models", "a healthy request: the pool beyond one bare attempt", beyond, "ms", 1.0, beside)]


async def _pair(ways: Sequence[Callable[[], Awaitable[object]]], number: int) -> list[float]:
    """The milliseconds of each way; every other time the second goes first."""
    if number % 2:
        return [await _timed(way) for way in ways]
    return [await _timed(way) for way in reversed(ways)][::-1]


async def _timed(way: Callable[[], Awaitable[object]]) -> float:
    begun = time.perf_counter()
    await way()
    return (time.perf_counter() - begun) * 1e3


async def _attempt(client: EndpointClient, request: ModelRequest) -> None:
    clock, answer = Clock(Deadlines()), AnswerReader(request.origin, set())
    async with aclosing(client.attempt("r", client.encode(request), answer, clock)) as events:
        async for _ in events:
            pass


async def _failovers() -> list[Row]:
    """From the cut on the wire to the first byte of the request at the other server."""
    with model_server() as one, model_server() as other:
        pool = Pool([Endpoint(one.url), Endpoint(other.url)])
        await pool.connect()
        servers = {one.url: one, other.url: other}
        delays = [await _failover(pool, servers, f"s{number}") for number in range(FAILURES)]
        await pool.aclose()
    beside = f"p90 {percentile(delays, 0.9):.2f} ms, the most {max(delays):.2f}; {FAILURES} streams cut in the middle"
    return [Row("models", "failover: the cut → the request at the other server", median(delays), "ms", 50.0, beside)]


async def _failover(pool: Pool, servers: dict[str, ModelServer], session: str) -> float:
    """A conversation whose home cuts the second answer, in milliseconds."""
    for server in servers.values():
        server.plan(Plan())
    events = await _drain(pool, _request(session, [_user("Go.")]))
    home = next(event.endpoint for event in events if isinstance(event, ModelStarted))
    for server in servers.values():
        server.asked()
    servers[home].plan(Plan(tokens=20, rate=1000.0, cut=True))
    events = await _drain(pool, _request(session, [_user("Go."), _user("On.")]))
    [failed] = [event for event in events if isinstance(event, Failover)]
    [cut], [taken] = servers[home].asked(), servers[failed.to].asked()
    return (taken.first - cut.answered) / 1e6


async def _batches() -> list[Row]:
    """Independent requests in flight together, beside the same one after another."""
    with batching_server(Speed()) as server:
        rows = [await _batch(server.url, "simulated batching server")]
    if url := os.environ.get("AGENTIC_BENCH_VLLM"):
        rows.append(await _batch(url, "real server"))
    return rows


async def _batch(url: str, kind: str) -> Row:
    pool = Pool([Endpoint(url)])
    await pool.connect()
    await _drain(pool, _independent("warm"))
    alone = [await _timed(lambda name=f"alone-{n}": _drain(pool, _independent(name))) for n in range(TOGETHER)]
    together = await _timed(
        lambda: asyncio.gather(*(_drain(pool, _independent(f"together-{n}")) for n in range(TOGETHER)))
    )
    await pool.aclose()
    beside = f"{kind}: {sum(alone) / 1e3:.2f} s and {together / 1e3:.2f} s, {ANSWER_TOKENS} tokens each"
    name = f"{TOGETHER} requests together / one after another, {kind}"
    return Row("models", name, sum(alone) / together, "×", least=3.3, beside=beside)


def _independent(name: str) -> ModelRequest:
    """Another task, after the same system text and tools."""
    messages = [{"role": "system", "content": load_prompt("system")}, _user(f"Tell of {name}. {SENTENCE * 8}")]
    return _request(name, messages, tool_specs(), ANSWER_TOKENS)


async def _counts() -> list[Row]:
    """The window's count after one more message, and that of all anew."""
    rows: list[Row] = []
    await load_o200k()
    for model, name in (("gpt-oss-20b", "with o200k"), ("other", "by the estimate")):
        counting = _Counting(model)
        history = await _history()
        window = PromptWindow(counting, history)
        begun = time.perf_counter()
        await window.count()
        whole = (time.perf_counter() - begun) * 1e3
        spent: list[float] = []
        for number in range(REQUESTS):
            history.add_user(f"{number} {SENTENCE * (MESSAGE_TOKENS // 16)}")
            spent.append(await _timed(window.count))
        tokens = (await window.count()).tokens
        beside = f"p99 {percentile(spent, 0.99):.3f} ms; all anew {whole:.0f} ms; {tokens:,} tokens at the end"
        label = f"tokens of a {HISTORY_TOKENS:,}-token history after one more message, {name}"
        rows.append(Row("models", label, median(spent), "ms", 1.0, beside))
        await counting.aclose()
    return rows


def _prefixes() -> Row:
    """What a request pays for knowing which part of its prompt each of two endpoints holds."""
    messages = [_user(f"{number}: {SENTENCE * 4}") for number in range(1000)]
    chains, caches, spent = PromptChains(), (PrefixMap(), PrefixMap()), list[float]()
    for number in range(REQUESTS):
        messages.append(_user(f"More, {number}."))
        begun = time.perf_counter()
        chain = chains.of(("s", "main"), messages, tool_specs())
        for cache in caches:
            cache.expected(chain)
        caches[0].remember(chain, 10)
        spent.append((time.perf_counter() - begun) * 1e3)
    beside = f"p99 {percentile(spent, 0.99):.3f} ms; the first, all hashed, {spent[0]:.2f} ms"
    return Row("models", "what two endpoints hold of a prompt of 1,000 messages", median(spent), "ms", 0.5, beside)


class _Counting:
    """A model that only counts. Its server offers no count."""

    window = 10_000_000

    def __init__(self, model: str) -> None:
        self._client = open_client("http://127.0.0.1:9/v1", "", 1.0)
        self._counter = TokenCounter(self._client, EndpointInfo("http://127.0.0.1:9/v1", model))

    async def connect(self) -> None:
        return None

    async def count(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> list[TokenCount]:
        return await self._counter.count(messages, tools)

    async def complete(self, request: ModelRequest) -> AsyncIterator[object]:
        raise NotImplementedError
        yield

    async def aclose(self) -> None:
        await self._client.close()


async def _history() -> History:
    store = MemoryStore()
    await store.open_session("s", "counting", [])
    history = History(store, "s", "t", load_prompt("system"))
    for number in range(HISTORY_TOKENS // MESSAGE_TOKENS):
        history.add_user(f"{number} {SENTENCE * (MESSAGE_TOKENS // 16)}")
    return history


async def _drain(pool: Pool, request: ModelRequest) -> list[object]:
    events: list[object] = [event async for event in pool.complete(request)]
    assert isinstance(events[-1], ModelFinished)
    return events


def _request(
    session: str, messages: list[Message], tools: Sequence[ToolSpec] = (), max_tokens: int | None = None
) -> ModelRequest:
    origin = {"session_id": session, "turn_id": "t", "agent": "main"}
    return ModelRequest(origin, messages, tools, max_tokens=max_tokens)


def _user(text: str) -> Message:
    return {"role": "user", "content": text}
