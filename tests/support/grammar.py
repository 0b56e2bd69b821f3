"""The grammar in the docstring of `agentic.events`, as a checker for recorded runs.

It reads each agent's turn by recursive descent, one method a rule, and keeps count of items on the way.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NoReturn, TypeVar, get_args

from agentic.events import (
    Answered,
    Asked,
    BudgetWarning,
    Classified,
    Compacted,
    CouncilCritique,
    CouncilDecision,
    CouncilProposal,
    CouncilRevision,
    EditProposed,
    EditResolved,
    EndpointStatus,
    ErrorRaised,
    Event,
    Failover,
    FirstToken,
    ItemWithdrawn,
    IterationStarted,
    LoopDetected,
    ModelEvent,
    ModelFinished,
    ModelNotice,
    ModelStarted,
    PhaseFinished,
    PhaseStarted,
    PlanUpdated,
    RecoveryTried,
    RetrievalProgress,
    RetrievalResult,
    SharedUpdated,
    Steered,
    SubAgentFinished,
    SubAgentStarted,
    TextDelta,
    TextFinished,
    ThinkingDelta,
    ThinkingFinished,
    ToolCallDelta,
    ToolFinished,
    ToolOutput,
    ToolStarted,
    TurnFinished,
    TurnStarted,
    kind_of,
)

E = TypeVar("E")
Numbered = tuple[int, Event]

NOTICES = (BudgetWarning, LoopDetected, RecoveryTried, Steered, ErrorRaised)
COUNCIL = (CouncilProposal, CouncilCritique, CouncilRevision, CouncilDecision)
TEAM = (SharedUpdated, *COUNCIL)
"""What may stand wherever `team` may, beside sub-agents, which come in pairs."""
DELTAS = (TextDelta, ThinkingDelta, ToolCallDelta)
FINISHED = (TextFinished, ThinkingFinished)
RETRIEVAL = (RetrievalProgress, RetrievalResult)
REPORTS = (ModelNotice, EndpointStatus)
MODEL = get_args(ModelEvent)
INTERRUPTED = ("cancelled", "max_time")
"""Stop reasons of turns that may end in the middle of an answer, whose items then stay as they are."""


def check(events: Iterable[Event]) -> None:
    """Whole turns, in any number, in the order of the log.

    :raises AssertionError: with the index of the first event that is out of place, and what was expected.
    """
    numbered = list(enumerate(events))
    turns: dict[tuple[str, str], list[Numbered]] = {}
    for index, event in numbered:
        turns.setdefault((event.session_id, event.turn_id), []).append((index, event))
    for turn in turns.values():
        _check_turn(turn)


def _check_turn(events: Sequence[Numbered]) -> None:
    agents: dict[str, list[Numbered]] = {}
    for index, event in events:
        agents.setdefault(event.agent, []).append((index, event))
    last = events[-1][1]
    main = events[0][1].agent
    if last.agent != main or not isinstance(last, TurnFinished):
        fail(events[-1][0], last, f"the turnFinished of {main} as the last event of the turn")
    for name, own in agents.items():
        _Agent(_without_reports(own)).turn()
        if name != main:
            _check_inside_parent(name, own, events)


def _without_reports(events: Sequence[Numbered]) -> list[Numbered]:
    """The events without notices and figures of the model layer, which may stand anywhere in a phase."""
    rest: list[Numbered] = []
    inside = False
    for index, event in events:
        inside = isinstance(event, PhaseStarted) or (inside and not isinstance(event, PhaseFinished))
        if not isinstance(event, REPORTS):
            rest.append((index, event))
        elif not inside:
            fail(index, event, "it to stand in a phase")
    return rest


def _check_inside_parent(name: str, own: Sequence[Numbered], events: Sequence[Numbered]) -> None:
    """A sub-agent speaks between its subAgentStarted and its subAgentFinished."""
    started = [i for i, e in events if isinstance(e, SubAgentStarted) and e.name == name]
    finished = [i for i, e in events if isinstance(e, SubAgentFinished) and e.name == name]
    if not started or started[0] > own[0][0]:
        fail(own[0][0], own[0][1], f"subAgentStarted of {name} before it")
    if finished and finished[-1] < own[-1][0]:
        fail(own[-1][0], own[-1][1], f"nothing of {name} after its subAgentFinished")


def fail(index: int, event: Event | None, expected: str) -> NoReturn:
    found = f"{kind_of(event)} of {event.agent}" if event is not None else "the end"
    raise AssertionError(f"event {index}: found {found}, expected {expected}")


@dataclass
class _Agent:
    """One agent's turn."""

    events: Sequence[Numbered]
    position: int = 0
    iterations: int = 0
    items: dict[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    """Texts, thoughts and tool calls by id: what they are, and whether open, finished, withdrawn or run."""
    abandoned: tuple[int, Event | None] | None = None
    """Where an answer ended without its items being finished or withdrawn; fine in an interrupted turn only."""
    sub_agents: set[str] = field(default_factory=set[str])

    def turn(self) -> None:
        self.take(TurnStarted)
        while not self.at(TurnFinished):
            self.entry()
        if self.sub_agents:
            self.refuse(f"subAgentFinished of {sorted(self.sub_agents)}")
        end = self.take(TurnFinished)
        if self.abandoned and end.stop_reason not in INTERRUPTED:
            fail(*self.abandoned, "the items of the answer to be finished or withdrawn")
        if self.position < len(self.events):
            self.refuse("nothing after turnFinished")

    def entry(self) -> None:
        if self.at(PhaseStarted):
            self.phase()
        elif self.at(IterationStarted):
            self.iteration()
        elif self.at(ItemWithdrawn):
            self.drop_call()
        elif self.at(SubAgentStarted, SubAgentFinished):
            self.sub_agent()
        else:
            self.take(Classified, PlanUpdated, *NOTICES, *TEAM, also="a phase, an iteration or turnFinished")

    def iteration(self) -> None:
        number = self.take(IterationStarted).number
        if number < 1 or self.iterations not in (0, number - 1):
            self.wrong(f"iteration {self.iterations + 1}")
        self.iterations = number

    def sub_agent(self) -> None:
        event = self.take(SubAgentStarted, SubAgentFinished)
        starts = isinstance(event, SubAgentStarted)
        if starts == (event.name in self.sub_agents):
            self.wrong("subAgentStarted and subAgentFinished in pairs")
        self.sub_agents ^= {event.name}

    def phase(self) -> None:
        opened = self.take(PhaseStarted).phase
        while not self.at(PhaseFinished):
            if opened != "deliberation" or not self.verdict():
                self.part(opened)
        if self.take(PhaseFinished).phase != opened:
            self.wrong(f"the phaseFinished of {opened}")

    def part(self, opened: str) -> None:
        """One of the things that a phase is made of."""
        rules = (
            ((ItemWithdrawn,), self.drop_call),
            (MODEL, self.answer),
            ((ToolStarted,), self.call),
            (RETRIEVAL, self.retrieval),
            ((SubAgentStarted, SubAgentFinished), self.sub_agent),
        )
        rule = next((rule for kinds, rule in rules if self.at(*kinds)), None)
        if rule is not None:
            rule()
            return
        also = f"an answer, a call, a retrieval, a sub-agent or the phaseFinished of {opened}"
        self.take(Compacted, Classified, PlanUpdated, *NOTICES, *TEAM, also=also)

    def verdict(self) -> bool:
        """What a contest puts before the user; whether it stood there."""
        if self.at(EditProposed):
            self.edit("")
        elif self.at(Asked):
            self.question("")
        else:
            return False
        return True

    def answer(self) -> None:
        request, mine = self.attempt()
        while self.at(ModelStarted):
            self.abandon(mine)
            request, mine = self.attempt()
        if not self.at(ModelFinished):
            self.abandon(mine)
            return
        unfinished = sorted(
            item for item in mine if self.items[item][1] == "open" and self.items[item][0] != "ToolCall"
        )
        if unfinished:
            self.refuse(f"{unfinished} to be finished before modelFinished")
        self.same(self.take(ModelFinished).request, request, "the modelFinished of")

    def attempt(self) -> tuple[str, set[str]]:
        """The attempt's request and items."""
        request = self.take(ModelStarted).request
        mine: set[str] = set()
        if self.at(FirstToken):
            self.same(self.take(FirstToken).request, request, "the first token of")
        while self.at(*DELTAS, *FINISHED, Classified, ItemWithdrawn):
            if self.at(Classified):
                self.take(Classified)
            elif self.at(ItemWithdrawn):
                self.withdraw(mine)
            else:
                mine.add(self.grow())
        if self.at(Failover):
            self.same(self.take(Failover).request, request, "the failover of")
        return request, mine

    def abandon(self, mine: set[str]) -> None:
        if self.abandoned is None and any(self.items[item][1] != "withdrawn" for item in mine):
            self.abandoned = self.here()

    def grow(self) -> str:
        """A delta or a finished item; its id."""
        event = self.take(*DELTAS, *FINISHED)
        kind = type(event).__name__.removesuffix("Delta").removesuffix("Finished")
        begun, known = (kind, "open"), self.items.get(event.item)
        if isinstance(event, FINISHED) and known != begun:
            self.wrong(f"a delta of the item {event.item} before it is finished")
        if known not in (None, begun):
            self.wrong(f"nothing more of the item {event.item}")
        self.items[event.item] = (kind, "finished") if isinstance(event, FINISHED) else begun
        return event.item

    def withdraw(self, mine: set[str]) -> None:
        item = self.take(ItemWithdrawn).item
        if item not in mine or self.items[item][1] == "withdrawn":
            self.wrong("the withdrawal of an item of this attempt, once")
        self.items[item] = (self.items[item][0], "withdrawn")

    def drop_call(self) -> None:
        """A call that was asked for and will not be run."""
        item = self.take(ItemWithdrawn).item
        if self.items.get(item) != ("ToolCall", "open"):
            self.wrong(f"a call that has not run, not {item}")
        self.items[item] = ("ToolCall", "withdrawn")

    def call(self) -> None:
        item = self.take(ToolStarted).item
        if self.items.get(item) != ("ToolCall", "open"):
            self.wrong(f"a call that the model made and that has not run yet, not {item}")
        self.items[item] = ("ToolCall", "run")
        at_work = set(self.sub_agents)
        while not self.at(ToolFinished):
            if self.at(EditProposed):
                self.edit(item)
            elif self.at(Asked):
                self.question(item)
            elif self.at(SubAgentStarted, SubAgentFinished):
                self.sub_agent()
            else:
                also = f"an edit, a question, a sub-agent or the toolFinished of {item}"
                event = self.take(ToolOutput, PlanUpdated, *NOTICES, *TEAM, also=also)
                if isinstance(event, ToolOutput):
                    self.same(event.item, item, "the output of")
        if self.sub_agents != at_work:
            self.refuse(f"subAgentFinished of {sorted(self.sub_agents - at_work)} before the end of the call")
        self.same(self.take(ToolFinished).item, item, "the toolFinished of")

    def edit(self, call: str) -> None:
        proposed = self.take(EditProposed)
        self.same(proposed.call, call, "an edit of")
        self.same(self.take(EditResolved).item, proposed.item, "the editResolved of")

    def question(self, call: str) -> None:
        asked = self.take(Asked)
        self.same(asked.call, call, "a question of")
        self.same(self.take(Answered).question, asked.question, "the answer to")

    def retrieval(self) -> None:
        while self.at(RetrievalProgress):
            self.take(RetrievalProgress)
        self.take(RetrievalResult)

    def at(self, *kinds: type) -> bool:
        return isinstance(self.here()[1], kinds)

    def here(self) -> tuple[int, Event | None]:
        if self.position < len(self.events):
            return self.events[self.position]
        return self.events[-1][0] + 1, None

    def take(self, *kinds: type[E], also: str = "") -> E:
        event = self.here()[1]
        if not isinstance(event, kinds):
            names = [kind.__name__[0].lower() + kind.__name__[1:] for kind in kinds]
            self.refuse(" or ".join([*names, also] if also else names))
        self.position += 1
        return event

    def refuse(self, expected: str) -> NoReturn:
        fail(*self.here(), expected)

    def wrong(self, expected: str) -> NoReturn:
        """The event just taken is out of place."""
        self.position -= 1
        self.refuse(expected)

    def same(self, found: str, wanted: str, what: str) -> None:
        if found != wanted:
            self.wrong(f"{what} {wanted}, not {found}")
