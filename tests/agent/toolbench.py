"""A bench for tools: doubles for all ports, and the events with their ids made the same in every run."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Any

from agentic.events import Event, PlanStep, to_json
from agentic.ports.asker import Asker, HunkVerdict, ScriptedAsker
from agentic.ports.model import ToolCall
from agentic.ports.store import MemoryStore
from agentic.ports.workspace import MemoryWorkspace
from agentic.task import Mode, Task
from agentic.tools.base import ToolContext, ToolResult
from agentic.tools.runtime import run_call

_ID = re.compile(r"\b(edit|approval|question)-[0-9a-f]{12}-[0-9a-f]{6}")


class Bench:
    """One turn's context over memory; `call` runs a tool through the door."""

    def __init__(
        self,
        files: dict[str, str] | None = None,
        answers: Iterable[str | dict[str, HunkVerdict]] = (),
        mode: Mode = "ask",
        asker: Asker | None = None,
        commands: dict[str, tuple[int, str]] | None = None,
    ) -> None:
        self.workspace = MemoryWorkspace(files or {}, commands)
        self.store = MemoryStore()
        self.events: list[Event] = []
        self.plan: list[PlanStep] = []
        self.context = ToolContext(
            self.workspace,
            asker or ScriptedAsker(answers),
            self.store,
            Task("do it", "s-1", "t-1", mode),
            {"session_id": "s-1", "turn_id": "t-1", "agent": "main"},
            self.events.append,
            {},
            self.plan,
        )

    def with_rules(self, rules: Callable[[str, int], Awaitable[str]], max_chars: int = 50_000) -> ToolContext:
        """The context of a workspace whose folders have rules."""
        return replace(self.context, rules=rules, max_chars=max_chars)

    async def call(self, name: str, arguments: Any) -> ToolResult:
        text = arguments if isinstance(arguments, str) else json.dumps(arguments)
        return await run_call(ToolCall("call-1", name, text), self.context)

    @property
    def kinds(self) -> list[str]:
        return [event["kind"] for event in self.transcript]

    @property
    def transcript(self) -> list[dict[str, Any]]:
        """The events as JSON, without their origin; ids and hashes have the same names in every run."""
        text = json.dumps([to_json(event) for event in self.events], ensure_ascii=False)
        text = re.sub(r'"binding": ?"[0-9a-f]{64}"', '"binding": "B"', _ID.sub(r"\1-1", text))
        return [
            {k: v for k, v in event.items() if k not in ("sessionId", "turnId", "agent")} for event in json.loads(text)
        ]
