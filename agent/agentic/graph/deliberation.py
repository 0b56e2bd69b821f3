"""The node `deliberate`: a council before the work begins."""

from __future__ import annotations

from agentic.control.state import TurnState
from agentic.graph.turn import Turn


async def deliberate(state: TurnState, turn: Turn) -> TurnState:
    """Have a council look at the task."""
    return {**state, "ahead": state["ahead"][1:]}
