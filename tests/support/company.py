"""Turns with any number of agents, each of which answers as a function says, whatever it is asked.

Everything in this world gives others a turn before it answers, as real ones do, so that a turn can be ended between any
two of its events.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from support.grammar import check

from agentic.change import Applied, Change, Snapshot
from agentic.errors import Refusal
from agentic.events import EditResolved, Event, ModelEvent, SubAgentFinished, TurnFinished
from agentic.ports.asker import Proposal, Question, Reply, Verdict
from agentic.ports.model import Message, ModelRequest, Say, ScriptedModel, TokenCount, ToolSpec
from agentic.ports.store import MemoryStore
from agentic.ports.workspace import Checkout, Command, Exit, MemoryCheckout, MemoryWorkspace, Output
from agentic.runtime import Ports, Run, run
from agentic.task import Mode, Task

Answers = Callable[[str, int], Say]
"""What the agent of this name says to its request of this number, which counts from 1."""
During = Callable[[Run, Event], None]


async def breathe() -> None:
    """Let everybody else who is ready go first, more than once."""
    for _ in range(2):
        await asyncio.sleep(0)


class Agents:
    """A model that plays all agents."""

    def __init__(self, answers: Answers, window: int = 32_768) -> None:
        self.window = window
        self.answers = answers
        self.agents: dict[str, ScriptedModel] = {}

    @property
    def asked(self) -> int:
        """How many requests there were."""
        return sum(len(agent.requests) for agent in self.agents.values())

    def last_prompt(self, agent: str = "main") -> str:
        """All that the agent was last sent."""
        return "\n".join(str(message.get("content")) for message in self.agents[agent].requests[-1].messages)

    async def connect(self) -> None:
        await breathe()

    async def count(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> list[TokenCount]:
        return await ScriptedModel([]).count(messages, tools)

    async def complete(self, request: ModelRequest) -> AsyncGenerator[ModelEvent]:
        name = request.origin["agent"]
        agent = self.agents.setdefault(name, ScriptedModel([], self.window))
        agent.script.append(self.answers(name, len(agent.requests) + 1))
        async with aclosing(agent.complete(request)) as events:
            async for event in events:
                await breathe()
                yield event


class Files(MemoryWorkspace):
    """Files in a dict that take a moment."""

    async def read(self, path: str) -> Snapshot | Refusal:
        await breathe()
        return await super().read(path)

    async def apply(self, change: Change) -> Applied | Refusal:
        await breathe()
        applied = await super().apply(change)
        await breathe()
        return applied

    async def check_out(self) -> Checkout | Refusal:
        await breathe()
        self.checkouts.append(_Copy(MemoryWorkspace(self.files, self.commands), self.effects))
        return self.checkouts[-1]

    async def run(self, command: Command) -> AsyncGenerator[Output | Exit | Refusal]:
        async with aclosing(super().run(command)) as said:
            async for piece in said:
                await breathe()
                yield piece


class _Copy(MemoryCheckout):
    async def write(self, path: str, text: str | None) -> Refusal | None:
        await breathe()
        return await super().write(path, text)

    async def run(self, command: Command) -> AsyncGenerator[Output | Exit | Refusal]:
        async with aclosing(super().run(command)) as said:
            async for piece in said:
                await breathe()
                yield piece

    async def aclose(self) -> None:
        await breathe()
        await super().aclose()


class Consenting:
    """A user who says yes to everything, after a moment."""

    async def ask(self, question: Question) -> Reply:
        await breathe()
        return Reply("allow_once")

    async def review(self, proposal: Proposal) -> Verdict:
        await breathe()
        return Verdict({hunk.id: "accept" for hunk in proposal.hunks})


class Log(MemoryStore):
    """Remembers how large the positions were."""

    def __init__(self) -> None:
        super().__init__()
        self.positions: list[int] = []
        """Bytes of each checkpoint."""

    async def save_position(self, session: str, name: str, data: bytes) -> None:
        await breathe()
        self.positions.append(len(data))
        await super().save_position(session, name, data)


@dataclass
class Company:
    """The world of one turn. What must hold of every turn is checked at its end, see `play`."""

    answers: Answers
    files: Mapping[str, str] = field(default_factory=dict[str, str])
    commands: Mapping[str, tuple[int, str]] = field(default_factory=dict[str, tuple[int, str]])
    store: Log = field(default_factory=Log)
    window: int = 32_768
    events: list[Event] = field(default_factory=list[Event])

    def __post_init__(self) -> None:
        self.model = Agents(self.answers, self.window)
        self.workspace = Files(dict(self.files), dict(self.commands))

    async def play(
        self, text: str = "Build it.", mode: Mode = "accept-edits", during: During | None = None, **task: Any
    ) -> TurnFinished:
        """Run one turn, as `carry_out` does."""
        return await self.carry_out(Task(text, "s", "t", mode, **task), during)

    async def carry_out(self, task: Task, during: During | None = None) -> TurnFinished:
        """Run one turn. It ends with `turnFinished`, in good order; nothing of it goes on after that, and the files are
        as its events say. `during` sees each event as it comes."""
        before, running = asyncio.all_tasks(), self.start(task)
        async for event in running:
            self.events.append(event)
            self.store.append(event)
            if during is not None:
                during(running, event)
        self.check_end(before)
        last = self.events[-1]
        assert isinstance(last, TurnFinished)
        return last

    def start(self, task: Task) -> Run:
        """A turn in this world."""
        return run(task, Ports(self.model, self.workspace, Consenting(), self.store))

    def check_end(self, tasks_before: set[asyncio.Task[Any]]) -> None:
        check(self.events)
        assert asyncio.all_tasks() == tasks_before
        assert all(checkout.closed for checkout in self.workspace.checkouts)
        last = self.events[-1]
        assert isinstance(last, TurnFinished)
        changed = {path for path, text in self.workspace.files.items() if self.files.get(path) != text}
        assert set(last.files) == changed
        assert changed == {event.path for event in self.of(EditResolved) if event.outcome == "applied"}

    def of(self, kind: type, agent: str = "main") -> list[Any]:
        """The agent's events of this kind."""
        return [event for event in self.events if isinstance(event, kind) and event.agent == agent]

    def all_of(self, kind: type) -> list[Any]:
        """Those of all agents."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def ended(self) -> dict[str, str]:
        """How each sub-agent ended."""
        return {event.name: event.stop_reason for event in self.of(SubAgentFinished)}
