"""Runs without a model and without tools: what was called and what came of it, replayed through run control."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field

from agentic.control.state import (
    Finish,
    Recover,
    Spent,
    TurnState,
    after_answer,
    after_call,
    after_directive,
    before_call,
    cut_calls,
    decide,
    fresh,
)
from agentic.events import ToolKind
from agentic.task import Limits

ENDLESS = Limits(iterations=10**6, recursion=10**7, tool_calls=10**6)
"""So that nothing but a rule ends a run."""
TOOLS = ("read_file", "list_files", "search_text", "edit_file", "write_file", "run_command", "update_plan", "delegate")


@dataclass(frozen=True)
class Call:
    name: str
    arguments: str
    result: str
    kind: ToolKind
    code: str = ""


@dataclass(frozen=True)
class Said:
    """An answer."""

    calls: tuple[Call, ...] = ()
    text: str = ""


@dataclass
class Replayed:
    """What run control did about a run."""

    state: TurnState
    told: list[Recover] = field(default_factory=list)
    end: Finish | None = None
    answers: int = 0
    made: int = 0
    blocked: int = 0

    @property
    def alarms(self) -> list[object]:
        """Everything but going on and the natural end."""
        ends = [self.end] if self.end is not None and self.end.reason != "end_turn" else []
        return [*self.told, *ends, *["blocked"] * self.blocked]


def command(text: str, output: str = "", code: int = 0) -> Call:
    """A shell command that was run, with its output as the tool gives it."""
    return Call(
        "run_command",
        json.dumps({"command": text}),
        f"{output or '(it printed nothing)'}\n[exit code {code}]",
        "execute",
    )


def read(path: str, text: str = "", offset: int = 1, code: str = "") -> Call:
    return Call(
        "read_file", json.dumps({"path": path, "offset": offset}), text or f"1\tthe text of {path}", "read", code
    )


def search(pattern: str, found: str = "No matches.") -> Call:
    return Call("search_text", json.dumps({"pattern": pattern}), found, "search")


def edit(path: str, old: str, new: str, result: str = "", code: str = "") -> Call:
    text = json.dumps({"path": path, "old": old, "new": new})
    return Call("edit_file", text, result or f"Edited {path}: {old} became {new}.", "edit", code)


def replay(answers: Iterable[Said | Call], state: TurnState | None = None, limits: Limits = ENDLESS) -> Replayed:
    """Replay until the run ends or something ends it; a bare call is an answer of its own."""
    run = Replayed(state or fresh())
    for answer in answers:
        said = Said((answer,)) if isinstance(answer, Call) else answer
        run.answers += 1
        _take(run, said, limits)
        directive = decide(run.state, limits, Spent())
        run.state = after_directive(run.state, directive)
        if isinstance(directive, Recover):
            run.told.append(directive)
        if isinstance(directive, Finish):
            run.end = directive
            break
    return run


def _take(run: Replayed, said: Said, limits: Limits) -> None:
    iteration = run.state["iteration"] + 1
    run.state = after_answer({**run.state, "iteration": iteration}, text=said.text, calls=len(said.calls), tools=TOOLS)
    for call in said.calls[: cut_calls(run.state, limits, len(said.calls))]:
        block = before_call(run.state, call.name, call.arguments, call.kind)
        result, code = (block.text, block.code) if block else (call.result, call.code)
        run.made += block is None
        run.blocked += block is not None
        run.state = after_call(run.state, call.name, call.arguments, result, code=code, kind=call.kind)
