"""The state of a turn and the decisions over it: pure functions, testable without a model.

The state is plain JSON values, small whatever the conversation's length: LangGraph writes it down at every step.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TypedDict

from agentic.control.routes import Station
from agentic.control.unread import holds_unread_call
from agentic.task import Limits, Route, StopReason

MAX_EMPTY = 2
"""Empty answers in a row that are asked again; one more ends the turn."""
MAX_UNREAD = 2
"""The same for answers whose calls nobody could read."""
LOOP_WARN = 3
LOOP_STOP = 5
"""Identical calls with identical results, in a row: at the first the model is told, at the second the turn ends.

In 198 recorded runs of real agents no command was ever run three times in a row with success.
"""


class TurnState(TypedDict):
    """Counters of one turn."""

    route: Route
    iteration: int
    calls: int
    """Tool calls made so far."""
    last_call: str
    """The fingerprint of the last call and its result."""
    repeats: int
    """How often that has come in a row."""
    empty: int
    """Empty answers in a row."""
    unread: int
    """Answers in a row that called nothing but hold a call that could not be read."""
    answered: bool
    """The last answer called no tool."""
    stop: StopReason | None
    summarise: bool
    """Whether the model is to be asked for a summary before the end."""
    warned: bool
    """The user has been told that a limit is near."""
    ahead: list[Station]
    """What the task still goes through before the work begins."""


def fresh() -> TurnState:
    """The state before the first iteration."""
    return TurnState(
        route="work",
        iteration=0,
        calls=0,
        last_call="",
        repeats=0,
        empty=0,
        unread=0,
        answered=False,
        stop=None,
        summarise=False,
        warned=False,
        ahead=[],
    )


@dataclass(frozen=True, slots=True)
class Proceed:
    """Ask the model again."""


@dataclass(frozen=True, slots=True)
class Recover:
    """Ask again, with these words: a prompt's name and what to fill in."""

    problem: str
    prompt: str
    strength: int
    pattern: str = ""


@dataclass(frozen=True, slots=True)
class Finish:
    """End the turn; `summarise` when the model is to be asked for a summary first."""

    reason: StopReason
    summarise: bool = False


Decision = Proceed | Recover | Finish


def after_call(state: TurnState, name: str, arguments: str, result: str) -> TurnState:
    """The state after a tool call."""
    digest = hashlib.sha256("\0".join((name, arguments, result)).encode("utf-8", "surrogatepass")).hexdigest()[:16]
    fingerprint = f"{name}:{digest}"
    same = fingerprint == state["last_call"]
    return {
        **state,
        "calls": state["calls"] + 1,
        "last_call": fingerprint,
        "repeats": state["repeats"] + 1 if same else 1,
    }


def after_answer(state: TurnState, *, text: str, calls: int) -> TurnState:
    """The state after an answer."""
    empty = not text.strip() and not calls
    unread = not calls and holds_unread_call(text)
    return {
        **state,
        "empty": state["empty"] + 1 if empty else 0,
        "unread": state["unread"] + 1 if unread else 0,
        "answered": not calls,
    }


def decide(state: TurnState, limits: Limits) -> Decision:
    """What comes after an iteration."""
    if state["stop"] is not None:
        return Finish(state["stop"])
    if state["answered"]:
        return _after_text(state)
    if state["repeats"] >= LOOP_STOP:
        return Finish("loop", summarise=True)
    if state["iteration"] >= limits.iterations or 2 * state["iteration"] >= limits.recursion:
        return Finish("max_iterations", summarise=True)
    if state["repeats"] >= LOOP_WARN:
        pattern = state["last_call"].split(":")[0]
        return Recover("loop", "loop", state["repeats"] - LOOP_WARN + 1, pattern)
    return Proceed()


def near_limit(state: TurnState, limits: Limits) -> bool:
    """Whether the user should be warned now that iterations run out: once, at four fifths."""
    return not state["warned"] and state["iteration"] >= max(1, limits.iterations * 4 // 5)


def _after_text(state: TurnState) -> Decision:
    if state["empty"] > MAX_EMPTY or state["unread"] > MAX_UNREAD:
        return Finish("error")
    if state["empty"]:
        return Recover("empty", "empty", state["empty"])
    if state["unread"]:
        return Recover("unread", "unread", state["unread"])
    return Finish("end_turn")
