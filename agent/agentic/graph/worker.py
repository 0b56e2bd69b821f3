"""Another agent at work: the same loop as the main one, with a conversation, limits and a workspace of its own.

begin ──▶ act ⇄ reflect ──▶ finish
"""

from __future__ import annotations

import functools
import logging
from dataclasses import replace

from langchain_core.runnables import RunnableConfig
from langgraph.errors import GraphRecursionError
from langgraph.graph import END, START, StateGraph

from agentic.context.history import History
from agentic.context.prompts import load
from agentic.control.state import TurnState, fresh
from agentic.errors import ContextExhausted, ModelError, StoreError
from agentic.events import ErrorRaised, Event, SubAgentFinished, SubAgentStarted, TurnStarted
from agentic.graph import nodes
from agentic.graph.loop import ENTRY_AND_EXIT, Graph, on
from agentic.graph.meter import Meter
from agentic.graph.opening import open_assignment
from agentic.graph.turn import Turn, TurnEnded
from agentic.graph.window import PromptWindow
from agentic.ports.model import Message
from agentic.task import Domain, Mode, StopReason
from agentic.team.agent import Assignment, Outcome

log = logging.getLogger(__name__)


async def run_agent(main: Turn, assignment: Assignment) -> Outcome:
    """Run one agent to its end, as `team.agent.RunAgent` says; `main` is the turn whose work it does a part of."""
    turn = worker_turn(main, assignment)
    main.emit(
        SubAgentStarted(
            **main.origin,
            name=assignment.name,
            text=assignment.title or assignment.text,
            priority=assignment.priority,
            depends_on=list(assignment.depends_on),
            role=assignment.role,
        )
    )
    turn.emit(TurnStarted(**turn.origin, text=assignment.text, mode=turn.task.mode))
    stop: StopReason = "cancelled"
    try:
        stop = await _work(turn)
    finally:
        turn.emit(turn.finished(stop))
        main.emit(
            SubAgentFinished(
                **main.origin, name=assignment.name, stop_reason=stop, summary=turn.summary, files=list(turn.files)
            )
        )
    return Outcome(assignment.name, stop, turn.summary, tuple(turn.commands))


def worker_turn(main: Turn, assignment: Assignment) -> Turn:
    """The turn of an agent that does a part of `main`'s work. What it spends is counted as the turn's."""
    limits = replace(main.task.limits, iterations=assignment.iterations, seconds=assignment.seconds)
    task = replace(main.task, text=assignment.text, mode=mode_of_worker(main.task.mode), limits=limits)
    history = History(_Unlogged(), task.session, task.turn, load("system"))
    turn = Turn(
        task,
        replace(main.ports, workspace=assignment.workspace),
        history,
        PromptWindow(main.ports.model, history),
        agent=assignment.name,
        meter=Meter(task.prices, main.meter),
        temperature=assignment.temperature,
        classification=main.classification,
        listening=False,
    )

    def emit(event: Event) -> None:
        turn.count(event)
        main.emit(event)

    turn.emit = emit
    return turn


def mode_of_worker(mode: Mode) -> Mode:
    """Edits of a private view change nothing yet and need no approval; commands follow the user's mode."""
    return "accept-edits" if mode == "ask" else mode


@functools.cache
def build_worker() -> Graph:
    """The loop without triage and plan; one serves all workers. It keeps no position."""
    graph = StateGraph(TurnState, context_schema=Turn)
    for work in (begin, nodes.act, nodes.reflect):
        graph.add_node(work.__name__, nodes.node(work))
    graph.add_node("finish", nodes.finish)
    graph.add_edge(START, "begin")
    graph.add_conditional_edges("begin", on)
    graph.add_edge("act", "reflect")
    graph.add_conditional_edges("reflect", on)
    graph.add_edge("finish", END)
    return graph.compile(checkpointer=False)


async def begin(state: TurnState, turn: Turn) -> TurnState:
    """The assignment is the first message."""
    await open_assignment(turn)
    return state


async def _work(turn: Turn) -> StopReason:
    """Through the graph to a stop reason: a failure is one too."""
    config: RunnableConfig = {"recursion_limit": turn.task.limits.recursion + ENTRY_AND_EXIT}
    try:
        state = await build_worker().ainvoke(fresh(turn.task.mode, _domain(turn)), config, context=turn)
        return state["stop"] or "error"
    except TurnEnded as ended:
        return ended.reason
    except GraphRecursionError:
        turn.summary = "Stopped: the recursion limit is reached."
        return "max_iterations"
    except (ModelError, StoreError) as error:
        turn.summary = f"{error} {error.hint}".strip()
        turn.emit(ErrorRaised(**turn.origin, code=error.code, message=str(error), hint=error.hint))
        return "context_exhausted" if isinstance(error, ContextExhausted) else "error"
    except Exception as error:
        log.exception("the agent %s broke", turn.agent)
        turn.summary = f"A defect of Agentic ended it: {type(error).__name__}: {error}"
        turn.emit(ErrorRaised(**turn.origin, code="internal", message=turn.summary, hint="The log has the details."))
        return "error"


def _domain(turn: Turn) -> Domain:
    return turn.classification.domain if turn.classification else "coding"


class _Unlogged:
    """The log of a worker's conversation: its events hold all of it, and no later turn goes on from it."""

    def add_message(self, session: str, turn: str, message: Message) -> None:
        return None

    async def messages(self, session: str) -> list[tuple[str, Message]]:
        return []
