"""Run control: the door. Pure functions over one `TurnState`, testable without a model.

How they fit into an iteration of the graph:

1. The request is made with `state["temperature"]` and `state["tools"]`; a `StreamGuard` reads its text along, and
   where it gives a reason the stream is cut: `after_cut`. `after_too_long` where it reached its token limit in a
   call. Otherwise `after_answer`.
2. `cut_calls` says how many of the answer's calls may still run. For each: `before_call`; a `Block` is read by the
   model instead of a result. Then `after_call`, with the refusal's code or the block's.
3. `decide`, with what has been `Spent`: go on, recover, or finish. `after_directive` writes down what was decided,
   so that no step of a ladder is taken twice and the next request knows how to ask.
4. `warnings` names the budgets that have come near their limit.

What the user says meanwhile is a new beginning: `after_steering`. The rules with their limits and reasons stand in one
table in `docs/run-control.md`.
"""

from __future__ import annotations

from agentic.control.answers import (
    IDLE,
    after_answer,
    after_cut,
    after_too_long,
    meant_to_call,
    troubles_of_answer,
    troubles_of_talk,
)
from agentic.control.budgets import cut_calls, exhausted, warnings
from agentic.control.calls import after_call, before_call, troubles
from agentic.control.ladders import LADDERS, next_step
from agentic.control.types import (
    Block,
    Directive,
    Finish,
    NearLimit,
    Proceed,
    Recover,
    Spent,
    Trouble,
    TurnState,
    fresh,
)
from agentic.task import Limits, StopReason

__all__ = [
    "Block",
    "Directive",
    "Finish",
    "NearLimit",
    "Proceed",
    "Recover",
    "Spent",
    "TurnState",
    "after_answer",
    "after_call",
    "after_cut",
    "after_directive",
    "after_steering",
    "after_too_long",
    "before_call",
    "cut_calls",
    "decide",
    "exhausted",
    "fresh",
    "meant_to_call",
    "warnings",
    "why_ended",
]

_WHY: dict[StopReason, str] = {
    "max_time": "the time limit is reached",
    "max_iterations": "the limit of iterations is reached",
    "max_tokens": "the answer reached its token limit",
    "refusal": "the answer was filtered",
    "cancelled": "the user cancelled it",
    "context_exhausted": "the conversation no longer fits the model's window",
}


def decide(state: TurnState, limits: Limits, spent: Spent | None = None) -> Directive:
    """What comes after an iteration. An answer that calls nothing and is in order ends the turn, whatever is spent."""
    if state["stop"] is not None:
        return Finish(state["stop"])
    found = troubles_of_answer(state) if state["answered"] else [*troubles(state), *troubles_of_talk(state)]
    if state["answered"] and not found:
        return Finish("end_turn")
    over = exhausted(state, limits, spent or Spent())
    steps = _steps(state, found)
    idle = LADDERS[found[0].problem].end if state["answered"] and state["idle"] >= IDLE else None
    end = idle or next((step for step in steps if isinstance(step, Finish)), None)
    return end or over or (steps[0] if steps else Proceed())


def after_directive(state: TurnState, directive: Directive) -> TurnState:
    """The state once the directive is carried out; a `Recover`'s words are said by the graph."""
    match directive:
        case Proceed():
            return state
        case Recover():
            told = {**state["nudged"], directive.problem: [directive.strength, directive.count]}
            return {
                **state,
                "answered": False,
                "nudged": told,
                "temperature": directive.temperature,
                "tools": directive.tools,
            }
        case Finish():
            return {
                **state,
                "stop": directive.reason,
                "summarise": directive.summarise,
                "why": directive.why,
                "fallback": directive.fallback,
            }


def after_steering(state: TurnState) -> TurnState:
    """The state once the user has said more: what went wrong before their words counts no longer; budgets do."""
    kept = fresh(state["mode"], state["domain"])
    return {
        **kept,
        "route": state["route"],
        "ahead": state["ahead"],
        "iteration": state["iteration"],
        "calls": state["calls"],
        "warned": state["warned"],
    }


def why_ended(state: TurnState) -> str:
    """What ended the turn, in words that go on after "Stopped: "."""
    return state["why"] or _WHY.get(state["stop"] or "error", "the turn ends here")


def _steps(state: TurnState, found: list[Trouble]) -> list[Recover | Finish]:
    return [step for trouble in found if (step := next_step(state, trouble))]
