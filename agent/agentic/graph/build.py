"""The whole control flow.

triage ──▶ plan ──▶ [deliberate] ──▶ [delegate] ──▶ act ⇄ reflect ──▶ finish
   └─────▶ reply ──────────────────────────────────────────────────────▲

A reply during which the user has said more goes on to `act`. A council deliberates on what the user wants deliberated,
and a large task is delegated in parts (`team.py`); each sub-agent runs the loop of `worker.py`, which is act ⇄ reflect
again. The model may delegate at any time, by a tool.
"""

from __future__ import annotations

import functools
from typing import Literal

from langgraph.graph import END, START, StateGraph

from agentic.control.state import TurnState
from agentic.graph import nodes
from agentic.graph.deliberation import deliberate
from agentic.graph.loop import Graph, on
from agentic.graph.position import PositionSaver
from agentic.graph.turn import Turn
from agentic.ports.store import Store

Step = Literal["reply", "plan", "deliberate", "delegate", "act", "finish"]


@functools.cache
def build() -> StateGraph[TurnState, Turn, TurnState, TurnState]:
    """The graph; one serves all turns."""
    graph = StateGraph(TurnState, context_schema=Turn)
    for work in (nodes.triage, nodes.reply, nodes.plan, deliberate, nodes.delegate, nodes.act, nodes.reflect):
        graph.add_node(work.__name__, nodes.node(work))
    graph.add_node("finish", nodes.finish)
    graph.add_edge(START, "triage")
    graph.add_conditional_edges("triage", after_triage)
    graph.add_conditional_edges("reply", on)
    for station in ("plan", "deliberate", "delegate"):
        graph.add_conditional_edges(station, before_work)
    graph.add_edge("act", "reflect")
    graph.add_conditional_edges("reflect", on)
    graph.add_edge("finish", END)
    return graph


def compiled(store: Store) -> Graph:
    """The graph, with its position kept in the log."""
    return build().compile(checkpointer=PositionSaver(store))


def after_triage(state: TurnState) -> Step:
    """A task that needs no tools is answered; any other gets a plan."""
    if state["stop"]:
        return "finish"
    return "reply" if state["route"] == "reply" else "plan"


def before_work(state: TurnState) -> Step:
    """Through the stations that are ahead, then on."""
    return state["ahead"][0] if state["ahead"] and not state["stop"] else on(state)
