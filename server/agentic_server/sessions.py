"""The turns that run in this daemon: begun, watched, ended."""

from __future__ import annotations

import asyncio
import importlib
import logging
import sys
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agentic.errors import AgenticError, StoreError
from agentic.events import ErrorRaised, Event, Metrics, Origin, TurnFinished, TurnStarted
from agentic.ports.store import LoggedEvent, Store
from agentic.task import Task, title_of
from agentic_server.errors import to_rpc
from agentic_server.feed import Feed
from agentic_server.imports import for_good
from agentic_server.progress import Progress

if TYPE_CHECKING:
    from agentic.runtime import Ports, Run

log = logging.getLogger(__name__)

STOP_SECONDS = 1.5
"""How long running turns may take to end when the daemon does."""


class SessionBusy(AgenticError):
    """The session's turn is still running."""

    code = "session_busy"


@dataclass(slots=True)
class ActiveTurn:
    """A turn from its command to its last event."""

    task: Task
    resume: bool
    feed: Feed
    run: Run | None = None
    progress: Progress | None = None
    cancelled: bool = False
    token: str | int | None = None
    """The work-done token by which the client knows it."""
    request: str | int | None = None
    """The id of the request that began it."""
    begun: bool = False
    """Its first event has been passed on."""
    said: list[str] = field(default_factory=list[str])
    """What the user said before the run began."""
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once its last event has been passed on and another turn may begin."""

    def cancel(self) -> None:
        """End the turn, also before its run has begun."""
        self.cancelled = True
        if self.run is not None:
            self.run.cancel()

    def steer(self, text: str) -> bool:
        """Say something to the model, before its next answer. False when it is too late for that."""
        if self.run is not None:
            return self.run.steer(text)
        self.said.append(text)
        return True

    def show(self, event: Event) -> None:
        """Pass an event on."""
        self.begun = True
        self.feed.push(event)
        if self.progress is not None:
            self.progress.show(event)


class Sessions:
    """All running turns, at most one a session."""

    def __init__(
        self,
        store: Store,
        ports: Callable[[Task], Awaitable[Ports]],
        send: Callable[[Event, LoggedEvent], None],
        open_progress: Callable[[ActiveTurn], Coroutine[Any, Any, Progress | None]],
    ) -> None:
        self._store = store
        self._ports = ports
        self._send = send
        self._open_progress = open_progress
        self._active: dict[str, ActiveTurn] = {}
        self._workers: set[asyncio.Task[None]] = set()

    def start(self, task: Task, *, resume: bool = False) -> ActiveTurn:
        """Begin a turn in the background. :raises SessionBusy:"""
        if task.session in self._active:
            raise SessionBusy(
                f"Session {task.session} has a running turn.", "Steer it with agentic.steer, or cancel it first."
            )
        turn = ActiveTurn(task, resume, Feed(self._store, self._send))
        self._active[task.session] = turn
        worker = asyncio.get_running_loop().create_task(self._drive(turn), name=f"turn {task.turn}")
        self._workers.add(worker)
        worker.add_done_callback(self._workers.discard)
        return turn

    def find(self, session: str | None = None, turn: str | None = None) -> list[ActiveTurn]:
        """The running turns that have these ids; all of them where none are given."""
        return [
            active
            for active in self._active.values()
            if session in (None, active.task.session) and turn in (None, active.task.turn)
        ]

    async def stop_all(self) -> None:
        """Cancel every turn and wait, for a bounded time, until each has said so."""
        for active in self.find():
            active.cancel()
        if self._workers:
            await asyncio.wait(self._workers, timeout=STOP_SECONDS)
        try:
            await self._store.flush()
        except StoreError as error:
            log.error("the log of the last turns is not whole: %s", error)

    async def _drive(self, turn: ActiveTurn) -> None:
        opening = asyncio.create_task(self._open_progress(turn))
        try:
            run = await self._begin(turn)
            async with aclosing(aiter(run)) as events:
                async for event in events:
                    if turn.progress is None and opening.done():
                        turn.progress = opening.result()
                    turn.show(event)
        except Exception as error:
            log.exception("the turn %s broke", turn.task.turn)
            await self._end_broken(turn, error)
        finally:
            turn.feed.flush()
            del self._active[turn.task.session]
            turn.ended.set()
            await _close(opening)

    async def _end_broken(self, turn: ActiveTurn, error: Exception) -> None:
        """Give a turn that could not begin, or whose events could not be passed on, the end that clients wait for."""
        task, found = turn.task, to_rpc(error)
        origin = Origin(session_id=task.session, turn_id=task.turn, agent="main")
        code, hint = found.data["code"], found.data["hint"]
        try:
            await self._store.open_session(task.session, title_of(task.text), [])
            if not turn.begun:
                turn.show(TurnStarted(**origin, text=task.text, mode=task.mode))
            turn.show(ErrorRaised(**origin, code=code, message=str(error), hint=hint))
            turn.show(TurnFinished(**origin, stop_reason="error", summary=found.message, metrics=Metrics()))
        except AgenticError as failure:
            log.error("the end of the turn %s cannot be told: %s", task.turn, failure)

    async def _begin(self, turn: ActiveTurn) -> Run:
        """The run. Its libraries take a second to import, once; the loop goes on meanwhile."""
        runtime: Any = await asyncio.to_thread(_import_heavy)
        make: Callable[[Task, Ports], Run] = runtime.resume if turn.resume else runtime.run
        turn.run = make(turn.task, await self._ports(turn.task))
        for text in turn.said:
            turn.run.steer(text)
        if turn.cancelled:
            turn.run.cancel()
        return turn.run


def _import_heavy() -> Any:
    """What takes long to load, off the loop: the model's client and the graph."""
    if "agentic.runtime" in sys.modules:
        return sys.modules["agentic.runtime"]
    with for_good():
        importlib.import_module("agentic.llm.pool")
        return importlib.import_module("agentic.runtime")


async def _close(opening: asyncio.Task[Progress | None]) -> None:
    """End the progress, also one that the client granted late."""
    progress = await opening
    if progress is not None:
        progress.end("")
