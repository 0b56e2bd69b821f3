"""Runs with doubles: script in, transcript out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from support.grammar import check
from support.prompts import Conversations

from agentic.events import DELTAS, Event, TurnFinished, kind_of
from agentic.ports.asker import ScriptedAsker
from agentic.ports.model import Message, Say, ScriptedModel
from agentic.ports.store import MemoryStore
from agentic.ports.workspace import MemoryWorkspace
from agentic.runtime import Ports, Run, resume, run
from agentic.task import Limits, Mode, Task

WORK: dict[str, Any] = {
    "route": "work",
    "domain": "coding",
    "confidence": 0.9,
    "complexity": 0.2,
    "language": "en",
    "plan": [],
}


def work(text: str = "", **fields: Any) -> str:
    """A first answer's text: the classification line, then `text`."""
    return json.dumps({**WORK, **fields}) + "\n" + text


def reply(text: str, **fields: Any) -> str:
    return work(text, route="reply", domain="general", complexity=0.0, **fields)


@dataclass
class Played:
    """What came of a run."""

    events: list[Event]
    model: ScriptedModel
    workspace: MemoryWorkspace
    asker: ScriptedAsker
    store: MemoryStore

    @property
    def finished(self) -> TurnFinished:
        last = self.events[-1]
        assert isinstance(last, TurnFinished)
        return last

    @property
    def kinds(self) -> list[str]:
        """The kinds of events without deltas."""
        return [kind_of(event) for event in self.events if not isinstance(event, DELTAS)]

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def last_messages(self) -> list[Message]:
        return list(self.model.requests[-1].messages)


@dataclass
class Stage:
    """The world of one or more runs in one session."""

    files: dict[str, str] = field(default_factory=dict)
    answers: list[Any] = field(default_factory=list)
    commands: dict[str, tuple[int, str]] = field(default_factory=dict)
    store: MemoryStore = field(default_factory=MemoryStore)
    window: int = 32_768
    prompts: Conversations = field(default_factory=Conversations)

    def __post_init__(self) -> None:
        self.workspace = MemoryWorkspace(self.files, self.commands)
        self.turns = 0

    async def play(
        self,
        text: str,
        script: Iterable[Say],
        *,
        mode: Mode = "ask",
        limits: Limits | None = None,
        during: Callable[[Run, Event], None] | None = None,
        again: bool = False,
        **task: Any,
    ) -> Played:
        """Run one task to its end, check the grammar and the prompts, and log every event; `during` sees each event as
        it comes."""
        self.turns += 1
        model, asker = ScriptedModel(script, self.window), ScriptedAsker(self.answers)
        the_task = Task(text, "s", f"t{self.turns}", mode, limits or Limits(), **task)
        running = (resume if again else run)(the_task, Ports(model, self.workspace, asker, self.store))
        events: list[Event] = []
        async for event in running:
            events.append(event)
            self.store.append(event)
            if during is not None:
                during(running, event)
        check(events)
        self.prompts.add_run(model.requests, events)
        return Played(events, model, self.workspace, asker, self.store)
