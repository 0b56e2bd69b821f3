"""Budgets: what ends a turn however well it goes, and the warning before."""

from __future__ import annotations

from agentic.control.types import Budget, Finish, NearLimit, Spent, TurnState
from agentic.task import Limits, StopReason

WARN_AT = 0.8
"""The part of a budget at which the user and the model are told."""

_ENDS: dict[Budget, tuple[StopReason, str]] = {
    "iterations": ("max_iterations", "the limit of iterations is reached"),
    "seconds": ("max_time", "the time limit is reached"),
    "tool_calls": ("max_budget", "the limit of tool calls is reached"),
    "tokens": ("max_budget", "the limit of tokens is reached"),
    "cost": ("max_budget", "the limit of cost is reached"),
}


def exhausted(state: TurnState, limits: Limits, spent: Spent) -> Finish | None:
    """The end, where a budget is used up; the summary is asked for on top of it."""
    for budget, used, limit in _table(state, limits, spent):
        if used >= limit:
            reason, why = _ENDS[budget]
            return Finish(reason, summarise=True, why=why)
    return None


def warnings(state: TurnState, limits: Limits, spent: Spent) -> tuple[TurnState, list[NearLimit]]:
    """The budgets that have come near their limit since the last time; each is told once a turn."""
    near = [
        NearLimit(budget, used, limit)
        for budget, used, limit in _table(state, limits, spent)
        if used >= WARN_AT * limit and used > 0 and budget not in state["warned"]
    ]
    return {**state, "warned": [*state["warned"], *(one.budget for one in near)]}, near


def cut_calls(state: TurnState, limits: Limits, wanted: int, spent: Spent | None = None) -> int:
    """How many of an answer's `wanted` calls may still be run."""
    return max(0, min(wanted, limits.tool_calls - _calls(state, spent or Spent())))


def _table(state: TurnState, limits: Limits, spent: Spent) -> list[tuple[Budget, float, float]]:
    rows: list[tuple[Budget, float, float | None]] = [
        ("iterations", state["iteration"], min(limits.iterations, (limits.recursion + 1) // 2)),
        ("seconds", spent.seconds, limits.seconds),
        ("tool_calls", _calls(state, spent), limits.tool_calls),
        ("tokens", spent.tokens, limits.tokens),
        ("cost", spent.cost, limits.cost),
    ]
    return [(budget, float(used), float(limit)) for budget, used, limit in rows if limit is not None]


def _calls(state: TurnState, spent: Spent) -> int:
    return max(state["calls"], spent.tool_calls)
