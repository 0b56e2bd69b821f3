"""The team port: other agents that work on parts of a task, each on its own view of the workspace.

The double, `ScriptedTeam`, has its reports from a list.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from agentic.change import Change
from agentic.task import StopReason


class Subtask(msgspec.Struct, frozen=True, omit_defaults=True):
    """One part of a task. `depends_on` names others that must be finished before; the lower `priority`, the sooner."""

    name: str
    text: str
    depends_on: list[str] = []
    priority: int = 1


@dataclass(frozen=True, slots=True)
class Report:
    """What came of one sub-agent. `summary` is its last word; `files` are those that it changed in its view."""

    name: str
    stop_reason: StopReason
    summary: str
    files: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    """Files that its commands removed in its view; they are not removed from the workspace."""

    @property
    def succeeded(self) -> bool:
        return self.stop_reason == "end_turn"


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two agents changed the same lines of a file in different ways: what `kept` wrote is in, what `left` wrote is not.

    Both are agents' names, or `user` where the user typed meanwhile. `line` is the first such place, from 1.
    """

    path: str
    line: int
    kept: str
    left: str
    diff: str = ""
    """From the joined text to one that has what was left out, as a unified diff."""


@dataclass(frozen=True, slots=True)
class Delegated:
    """The sub-agents' work joined: one change for each file, against the workspace as it was."""

    reports: Sequence[Report]
    changes: Sequence[Change]
    conflicts: Sequence[Conflict] = ()
    resolved: tuple[str, ...] = ()
    """Files in which two had changed the same lines, and one more agent has joined what they did."""


MOST_DELEGATIONS = 3
"""In one turn: a model that parts its task again and again does not come to an end."""


class Team(Protocol):
    """Whoever works on subtasks."""

    @property
    def left(self) -> int:
        """How many more times of this turn something may be delegated."""
        ...

    async def delegate(self, call: str, subtasks: Sequence[Subtask]) -> Delegated:
        """Work on all of them, as many at once as is allowed, and join what came of it.

        `call` is the id of the tool call that asked for it. The subtasks have been checked: two or more, names
        apart, dependencies known and without a cycle. Nothing is applied to the workspace. A sub-agent that fails is
        in the reports; cancelling the task ends all of them.
        """
        ...


class ScriptedTeam:
    """Hands back what the script says, in order, and keeps what it was asked for."""

    def __init__(self, script: Iterable[Delegated] = ()) -> None:
        self.script = list(script)
        self.calls: list[tuple[str, Sequence[Subtask]]] = []

    @property
    def left(self) -> int:
        return MOST_DELEGATIONS - len(self.calls)

    async def delegate(self, call: str, subtasks: Sequence[Subtask]) -> Delegated:
        self.calls.append((call, subtasks))
        if not self.script:
            raise AssertionError(f"the script has nothing for {[subtask.name for subtask in subtasks]}")
        return self.script.pop(0)
