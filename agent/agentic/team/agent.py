"""Another agent as a function: an assignment in, an outcome out. `graph/` runs it in the same loop as the main one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from agentic.ports.workspace import Workspace
from agentic.task import StopReason


@dataclass(frozen=True, slots=True)
class Assignment:
    """What one agent is to do. `name` is unique in its turn; `text` is the whole user message that it begins with."""

    name: str
    text: str
    workspace: Workspace
    title: str = ""
    """For a person; empty: the text."""
    role: Literal["worker", "resolver", "candidate"] = "worker"
    priority: int = 1
    depends_on: tuple[str, ...] = ()
    iterations: int = 10
    seconds: float = 300.0
    temperature: float | None = None


@dataclass(frozen=True, slots=True)
class Ran:
    """A command that an agent ran to its end."""

    command: str
    exit_code: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an assignment. `summary` is the agent's last word, or what ended it."""

    name: str
    stop_reason: StopReason
    summary: str
    commands: tuple[Ran, ...] = ()


RunAgent = Callable[[Assignment], Awaitable[Outcome]]
"""Runs one agent to its end: emits its events (from `subAgentStarted` to `subAgentFinished`), counts what it spends
as the turn's, and never raises but for cancellation: a failure is an outcome."""
