"""A conversation made to fit its budget, in a few big steps.

Whatever changes old messages makes the server compute all that follows them again, so a step frees much at once and
the prompt then only grows for a long while. The steps, each taken only where those before it freed too little:

1. The outputs of all tools but the last few become one line that says what they were.
2. The oldest exchanges go, until half of the budget is free; one note stands in their place.
3. The longest of the texts that remain lose their middle. System texts and the user's own words never do.

The system messages, the task (the first message of the user), the user's last message and the model's last one stay,
and a call and its results stay or go together. A message that is not changed is the same object as before.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from agentic.context.shorten import halved, stubs
from agentic.ports.model import Message

SMALLEST_RESERVE = 1024
"""Tokens kept for an answer, in a window that is at least twice as large."""

KEPT_EXCHANGES = 3
"""As many of the last answers keep their tools' whole outputs in the first step."""

ENOUGH = 3 / 4
"""The part of the budget to which a step must come down, so that the next one is not soon due."""

_SYSTEM = ("system", "developer")
_NOTE = re.compile(r"\[agentic\] (\d+) earlier messages? of this conversation")
_NOTE_ROOM = 200
"""More tokens than a note usually takes."""
_LISTED = 8
"""Calls that a note names at most: the last ones."""
_LINE = 60


@dataclass(frozen=True, slots=True)
class Trimmed:
    """What is to be sent from now on, with a count for each message."""

    messages: list[Message]
    counts: list[int]
    dropped: int = 0
    """Messages that are gone."""
    shortened: int = 0
    """Messages of which a part is gone."""
    fits: bool = True
    """Whether the budget is kept; if not, what may not be touched is too much for it."""

    @property
    def changed(self) -> bool:
        return bool(self.dropped or self.shortened)


