"""The door: one task in, one stream of events out.

    async for event in run(task, ports):
        ...

The stream opens with `turnStarted` and ends with `turnFinished`, whatever happens (events.py has the grammar).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import cast

from langchain_core.runnables import RunnableConfig
from langgraph.errors import GraphRecursionError

from agentic.context.history import History
from agentic.context.prompts import load
from agentic.control.state import TurnState, fresh
from agentic.disk.journal import settle_interrupted
from agentic.errors import AgenticError, ContextExhausted, ModelError, StoreError
from agentic.events import (
    ErrorRaised,
    Event,
    TurnFinished,
    TurnStarted,
)
from agentic.graph.build import compiled
from agentic.graph.loop import ENTRY_AND_EXIT, Graph
from agentic.graph.meter import Meter
from agentic.graph.team import GraphTeam
from agentic.graph.turn import Ports, Turn, TurnEnded
from agentic.graph.window import PromptWindow
from agentic.task import StopReason, Task, title_of

log = logging.getLogger(__name__)


class Run:
    """A running turn: iterate over it for its events. `cancel` and `steer` may be called while it runs."""

    def __init__(self, task: Task, ports: Ports, *, resume: bool = False) -> None:
        self.task = task
        self._resume = resume
        history = History(ports.store, task.session, task.turn, load("system"))
        self._turn = Turn(task, ports, history, PromptWindow(ports.model, history), meter=Meter(task.prices))
        self._turn.team = GraphTeam(self._turn)
        self._events = self._play()
        self._state: TurnState = fresh(task.mode)

    def __aiter__(self) -> AsyncGenerator[Event]:
        return self._events

    def cancel(self) -> None:
        """End the turn; `turnFinished` with `cancelled` follows once what runs has been stopped. Can be repeated."""
        self._turn.cancel()

    def steer(self, text: str) -> bool:
        """Say something to the model while it works: it hears it before its next answer. False when it is too late."""
        if self._turn.listening:
            self._turn.inbox.append(text)
        return self._turn.listening

    async def _play(self) -> AsyncGenerator[Event]:
        task, turn = self.task, self._turn
        stop: StopReason = "error"
        failure = await self._open_session()
        yield TurnStarted(**turn.origin, text=task.text, mode=task.mode)
        try:
            if failure is not None:
                raise failure
            if self._resume:
                await settle_interrupted(turn.ports.store, turn.ports.workspace, task.session)
            async with turn.bounded():
                await turn.ports.model.connect()
            await turn.ports.index.start()
            await turn.history.load()
            async with aclosing(self._graph_events()) as events:
                async for event in events:
                    turn.count(event)
                    yield event
            stop = self._state["stop"] or "error"
        except TurnEnded as ended:
            stop = ended.reason
            turn.summary = turn.summary or ("Stopped: the time limit is reached." if stop == "max_time" else "")
        except GraphRecursionError:
            stop = "max_iterations"
            turn.summary = "Stopped: the recursion limit is reached."
        except (ModelError, StoreError) as error:
            turn.summary = f"{error} {error.hint}".strip()
            stop = "context_exhausted" if isinstance(error, ContextExhausted) else "error"
            yield ErrorRaised(**turn.origin, code=error.code, message=str(error), hint=error.hint)
        except Exception as error:
            log.exception("the turn %s broke", task.turn)
            turn.summary = f"A defect of Agentic ended the turn: {type(error).__name__}: {error}"
            yield ErrorRaised(**turn.origin, code="internal", message=turn.summary, hint="The log has the details.")
        yield turn.finished(stop)

    async def _open_session(self) -> StoreError | None:
        """Make the session known before its first event; what came in the way is said after that."""
        try:
            roots = list(self._turn.ports.workspace.roots)
            await self._turn.ports.store.open_session(self.task.session, title_of(self.task.text), roots)
        except StoreError as error:
            return error
        return None

    async def _graph_events(self) -> AsyncGenerator[Event]:
        """What the nodes emit. LangGraph's own stream takes a token through five rounds of the event loop, this one."""
        events: asyncio.Queue[Event | None] = asyncio.Queue()
        self._turn.emit = events.put_nowait
        walking = asyncio.create_task(self._walk())
        walking.add_done_callback(lambda _: events.put_nowait(None))
        try:
            while (event := await events.get()) is not None:
                yield event
            await walking
        finally:
            walking.cancel()
            await asyncio.gather(walking, return_exceptions=True)

    async def _walk(self) -> None:
        """Through the graph, keeping the state that each step leaves."""
        graph = compiled(self._turn.ports.store)
        config: RunnableConfig = {
            "recursion_limit": self.task.limits.recursion + ENTRY_AND_EXIT,
            "configurable": {"thread_id": self.task.session},
        }
        beginning = await self._beginning(graph, config)
        states = graph.astream(beginning, config, context=self._turn, stream_mode="values")
        async for state in cast("AsyncIterator[TurnState]", states):
            self._state = state

    async def _beginning(self, graph: Graph, config: RunnableConfig) -> TurnState | None:
        """A fresh state; or None, LangGraph's word for going on from where an interrupted turn stood.

        A position that another version has left, with other counters, is not gone on from.
        """
        if not self._resume:
            return self._state
        position = await graph.aget_state(config)
        if not position.next or position.values.keys() != self._state.keys():
            return self._state
        self._turn.history.add_user(load("continue"))
        self._state = cast("TurnState", position.values)
        return None


def run(task: Task, ports: Ports) -> Run:
    """Start a turn. Nothing happens until the run is iterated over."""
    return Run(task, ports)


def resume(task: Task, ports: Ports) -> Run:
    """Take up a session whose last turn was interrupted, as a new turn that goes on from the old one's position."""
    return Run(task, ports, resume=True)


async def run_to_end(task: Task, ports: Ports) -> TurnFinished:
    """Run a turn for its result alone."""
    last: Event | None = None
    async for event in run(task, ports):
        last = event
    if not isinstance(last, TurnFinished):
        raise AgenticError("The run ended without a result.")
    return last
