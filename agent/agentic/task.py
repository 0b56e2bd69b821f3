"""A task as data: what the user asked for, and within which bounds."""

from __future__ import annotations

import re
import secrets
import time
from dataclasses import dataclass, field, replace
from typing import Literal

Mode = Literal["plan", "ask", "accept-edits", "auto"]
"""What may happen without asking, from narrow to wide. plan: nothing is changed. ask: reading is free, each edit and
each command is asked for. accept-edits: edits are applied at once. auto: what the sandbox can hold runs unasked."""

MODES: tuple[Mode, ...] = ("plan", "ask", "accept-edits", "auto")

Domain = Literal["coding", "general", "research", "data"]
Route = Literal["reply", "work"]
StopReason = Literal[
    "end_turn",
    "max_tokens",
    "max_iterations",
    "max_time",
    "max_budget",
    "refusal",
    "cancelled",
    "loop",
    "no_progress",
    "context_exhausted",
    "error",
]
"""Why a turn ended. `end_turn`: the model said it is done. `max_budget`: tokens, money or tool calls are used up.
`context_exhausted`: the conversation could not be made to fit the window any more."""


TITLE_LENGTH = 80
"""Characters of a title at most."""


def narrower(asked: Mode | None, allowed: Mode) -> Mode:
    """The mode of a task: what was asked for, but never wider than the user's own setting."""
    if asked is None:
        return allowed
    return MODES[min(MODES.index(asked), MODES.index(allowed))]


def title_of(text: str) -> str:
    """A task's title: its first line, shortened."""
    line = text.strip().split("\n", 1)[0]
    return line if len(line) <= TITLE_LENGTH else line[: TITLE_LENGTH - 1] + "…"


def new_id(prefix: str) -> str:
    """An id that sorts by time of making: `s-18c2f0a1b2c3-9f3a1c`. 24 random bits beside milliseconds."""
    return f"{prefix}-{time.time_ns() // 1_000_000:012x}-{secrets.token_hex(3)}"


@dataclass(frozen=True, slots=True)
class Limits:
    """Where a turn must end. Reaching one ends it with a summary that is asked for once."""

    iterations: int = 50
    seconds: float = 1200.0
    recursion: int = 100
    command_seconds: float = 120.0
    answer_tokens: int = 16_384
    """The most tokens of one answer; less where the window leaves less."""
    tool_calls: int = 300
    tokens: int | None = None
    """Prompt and answer tokens of all requests, those of sub-agents and councils included; None: no limit."""
    cost: float | None = None
    """In the currency of the prices, sub-agents included; None: no limit."""


@dataclass(frozen=True, slots=True)
class TeamRules:
    """When a task is cut into parts, and what each sub-agent may use."""

    above: float = 0.7
    """The complexity above which a task is cut into subtasks; 1 or more: only when the model asks for it."""
    agents: int = 4
    """Sub-agents at work at once."""
    subtasks: int = 5
    """Subtasks at most; at least two."""
    iterations: int = 10
    seconds: float = 300.0
    """Of one sub-agent."""


CouncilUse = Literal["asked", "auto"]
"""asked: on request only. auto: also when triage finds a task complex and is not sure of it."""


@dataclass(frozen=True, slots=True)
class CouncilRules:
    """Who deliberates, and when."""

    roles: tuple[str, ...] = ("architect", "developer", "tester")
    use: CouncilUse = "auto"
    below: float = 0.5
    """Triage's confidence below which a complex task is deliberated on, with `auto`."""
    candidates: int = 3
    """Competing patches of a contest."""
    check: str = ""
    """The shell command that scores a patch, run in a copy of the workspace; empty: what most candidates ran."""


@dataclass(frozen=True, slots=True)
class Prices:
    """What a million tokens cost, in the user's currency. `cached` is that of prompt tokens the server had cached."""

    prompt: float
    completion: float
    cached: float | None = None

    def cost(self, prompt: int, cached: int, completion: int) -> float:
        """The price of so many tokens; `prompt` counts the cached ones too."""
        cached_price = self.prompt if self.cached is None else self.cached
        return ((prompt - cached) * self.prompt + cached * cached_price + completion * self.completion) / 1_000_000


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the user decides instead of triage; None leaves it to triage."""

    domain: Domain | None = None
    complexity: float | None = None
    route: Route | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """One turn's work: the user's own words and what they had before their eyes."""

    text: str
    session: str
    turn: str
    mode: Mode = "ask"
    limits: Limits = field(default_factory=Limits)
    overrides: Overrides = field(default_factory=Overrides)
    open_files: tuple[str, ...] = ()
    """Workspace-relative paths of the documents open in the editor, the active one first."""
    selection: str = ""
    """The selected text with its place, as one block; empty when nothing is selected."""
    prices: Prices | None = None
    """None where nobody has said what tokens cost."""
    team: TeamRules = field(default_factory=TeamRules)
    council: CouncilRules = field(default_factory=CouncilRules)
    deliberate: Literal["", "plan", "patch"] = ""
    """What the user wants a council for: a plan before the work begins, or the best of several patches."""
    instructions: str = ""
    """The user's own standing instructions, from their settings."""


_DIRECTIVE = re.compile(r"\s*/(council|best|team|solo)\b(?:[ \t]+(\d)\b)?\s*(?=\S)")


def directed(task: Task) -> Task:
    """The task as the words that it begins with direct it, and without them.

    `/council` has a plan deliberated on, `/best` (or `/best 4`) lets so many patches compete, `/team` has the task cut
    into parts, `/solo` forbids that. Anything else that begins with a slash is left as it is.
    """
    found = _DIRECTIVE.match(task.text)
    if found is None:
        return task
    word, number = found[1], found[2]
    rest = replace(task, text=task.text[found.end() :])
    if word == "council":
        return replace(rest, deliberate="plan")
    if word == "best":
        candidates = min(max(int(number), 2), 8) if number else task.council.candidates
        return replace(rest, deliberate="patch", council=replace(task.council, candidates=candidates))
    if word == "team":
        return replace(rest, overrides=replace(task.overrides, complexity=1.0, route="work"))
    return replace(rest, team=replace(task.team, above=1.0), council=replace(task.council, use="asked"))
