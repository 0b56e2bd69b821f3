"""Four sub-agents: how much faster they are together than one after another, how soon each answers, what they weigh.

A task of complexity 0.9 is delegated in four parts by the real agent, over HTTP, on the simulated batching server. Each
part reads files, one an answer. One after another: the same with one sub-agent at once.
"""

from __future__ import annotations

import asyncio
import gc
import json
import time
from contextlib import suppress
from dataclasses import dataclass, field

from agentic.events import Event, FirstToken, SubAgentFinished, SubAgentStarted, TurnFinished
from agentic.llm.endpoint import Endpoint
from agentic.llm.pool import Pool
from agentic.ports.asker import ScriptedAsker
from agentic.ports.workspace import MemoryWorkspace
from agentic.runtime import Ports, run
from agentic.store.sqlite import SqliteStore
from agentic.task import Task, TeamRules
from agentic_server.feed import Feed
from benchmarks.batching_server import Served, Speed, batching_server
from benchmarks.editor import daemon, folder
from benchmarks.processes import children, pss, watched
from benchmarks.report import Row, median

PARTS, FILES, WORDS = 4, 4, 80
ROUNDS = 2
LINES = 80
QUICK = Speed(step=0.002, thought=20)
DELEGATED = f"Delegate {PARTS} parts of {FILES} files from 0."
ALONE = f"Read {PARTS * FILES} files from 0."


def measure() -> list[Row]:
    gc.collect()
    gc.freeze()  # As the daemon does once its libraries are loaded.
    try:
        rows = asyncio.run(_speed())
    finally:
        gc.unfreeze()
    return [*rows, *_memory()]


@dataclass
class Delegation:
    """One delegation as its reader saw it; times in nanoseconds of the machine's monotonic clock."""

    started: dict[str, int] = field(default_factory=dict)
    """By sub-agent."""
    answered: dict[str, int] = field(default_factory=dict)
    """Its first token."""
    over: int = 0
    """The last of them has finished."""
    served: list[Served] = field(default_factory=list)

    def take(self, event: Event) -> None:
        match event:
            case SubAgentStarted():
                self.started[event.name] = time.monotonic_ns()
            case SubAgentFinished():
                assert event.stop_reason == "end_turn", event.summary
                self.over = time.monotonic_ns()
            case FirstToken() if event.agent in self.started:
                self.answered.setdefault(event.agent, time.monotonic_ns())
            case TurnFinished() if event.agent == "main":
                assert event.stop_reason == "end_turn", event.summary
            case _:
                pass

    @property
    def seconds(self) -> float:
        return (self.over - min(self.started.values())) / 1e9

    def first_tokens(self) -> list[tuple[float, float]]:
        """Of each sub-agent: from its start to its first token, and what the server took of that; milliseconds."""
        server = {name: one.first - one.at for one in self.served if (name := _opened_by(one))}
        return [((self.answered[name] - begun) / 1e6, server[name] / 1e6) for name, begun in self.started.items()]


async def _speed() -> list[Row]:
    together, in_turn = list[Delegation](), list[Delegation]()
    for _ in range(ROUNDS):
        together.append(await _delegate(PARTS))
        in_turn.append(await _delegate(1))
    slow, fast = (median([one.seconds for one in some]) for some in (in_turn, together))
    beside = f"{slow:.2f} s and {fast:.2f} s, {PARTS} parts of {FILES + 1} answers; simulated batching server"
    name = f"{PARTS} sub-agents together / one after another"
    return [Row("team", name, slow / fast, "×", None, beside, least=3.3), _first_tokens(together, in_turn)]


def _first_tokens(together: list[Delegation], in_turn: list[Delegation]) -> Row:
    """As if the server had taken as long for each of the sub-agents as it takes for one that works alone."""
    many, lone = ([pair for one in some for pair in one.first_tokens()] for some in (together, in_turn))
    alone = median([whole for whole, _ in lone])
    ours, ours_alone = (median([whole - server for whole, server in some]) for some in (many, lone))
    worst = max(whole - server for whole, server in many)
    ratio = (alone + ours - ours_alone) / alone
    beside = f"beyond the server's time {ours:.1f} ms (the most {worst:.1f}), alone {ours_alone:.1f} of {alone:.1f} ms"
    return Row("team", "a sub-agent's first token / a lone one's, the server's time apart", ratio, "×", 1.2, beside)


async def _delegate(agents: int) -> Delegation:
    """The whole turn, with so many sub-agents at once, on a server that has just been started."""
    delegation = Delegation()
    with batching_server(Speed(thought=WORDS)) as server, folder() as root:
        store, pool = await SqliteStore.open(root / "sessions.db"), Pool([Endpoint(server.url)])
        task = Task(DELEGATED, "s", "t", "accept-edits", team=TeamRules(agents=agents))
        feed = Feed(store, lambda event, logged: None)
        async for event in run(task, Ports(pool, MemoryWorkspace(_files()), ScriptedAsker(), store)):
            delegation.take(event)
            feed.push(event)
        feed.flush()
        await pool.aclose()
        await store.aclose()
        delegation.served = server.served()
    assert len(delegation.answered) == PARTS, "nothing was delegated"
    return delegation


def _opened_by(served: Served) -> str:
    """The sub-agent whose first request it is; empty for any other."""
    messages = json.loads(served.body)["messages"]
    begins, _, rest = messages[1]["content"].partition("You are ")
    return rest.partition(",")[0] if len(messages) == 2 and begins == "[agentic] " else ""


def _memory() -> list[Row]:
    """The most that a daemon takes in each of the two tasks, of many looks."""
    team, worker = _weigh(DELEGATED)
    alone, _ = _weigh(ALONE)
    name = f"the daemon's memory with {PARTS} sub-agents, beyond the same task without"
    beside = f"{team:.1f} and {alone:.1f} MB, the most in a turn; PSS"
    small = f"beside it; PSS, {len(_files())} small files"
    return [
        Row("team", name, team - alone, "MB", None, beside),
        Row("team", "the index worker", worker, "MB", None, small),
    ]


def _weigh(task: str) -> tuple[float, float]:
    """The daemon and the processes that it has started, each at its highest."""
    with folder() as root, batching_server(QUICK) as server, daemon(server.url, root) as editor:
        for name, text in _files().items():
            editor.root.joinpath(name).write_text(text)
        pid = editor.process.pid
        with watched(lambda: pss(pid)) as looks, watched(lambda: sum(map(_weight, children(pid)))) as of_children:
            editor.run_turn(task)
    return max(looks), max(of_children)


def _weight(pid: int) -> float:
    """0 for a process that has just ended."""
    with suppress(OSError, ValueError):
        return pss(pid)
    return 0.0


def _files() -> dict[str, str]:
    places = [thousand * 1000 + n for thousand in range(PARTS + 1) for n in range(1, PARTS * FILES + 1)]
    return {f"{n}.py": "\n".join(f"value_{n}_{line} = {line * n}" for line in range(LINES)) for n in places}
