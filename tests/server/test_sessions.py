"""Running turns: what they leave when something around them breaks."""

from __future__ import annotations

import asyncio

from support.runs import work

from agentic.change import Snapshot
from agentic.errors import Refusal, StoreError
from agentic.events import Event, ToolStarted, TurnFinished
from agentic.ports.asker import ScriptedAsker
from agentic.ports.model import Say, ScriptedModel
from agentic.ports.store import LoggedEvent, MemoryStore
from agentic.ports.workspace import MemoryWorkspace
from agentic.runtime import Ports
from agentic.task import Task
from agentic_server.sessions import ActiveTurn, Sessions

TASK = Task("Look", "s", "t")


class Stuck(MemoryWorkspace):
    """A file is read for ever."""

    def __init__(self) -> None:
        super().__init__({"a.py": ""})
        self.reading = asyncio.Event()
        self.left = False

    async def read(self, path: str) -> Snapshot | Refusal:
        self.reading.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.left = True
        raise AssertionError


class FullDisk(MemoryStore):
    async def flush(self) -> None:
        raise StoreError("The disk is full.")


class Client:
    """Gets what the sessions send; breaks at the first tool call if it is told to."""

    def __init__(self, store: MemoryStore, breaks: bool = False) -> None:
        self.events: list[Event] = []
        self.workspace = Stuck()
        self._breaks = breaks
        self._store = store
        self.sessions = Sessions(store, self._ports, self._send, self._no_progress)

    def _send(self, event: Event, logged: LoggedEvent) -> None:
        self.events.append(event)
        if self._breaks and isinstance(event, ToolStarted):
            raise OSError("the connection broke")

    async def _ports(self, task: Task) -> Ports:
        model = ScriptedModel([Say(work(), [("read_file", {"path": "a.py"})])])
        return Ports(model, self.workspace, ScriptedAsker(), self._store)

    async def _no_progress(self, turn: ActiveTurn) -> None:
        return None


async def test_a_turn_whose_events_cannot_be_passed_on_is_over_when_it_says_so() -> None:
    client = Client(MemoryStore(), breaks=True)
    turn = client.sessions.start(TASK)
    async with asyncio.timeout(30):
        await turn.ended.wait()
    assert client.workspace.left or not client.workspace.reading.is_set()
    assert isinstance(client.events[-1], TurnFinished)
    assert client.events[-1].stop_reason == "error"


async def test_the_daemon_can_end_while_the_disk_is_full() -> None:
    client = Client(FullDisk())
    turn = client.sessions.start(TASK)
    async with asyncio.timeout(30):
        await client.workspace.reading.wait()
        await client.sessions.stop_all()
    assert turn.ended.is_set()
    assert client.workspace.left
