"""What run control remembers of a turn, what it is told, and what it answers: data only.

The state is plain JSON values, small whatever the conversation's length: LangGraph writes it down at every step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypedDict

from agentic.control.routes import Station
from agentic.task import Domain, Mode, Route, StopReason

Budget = Literal["iterations", "seconds", "tokens", "tool_calls", "cost"]
Problem = Literal[
    "empty",
    "unread",
    "named",
    "repeating",
    "too_long",
    "refused",
    "loop",
    "output",
    "failing",
    "talk",
    "farewell",
    "stale",
    "research",
]
"""What can be wrong with a run; `docs/run-control.md` tells each with its limits."""


class TurnState(TypedDict):
    """One agent's turn in counters. Only `control` changes them, but for the first five and `stop`."""

    route: Route
    domain: Domain
    mode: Mode
    ahead: list[Station]
    """What the task still goes through before the work begins."""
    iteration: int
    calls: int
    """Tool calls made so far, the blocked ones included."""

    recent: list[str]
    """The last calls with their outcomes, as fingerprints (see `loops.py`), newest last."""
    periods: list[int]
    """For each length from 1 to 5: how many calls in a row were like the one so many calls before."""
    same_output: int
    """Calls in a row that gave the same long result."""
    stale: int
    """Calls in a row that brought nothing that was not known."""
    refused: int
    """Calls in a row that policy refused, or that were of no known tool."""
    refused_total: int
    rejected: int
    """Calls in a row that the user rejected, or that nobody allowed."""
    failed: int
    """Reads, searches and edits that failed, in a row. A command may fail: that is often what is looked for."""
    reading: int
    """Reads and searches since the last edit, command or question."""

    empty: int
    """Empty answers in a row."""
    unread: int
    """Answers in a row that called nothing but hold a call that could not be read."""
    named: int
    """Answers in a row that announce a call and make none."""
    repeating: int
    """Answers in a row that were cut because their text repeated itself."""
    idle: int
    """Answers in a row that called nothing."""
    too_long: int
    """Answers in a row that reached their token limit in the middle of a call."""
    farewells: int
    """Answers in a row that say that all is done, or that nothing can be, and call tools nevertheless."""
    last_text: str
    """The fingerprint of the last answer's text."""
    same_text: int
    """Answers in a row with the same text while nothing new came of their calls."""
    answered: bool
    """The last answer called no tool."""

    nudged: dict[str, list[int]]
    """Problem to the strength and the count with which the model was last told of it, while the problem lasts."""
    warned: list[Budget]
    """Budgets that the user has been warned of."""
    temperature: float | None
    """For the next request; None: the model's own."""
    tools: bool
    """Whether the next request offers tools."""
    barred: bool
    """The last answer was to call no tools: what it called is blocked."""

    stop: StopReason | None
    summarise: bool
    """Whether the model is to be asked for a summary before the end."""
    why: str
    """What the turn ends for, in words that go on after "Stopped: "; empty after a natural end."""
    fallback: str
    """The last word to the user where the model has none."""


def fresh(mode: Mode = "ask", domain: Domain = "coding") -> TurnState:
    """The state before the first iteration; the graph sets `domain` again once triage has found it."""
    return TurnState(
        route="work",
        domain=domain,
        mode=mode,
        ahead=[],
        iteration=0,
        calls=0,
        recent=[],
        periods=[0, 0, 0, 0, 0],
        same_output=0,
        stale=0,
        refused=0,
        refused_total=0,
        rejected=0,
        failed=0,
        reading=0,
        empty=0,
        unread=0,
        named=0,
        repeating=0,
        idle=0,
        too_long=0,
        farewells=0,
        last_text="",
        same_text=0,
        answered=False,
        nudged={},
        warned=[],
        temperature=None,
        tools=True,
        barred=False,
        stop=None,
        summarise=False,
        why="",
        fallback="",
    )


@dataclass(frozen=True, slots=True)
class Spent:
    """What the turn has used up so far, its sub-agents included."""

    seconds: float = 0.0
    tokens: int = 0
    cost: float = 0.0
    tool_calls: int = 0


@dataclass(frozen=True, slots=True)
class Trouble:
    """A problem that is there: how often it has come, and how strong the answer to it should be, from 1."""

    problem: Problem
    count: int
    strength: int
    pattern: str = ""


@dataclass(frozen=True, slots=True)
class Proceed:
    """Ask the model again."""


@dataclass(frozen=True, slots=True)
class Recover:
    """Ask again, with these words: a prompt's name, filled in with `count`, `pattern` and the tools' names."""

    problem: Problem
    prompt: str
    strength: int
    pattern: str = ""
    temperature: float | None = None
    tools: bool = True
    count: int = 0

    @property
    def is_loop(self) -> bool:
        """Whether the user is told that the model repeats itself."""
        return self.problem in ("loop", "output", "talk", "repeating")


@dataclass(frozen=True, slots=True)
class Finish:
    """End the turn; `summarise` when the model is to be asked for a summary first.

    `why` goes on after "Stopped: "; `fallback` is the last word to the user where the model has none.
    """

    reason: StopReason
    summarise: bool = False
    why: str = ""
    fallback: str = ""


Directive = Proceed | Recover | Finish


@dataclass(frozen=True, slots=True)
class Block:
    """A call is not to be run: `text` is what the model reads instead, `code` the refusal's code."""

    text: str
    code: Literal["repeated", "no_tools"] = "repeated"


@dataclass(frozen=True, slots=True)
class NearLimit:
    """Four fifths of a budget are used up."""

    budget: Budget
    used: float
    limit: float

    @property
    def name(self) -> str:
        """The budget in words."""
        return {"cost": "units of money", "tool_calls": "tool calls"}.get(self.budget, self.budget)
