"""Tool calls: what is remembered of them, which are not run, and what is wrong with them."""

from __future__ import annotations

from agentic.control.loops import (
    WINDOW,
    call_print,
    cycle,
    goes_on,
    is_waiting,
    last_outcome,
    outcome_print,
    periods_after,
)
from agentic.control.types import Block, Problem, Trouble, TurnState
from agentic.events import ToolKind

REFUSED = (2, 3)
"""Refused calls in a row: told, the end."""
REFUSED_TOTAL = (5, 6)
"""The same in all."""
REJECTED = (4, 6)
"""Calls in a row that the user rejected; with their reasons they may well be on the way to something."""
FAILED = (6, 12)
"""Calls in a row that failed: told, told again. The iterations end it: trying is not yet going in circles."""
SAME_OUTPUT = (6, 8, 10)
"""Differing calls in a row with the same result."""
SAME_OUTPUT_OF_COMMANDS = (10, 12, 14)
"""Commands change things and try again: a test that fails the same way after each of some attempts is honest work."""
SAME_OUTPUT_CHARS = 200
"""A shorter result says too little to be compared: "(it printed nothing)", "No matches."."""
STALE = (12, 16, 20)
"""Calls in a row that brought nothing that the last calls had not brought."""
READING = (30, 45, 60, 61)
"""Reads and searches without an edit, a command or a question: told twice, asked to answer without tools, the end."""
READING_LONG = (60, 90, 120, 121)
"""The same where reading is the work: in a research task, and in plan mode, where nothing is ever edited."""

REFUSALS = frozenset({"denied", "plan_mode", "outside_workspace", "unknown_tool", "no_tools"})
"""The codes of calls that were not let through. Those blocked as repeated are for the cycle to judge."""
EDITS: frozenset[ToolKind] = frozenset({"edit", "delete", "move"})
_READS: frozenset[ToolKind] = frozenset({"read", "search"})


def before_call(state: TurnState, name: str, arguments: str, kind: ToolKind = "other") -> Block | None:
    """Why the call is not to be run; its text goes to `after_call` as the result, with its code."""
    if state["barred"]:
        return Block("Not run: you were asked to answer without tools. Write your answer to the user.", "no_tools")
    if goes_on(state, call_print(name, arguments, kind)):
        return Block(
            f"Not run: {name} has just given the same result to the same arguments several times. It would again. "
            "Use what you have been given, or do something else."
        )
    return None


def after_call(
    state: TurnState, name: str, arguments: str, result: str, *, code: str = "", kind: ToolKind = "other"
) -> TurnState:
    """The state after a call: `code` is the refusal's, empty when the call worked; `kind` is the tool's.

    An edit that worked is progress: what counts idle calls begins anew.
    """
    call = call_print(name, arguments, kind)
    blocked = code == "repeated"
    outcome = (last_outcome(state["recent"], call) if blocked else "") or outcome_print(result)
    fingerprint = f"{call}/{outcome}"
    edited = kind in EDITS and not code
    known = fingerprint in state["recent"] or kind == "think"
    refused = code in REFUSALS
    after: TurnState = {
        **state,
        "calls": state["calls"] + 1,
        "periods": periods_after(state, fingerprint),
        "recent": [*state["recent"], fingerprint][-WINDOW:],
        "same_output": _same_output(state, fingerprint, 0 if code or edited else len(result)),
        "stale": 0 if edited or not known else state["stale"] + (not is_waiting(fingerprint)),
        "refused": state["refused"] + 1 if refused else 0,
        "rejected": state["rejected"] + 1 if code == "rejected" else 0,
        "refused_total": state["refused_total"] + refused,
        "failed": _failed(state, code, kind),
        "reading": _reading(state, code, kind),
        "same_text": state["same_text"] if known else 0,
        "farewells": 0 if edited else state["farewells"],
    }
    return forget(after)


def troubles(state: TurnState) -> list[Trouble]:
    """What is wrong with the calls made so far, the worst first."""
    found = (cycle(state), _refused(state), _output(state), _failing(state), _stale(state), _research(state))
    return [trouble for trouble in found if trouble]


def forget(state: TurnState) -> TurnState:
    """The state without the warnings that have been heeded: what comes later is told from the start."""
    if not state["nudged"]:
        return state
    there = {trouble.problem for trouble in troubles(state)}
    kept = {problem: said for problem, said in state["nudged"].items() if problem in there or problem in _OF_ANSWERS}
    return {**state, "nudged": kept}


_OF_ANSWERS = frozenset({"empty", "unread", "named", "repeating", "too_long", "talk", "farewell"})


def _same_output(state: TurnState, fingerprint: str, chars: int) -> int:
    if chars < SAME_OUTPUT_CHARS:
        return 0
    last = state["recent"][-1] if state["recent"] else ""
    same = last.rpartition("/")[2] == fingerprint.rpartition("/")[2]
    return state["same_output"] + 1 if same else 1


def _failed(state: TurnState, code: str, kind: ToolKind) -> int:
    if not code:
        return 0
    return state["failed"] + (kind in EDITS | _READS and code not in REFUSALS | {"repeated", "rejected"})


def _reading(state: TurnState, code: str, kind: ToolKind) -> int:
    if kind in _READS or code == "no_tools":
        return state["reading"] + 1
    return state["reading"] if code or kind in ("think", "fetch") else 0


def _refused(state: TurnState) -> Trouble | None:
    row, total, rejected = state["refused"], state["refused_total"], state["rejected"]
    strength = max(_strength(row, REFUSED), _strength(total, REFUSED_TOTAL), _strength(rejected, REJECTED))
    return Trouble("refused", total + rejected, strength) if strength else None


def _output(state: TurnState) -> Trouble | None:
    command = state["recent"] and ":x" in state["recent"][-1]
    limits = SAME_OUTPUT_OF_COMMANDS if command else SAME_OUTPUT
    return _trouble("output", state["same_output"], limits)


def _failing(state: TurnState) -> Trouble | None:
    return _trouble("failing", state["failed"], FAILED)


def _stale(state: TurnState) -> Trouble | None:
    return _trouble("stale", state["stale"], STALE)


def _research(state: TurnState) -> Trouble | None:
    long = state["domain"] == "research" or state["mode"] == "plan"
    return _trouble("research", state["reading"], READING_LONG if long else READING)


def _trouble(problem: Problem, count: int, limits: tuple[int, ...]) -> Trouble | None:
    strength = _strength(count, limits)
    return Trouble(problem, count, strength) if strength else None


def _strength(count: int, limits: tuple[int, ...]) -> int:
    return sum(count >= limit for limit in limits)
