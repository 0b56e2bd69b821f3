"""What the graphs of all agents share: their type, their limit of steps, and when an agent goes on."""

from __future__ import annotations

from typing import Literal

from langgraph.graph.state import CompiledStateGraph

from agentic.control.state import TurnState
from agentic.graph.turn import Turn

Graph = CompiledStateGraph[TurnState, Turn, TurnState, TurnState]

ENTRY_AND_EXIT = 8
"""Steps beside `act` and `reflect`, for which the recursion limit leaves room."""


def on(state: TurnState) -> Literal["act", "finish"]:
    """Go on acting until there is a reason to stop."""
    return "finish" if state["stop"] else "act"
