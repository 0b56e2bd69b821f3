"""A task as data: what the user asked for, and within which bounds."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from typing import Literal

Mode = Literal["plan", "ask", "accept-edits", "auto"]
"""What may happen without asking, from narrow to wide. plan: nothing is changed. ask: reading is free, each edit and
each command is asked for. accept-edits: edits are applied at once. auto: what the sandbox can hold runs unasked."""

MODES: tuple[Mode, ...] = ("plan", "ask", "accept-edits", "auto")

Domain = Literal["coding", "general", "research", "data"]
Route = Literal["reply", "work"]
StopReason = Literal["end_turn", "max_tokens", "max_iterations", "max_time", "refusal", "cancelled", "loop", "error"]
"""Why a turn ended. `end_turn`: the model said it is done."""


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
