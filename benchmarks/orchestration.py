"""What the orchestrator itself costs: an iteration, a streamed token, a look of run control. The model answers at once.

An iteration is measured from request to request, with the real log, the real graph and the real window, and one read of
a file in memory. A token is measured from the model port to the run's iterator, beside the model port alone.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import random
import time
from collections.abc import AsyncGenerator, Iterable

from agentic.control.state import Spent, after_call, decide, fresh
from agentic.control.stream_guard import StreamGuard
from agentic.events import Event, FirstToken, ModelEvent, ModelFinished, ModelStarted, TextDelta, TextFinished, Usage
from agentic.ports.asker import ScriptedAsker
from agentic.ports.model import ModelRequest, Say, ScriptedModel
from agentic.ports.workspace import MemoryWorkspace
from agentic.runtime import Ports, run
from agentic.store.sqlite import SqliteStore
from agentic.task import Limits, Task
from agentic_server.feed import Feed
from benchmarks.editor import folder
from benchmarks.report import Row, median, percentile

ROUNDS = 7
ITERATIONS = 50
EARLY, LATE = slice(1, 11), slice(40, 50)
"""Of the gaps between requests: iterations 2 to 11, and 41 to 50."""
TOKENS = 4_000
CALLS = 300
WINDOW = 10_000_000
TRIAGE = '{"route": "%s", "domain": "research", "confidence": 0.9, "complexity": 0.2, "language": "en", "plan": []}\n'


def measure() -> list[Row]:
    gc.collect()
    gc.disable()
    try:
        return [*asyncio.run(_iterations()), asyncio.run(_tokens()), *_run_control()]
    finally:
        gc.enable()


async def _iterations() -> list[Row]:
    early, late, every = list[float](), list[float](), list[float]()
    with folder() as root:
        store = await SqliteStore.open(root / "sessions.db")
        await _fifty(store, "warm")
        for number in range(ROUNDS):
            gaps = await _fifty(store, f"s{number}")
            early += gaps[EARLY]
            late += gaps[LATE]
            every += gaps
        await store.aclose()
    beside = f"p90 {percentile(every, 0.9):.1f} ms of {len(every)}; one read of 80 lines in memory is in it"
    flat = f"{median(late):.2f} and {median(early):.2f} ms, medians of {len(late)}"
    return [
        Row("orchestration", "an iteration without the model's time, median", median(every), "ms", 10.0, beside),
        Row("orchestration", "iterations 41 to 50 / 2 to 11", median(late) / median(early), "×", 1.25, flat),
    ]


async def _fifty(store: SqliteStore, session: str) -> list[float]:
    """Milliseconds from each request to the next, in one turn that uses all its iterations."""
    chance = random.Random(session)
    files = {f"{n}.py": "\n".join(_words(chance, 8) for _ in range(80)) for n in range(ITERATIONS)}
    reads = [("read_file", {"path": path}) for path in files]
    script = [Say("I read it and compare it with those before.", [read]) for read in reads]
    script[0] = Say(TRIAGE % "work", [reads[0]])
    model = Stamped([*script, Say("All of them are read.")], WINDOW)
    feed = Feed(store, lambda event, logged: None)
    task = Task("Read all files.", session, "t", limits=Limits(iterations=ITERATIONS))
    async for event in run(task, Ports(model, MemoryWorkspace(files), ScriptedAsker(), store)):
        feed.push(event)
    feed.flush()
    assert len(model.asked) == ITERATIONS + 1, "the turn took another way"
    return [(after - before) * 1e3 for before, after in itertools.pairwise(model.asked)]


class Stamped(ScriptedModel):
    """Answers at once, and notes when it was asked."""

    def __init__(self, script: Iterable[Say], window: int) -> None:
        super().__init__(script, window)
        self.asked: list[float] = []

    async def complete(self, request: ModelRequest) -> AsyncGenerator[ModelEvent]:
        self.asked.append(time.perf_counter())
        async for event in super().complete(request):
            yield event


async def _tokens() -> Row:
    """Both ways in turns, each from the first token to the last."""
    with folder() as root:
        store = await SqliteStore.open(root / "sessions.db")
        pairs = [(await _through_a_run(store, f"s{n}"), await _alone()) for n in range(ROUNDS)]
        await store.aclose()
    ours, alone = (median(column) for column in zip(*pairs, strict=True))
    beside = f"{ours:.1f} µs, the model port alone {alone:.1f} µs; {TOKENS:,} tokens, medians of {ROUNDS}"
    name = "a token from the model port to the run's iterator, beyond the port alone"
    return Row("orchestration", name, ours - alone, "µs", 50.0, beside)


async def _through_a_run(store: SqliteStore, session: str) -> float:
    ports = Ports(Talking(), MemoryWorkspace({}), ScriptedAsker(), store)
    return await _a_token(run(Task("Tell a long story.", session, "t"), ports))


async def _alone() -> float:
    origin = {"session_id": "s", "turn_id": "t", "agent": "main"}
    return await _a_token(Talking().complete(ModelRequest(origin, [])))


async def _a_token(events: AsyncGenerator[Event]) -> float:
    """Microseconds."""
    times = [time.perf_counter() async for event in events if isinstance(event, TextDelta)]
    assert len(times) >= TOKENS
    return (times[-1] - times[0]) * 1e6 / (len(times) - 1)


class Talking(ScriptedModel):
    """Says one long answer, token by token; the loop goes round between them, as it does when they come by wire."""

    def __init__(self) -> None:
        super().__init__((), WINDOW)

    async def complete(self, request: ModelRequest) -> AsyncGenerator[ModelEvent]:
        origin, text = request.origin, [TRIAGE % "reply", *_story()]
        yield ModelStarted(**origin, request="r", endpoint="here", model="tiny", attempt=1, prompt_tokens=0)
        yield FirstToken(**origin, request="r", seconds=0.0)
        for piece in text:
            await asyncio.sleep(0)
            yield TextDelta(**origin, item="text", text=piece)
        yield TextFinished(**origin, item="text", text="".join(text))
        yield ModelFinished(**origin, request="r", finish_reason="stop", usage=Usage(), seconds=1.0)


def _run_control() -> list[Row]:
    looks = [look for _ in range(ROUNDS) for look in _looks()]
    guards = [_guard() for _ in range(ROUNDS)]
    beside = f"p99 {percentile(looks, 0.99):.0f} µs; {CALLS} calls with results of 4 KB"
    return [
        Row(
            "orchestration",
            "run control after a call: after_call and decide, median",
            median(looks),
            "µs",
            250.0,
            beside,
        ),
        Row(
            "orchestration", "run control on a streamed token", median(guards), "µs", 5.0, f"{TOKENS:,} tokens of prose"
        ),
    ]


def _looks() -> list[float]:
    """Microseconds for each of the calls: reads, edits and test runs in turns."""
    chance = random.Random(1)
    results = [_words(chance, 600) for _ in range(CALLS)]
    kinds = itertools.cycle((("read_file", "read"), ("edit_file", "edit"), ("run_command", "execute")))
    state, limits, taken = fresh("auto"), Limits(), list[float]()
    for number, (result, (name, kind)) in enumerate(zip(results, kinds, strict=False)):
        arguments = json.dumps({"path": f"src/module_{number}.py", "command": "pytest -q"})
        begun = time.perf_counter()
        state = after_call(state, name, arguments, result, kind=kind)
        decide(state, limits, Spent(10.0, 1000, 0.0, number))
        taken.append((time.perf_counter() - begun) * 1e6)
    return taken


def _guard() -> float:
    guard, tokens = StreamGuard(), _story()
    begun = time.perf_counter()
    cut = [reason for token in tokens if (reason := guard.feed(token))]
    taken = (time.perf_counter() - begun) * 1e6 / len(tokens)
    assert not cut
    return taken


def _story() -> list[str]:
    """Prose of made-up words, cut into tokens."""
    chance = random.Random(2)
    words = [_words(chance, 1) for _ in range(TOKENS)]
    return [f" {word}." if number % 15 == 14 else f" {word}" for number, word in enumerate(words)]


def _words(chance: random.Random, count: int) -> str:
    return " ".join("".join(chance.choices("abcdefghiklmnoprstu", k=chance.randint(3, 8))) for _ in range(count))
