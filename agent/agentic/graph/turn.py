"""An agent's running turn: what the nodes share beside the small checkpointed state. LangGraph's runtime context."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import msgspec

from agentic.context.history import History
from agentic.context.rules import Rules
from agentic.control.triage import Classification
from agentic.errors import Refusal
from agentic.events import (
    MAIN,
    EditResolved,
    ErrorRaised,
    Event,
    ItemWithdrawn,
    Origin,
    Phase,
    PhaseFinished,
    PhaseStarted,
    PlanStep,
    TurnFinished,
)
from agentic.graph.meter import Meter
from agentic.graph.window import PromptWindow
from agentic.ports.asker import Asker
from agentic.ports.code_index import CodeIndex, NoIndex
from agentic.ports.model import Model, ToolCall
from agentic.ports.store import Store
from agentic.ports.team import Team
from agentic.ports.workspace import Workspace
from agentic.task import StopReason, Task
from agentic.team.agent import Ran


@dataclass(frozen=True, slots=True)
class Ports:
    """The world that a run works in."""

    model: Model
    workspace: Workspace
    asker: Asker
    store: Store
    index: CodeIndex = field(default_factory=NoIndex)


@dataclass(slots=True)
class Turn:
    """One agent's live objects. `emit` hands an event to whoever reads the run; it never blocks."""

    task: Task
    ports: Ports
    history: History
    window: PromptWindow
    emit: Callable[[Event], None] = lambda event: None
    pending: list[ToolCall] = field(default_factory=list[ToolCall])
    """Calls of the last answer that have not been run yet."""
    inbox: list[str] = field(default_factory=list[str])
    """What the user said while the turn runs, not yet given to the model."""
    listening: bool = True
    """Whether the model will still hear what is put into the inbox."""
    plan: list[PlanStep] = field(default_factory=list[PlanStep])
    seen: dict[str, str] = field(default_factory=dict[str, str])
    """Path to version: what the model was last shown of each file."""
    files: list[str] = field(default_factory=list[str])
    """Paths that the turn has changed."""
    classification: Classification | None = None
    summary: str = ""
    """The last thing said to the user."""
    agent: str = "main"
    meter: Meter = field(default_factory=Meter)
    note: str = ""
    """What the model is told before its next answer, of tasks that are not on code."""
    opening: str = ""
    """The message that the task began with: the user's words, and the context that came with them."""
    agents: set[str] = field(default_factory=set[str])
    """The names of the other agents that have worked in this turn."""
    team: Team | None = None
    """Who works on subtasks; None for an agent that is itself such a worker."""
    rules: Rules = field(init=False)
    """The workspace's rules files, each given to the model once."""
    commands: list[Ran] = field(default_factory=list[Ran])
    """The commands that came to their end."""
    temperature: float | None = None
    """Of the next answers; None: the setting's."""
    started: float = field(default_factory=time.monotonic)
    cancelled: bool = False
    _scope: asyncio.Timeout | None = None
    _phase: tuple[Phase, float] | None = None
    """The phase that is open, and when it began."""

    def __post_init__(self) -> None:
        self.renew_rules()

    def renew_rules(self) -> None:
        """What the conversation no longer holds of the rules is to be said again."""
        self.rules = Rules(self.ports.workspace, self.history.holds, self._tell_unread)

    @property
    def origin(self) -> Origin:
        return Origin(session_id=self.task.session, turn_id=self.task.turn, agent=self.agent)

    def name_agent(self, wanted: str) -> str:
        """A name for another agent, unlike those of all before it."""
        name, number = wanted, 2
        while name in self.agents or name == self.agent:
            name, number = f"{wanted}-{number}", number + 1
        self.agents.add(name)
        return name

    def cancel(self) -> None:
        """End the turn now; what runs is cancelled at its next await. Can be repeated."""
        self.cancelled = True
        if self._scope is not None and not self._scope.expired():
            self._scope.reschedule(asyncio.get_running_loop().time())

    @asynccontextmanager
    async def bounded(self, grace: float = 0.0) -> AsyncGenerator[None]:
        """Work that `cancel`, or the turn's time limit and `grace` seconds more, ends with `TurnEnded`."""
        left = self.task.limits.seconds + grace - (time.monotonic() - self.started)
        if self.cancelled or left <= 0:
            raise TurnEnded(self._why())
        try:
            async with asyncio.timeout(left) as self._scope:
                yield
        except TimeoutError:
            if self._scope is None or not self._scope.expired():
                raise
            raise TurnEnded(self._why()) from None
        finally:
            self._scope = None

    @contextmanager
    def phase(self, phase: Phase) -> Generator[None]:
        """Announce a phase, and its end on every path. One within another interrupts it: phases do not nest."""
        outer = self._phase
        if outer is not None:
            self._end_phase()
        self._begin_phase(phase)
        try:
            yield
        finally:
            self._end_phase()
            if outer is not None:
                self._begin_phase(outer[0])

    def count(self, event: Event) -> None:
        """Keep what the turn's end tells; from events, so that a cut-off turn tells it too."""
        if isinstance(event, EditResolved) and event.outcome == "applied" and event.agent == self.agent:
            self.files += [event.path] if event.path not in self.files else []

    def finished(self, stop: StopReason) -> TurnFinished:
        """The event that ends this agent's turn."""
        self.listening = False
        seconds = round(time.monotonic() - self.started, 3)
        metrics = msgspec.structs.replace(self.meter.metrics, cost=self.meter.cost, seconds=seconds)
        return TurnFinished(
            **self.origin, stop_reason=stop, summary=self.summary, metrics=metrics, files=list(self.files)
        )

    def drop_pending(self, why: str, keep: int = 0) -> None:
        """Withdraw the calls that will not be run, all but the first `keep`, and tell the model why."""
        self.pending, dropped = self.pending[:keep], self.pending[keep:]
        for call in dropped:
            self.emit(ItemWithdrawn(**self.origin, item=call.id))
            self.history.add_result(call.server_id, why)

    def _tell_unread(self, path: str, refusal: Refusal) -> None:
        """A person should know that rules of the workspace do not reach the model; once is enough."""
        if self.agent == MAIN:
            message = f"The rules in {path} were not read: {refusal.message}"
            self.emit(ErrorRaised(**self.origin, code=refusal.code, message=message, hint=refusal.next_step))

    def _begin_phase(self, phase: Phase) -> None:
        self._phase = phase, time.monotonic()
        self.emit(PhaseStarted(**self.origin, phase=phase))

    def _end_phase(self) -> None:
        if self._phase is not None:
            phase, began = self._phase
            self._phase = None
            self.emit(PhaseFinished(**self.origin, phase=phase, seconds=round(time.monotonic() - began, 6)))

    def _why(self) -> StopReason:
        return "cancelled" if self.cancelled else "max_time"


class TurnEnded(Exception):
    """The user cancelled the turn, or its time is up: control flow, caught where the turn is finished."""

    def __init__(self, reason: StopReason) -> None:
        super().__init__(reason)
        self.reason: StopReason = reason