def budget_of(window: int, answer_limit: int | None = None) -> int:
    """The tokens of a window that a prompt may fill; the rest is kept for the answer.

    That is a quarter of the window or `SMALLEST_RESERVE`, whichever is more, but never more than half of the window
    nor than an answer can be long.
    """
    reserve = min(max(window // 4, SMALLEST_RESERVE), window // 2)
    return window - (reserve if answer_limit is None else min(reserve, answer_limit))


def trim(
    messages: Sequence[Message], counts: Sequence[int], budget: int, estimate: Callable[[Message], int]
) -> Trimmed:
    """The messages, within `budget` tokens if that can be: `counts` are theirs, `estimate` counts those that are new.

    Pure, and the same messages always come out the same. Messages that fit already are not touched; what was trimmed
    once and is still within the budget neither.
    """
    draft = _Draft(list(messages), list(counts), estimate)
    if draft.total <= budget:
        return draft.trimmed(messages, budget)
    draft.stub_outputs()
    if draft.total > budget * ENOUGH:
        draft.drop_oldest(budget)
    if draft.total > budget:
        draft.shorten(budget)
    if draft.total > budget:
        draft.drop_note()
    return draft.trimmed(messages, budget)


class _Draft:
    """The messages while they are trimmed."""

    def __init__(self, messages: list[Message], counts: list[int], estimate: Callable[[Message], int]) -> None:
        self.messages = messages
        self.counts = counts
        self.total = sum(counts)
        self._estimate = estimate
        self._dropped = 0

    def trimmed(self, before: Sequence[Message], budget: int) -> Trimmed:
        """The outcome, compared with the messages before."""
        old = {id(message) for message in before}
        new = sum(id(message) not in old and not _is_note(message) for message in self.messages)
        return Trimmed(self.messages, self.counts, self._dropped, new, self.total <= budget)

    def stub_outputs(self) -> None:
        """Shrink the outputs of all tools but those of the last exchanges."""
        exchanges = [unit for unit in _units(self.messages) if len(unit) > 1]
        for unit in exchanges[:-KEPT_EXCHANGES]:
            for place, stub in zip(unit[1:], stubs([self.messages[place] for place in unit]), strict=True):
                self._replace(place, stub)

    def drop_oldest(self, budget: int) -> None:
        """Take out the oldest exchanges until half of the budget is free; or of what the pinned ones leave of it."""
        pinned = _pinned(self.messages)
        fixed = sum(self.counts[place] for place in pinned)
        target = budget // 2 if fixed <= budget // 2 else (fixed + budget) // 2
        left, gone = self.total, list[int]()
        for unit in _units(self.messages):
            if left <= max(fixed, target - _NOTE_ROOM):
                break
            if pinned.isdisjoint(unit):
                gone += unit
                left -= sum(self.counts[place] for place in unit)
        self._leave_note(gone)

    def shorten(self, budget: int) -> None:
        """Take the middle out of the longest text, again and again, until a part of what the fixed texts leave of the
        budget is free: in a small window they may be most of it."""
        open_places = [place for place, message in enumerate(self.messages) if not _is_fixed(message)]
        fixed = self.total - sum(self.counts[place] for place in open_places)
        goal = fixed + int(max(0, budget - fixed) * ENOUGH)
        while open_places and self.total > goal:
            place = max(open_places, key=self.counts.__getitem__)
            shorter = halved(self.messages[place])
            while shorter is not None and not self._replace(place, shorter):
                shorter = halved(shorter)
            if shorter is None:
                open_places.remove(place)

    def drop_note(self) -> None:
        """Take out the note, when the room for it is missing."""
        notes = [place for place, message in enumerate(self.messages) if _is_note(message)]
        for place in reversed(notes):
            self.total -= self.counts.pop(place)
            del self.messages[place]

    def _leave_note(self, gone: list[int]) -> None:
        real = [self.messages[place] for place in gone if not _is_note(self.messages[place])]
        if not real:
            return
        note = _note([self.messages[place] for place in gone])
        self.messages[gone[0]], self.counts[gone[0]] = note, self._estimate(note)
        for place in reversed(gone[1:]):
            del self.messages[place], self.counts[place]
        self.total = sum(self.counts)
        self._dropped = len(real)

    def _replace(self, place: int, message: Message) -> bool:
        """Put a message into another's place, if it is shorter."""
        count = self._estimate(message)
        saved = self.counts[place] - count
        if saved <= 0:
            return False
        self.messages[place], self.counts[place] = message, count
        self.total -= saved
        return True


def _units(messages: Sequence[Message]) -> list[range]:
    """The places of what stays or goes together: an answer with its calls' results, or any other message."""
    starts = [place for place, message in enumerate(messages) if place == 0 or message["role"] != "tool"]
    return [range(start, end) for start, end in pairwise([*starts, len(messages)])]


def _pinned(messages: Sequence[Message]) -> set[int]:
    """The places of what never goes."""
    units = _units(messages)
    system = [unit for unit in units if messages[unit[0]]["role"] in _SYSTEM]
    user = [unit for unit in units if messages[unit[0]]["role"] == "user" and not _is_note(messages[unit[0]])]
    assistant = [unit for unit in units if messages[unit[0]]["role"] == "assistant"]
    return {place for unit in (*system, *user[:1], *user[-1:], *assistant[-1:]) for place in unit}


def _is_fixed(message: Message) -> bool:
    """Whether no part of it may go: system texts, and the user's own words."""
    return message["role"] in (*_SYSTEM, "user")


def _is_note(message: Message) -> bool:
    content = message.get("content")
    return message["role"] == "user" and isinstance(content, str) and _NOTE.match(content) is not None


def _note(gone: Sequence[Message]) -> Message:
    """What stands for messages that are gone, earlier notes among them: how many, and the last calls."""
    number, calls = 0, list[str]()
    for message in gone:
        if _is_note(message):
            number += int(message["content"].split()[1])
            calls += [line for line in message["content"].splitlines() if line.startswith("- ")]
        else:
            number += 1
            calls += [_line_of(call["function"]) for call in message.get("tool_calls") or ()]
    text = f"[agentic] {number} earlier message{'s' if number > 1 else ''} of this conversation had to be left out."
    listed = list(dict.fromkeys(reversed(calls)))[:_LISTED][::-1]
    if listed:
        text = "\n".join((f"{text} The last calls in them (look again before you build on them):", *listed))
    return {"role": "user", "content": text}


def _line_of(function: Message) -> str:
    text = " ".join(f"- {function['name']} {function['arguments']}".split())
    return text if len(text) <= _LINE else f"{text[: _LINE - 1]}…"
