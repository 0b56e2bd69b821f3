"""A conversation made to fit its budget, in a few big steps.

Whatever changes old messages makes the server compute all that follows them again, so a step frees much at once and
the prompt then only grows for a long while. The steps, each taken only where those before it freed too little:

1. The outputs of all tools but the last few become one line that says what they were, and the reasoning goes that led
   to those calls.
2. The oldest exchanges go, until half of the budget is free; one note stands in their place. (Where the model can
   sum them up, that is done instead: `compaction.py`.)
3. The longest of the texts that remain lose their middle. System texts and the user's own words never do.
4. Where all this is not enough, what the user said between the task and their last words goes too.

The system messages, the task, the user's last words and the model's last answer with all that follows it stay, and a
call and its results stay or go together. A message that is not changed is the same object as before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from agentic.context.marks import (
    is_files,
    is_note,
    is_summary,
    is_system,
    noted,
    own_words,
    parts,
    text_of,
    without_context,
)
from agentic.context.shorten import halved, stubs, without_reasoning
from agentic.ports.model import Message

KEPT_EXCHANGES = 3
"""As many of the last answers keep their tools' whole outputs in the first step, if that frees enough."""

ENOUGH = 3 / 4
"""The part of the budget to which a step must come down, so that the next one is not soon due."""

_NOTE_ROOM = 200
"""More tokens than a note usually takes."""
_LISTED = 8
"""Calls that a note names at most: the last ones."""
_LINE = 60

Estimate = Callable[[Message], int]


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


def goal_of(budget: int, fixed: int) -> int:
    """What a compaction must come down to: `ENOUGH` of the budget, or half of what the `fixed` tokens leave of it."""
    return max(int(budget * ENOUGH), (budget + fixed) // 2)


def fixed_tokens(messages: Sequence[Message], counts: Sequence[int]) -> int:
    """What of a prompt no step but the last touches: system texts and the user's own words."""
    own = set(own_words(messages))
    return sum(
        count
        for place, (message, count) in enumerate(zip(messages, counts, strict=True))
        if is_system(message) or place in own
    )


def trim(
    messages: Sequence[Message], counts: Sequence[int], budget: int, estimate: Estimate, before: int = 0
) -> Trimmed:
    """The prompt, within `budget` tokens if that can be: `counts` are the messages', `before` stands before them, and
    `estimate` counts those that are new.

    Pure, and the same messages always come out the same. Messages that fit already are not touched; what was trimmed
    once and is still within the budget neither.
    """
    draft = _Draft(list(messages), list(counts), estimate, before)
    if draft.total > budget:
        draft.stub_outputs(budget)
        if draft.total > draft.goal(budget):
            draft.drop_oldest(budget)
        if draft.total > draft.goal(budget):
            draft.shorten(draft.goal(budget))
        if draft.total > budget:
            draft.drop_words(budget)
        if draft.total > budget:
            draft.drop_note()
    return draft.trimmed(messages, budget)


def shrink_outputs(
    messages: Sequence[Message], counts: Sequence[int], budget: int, estimate: Estimate, before: int = 0
) -> Trimmed:
    """The first step alone. It leaves every message at its place; `fits`: whether it came down far enough."""
    draft = _Draft(list(messages), list(counts), estimate, before)
    draft.stub_outputs(budget)
    return draft.trimmed(messages, draft.goal(budget))


def shorten_longest(
    messages: Sequence[Message], counts: Sequence[int], budget: int, estimate: Estimate, before: int = 0
) -> Trimmed:
    """The third step alone, taken where the prompt is above the goal of its budget."""
    draft = _Draft(list(messages), list(counts), estimate, before)
    draft.shorten(draft.goal(budget))
    return draft.trimmed(messages, budget)


def last_exchange(messages: Sequence[Message]) -> int:
    """The place from which on all is pinned: the model's last answer, its results and what was said after them."""
    answers = [place for place, message in enumerate(messages) if message["role"] == "assistant"]
    return answers[-1] if answers else len(messages)


def units(messages: Sequence[Message]) -> list[range]:
    """The places of what stays or goes together: an answer with its calls' results, or any other message."""
    starts = [place for place, message in enumerate(messages) if place == 0 or message["role"] != "tool"]
    return [range(start, end) for start, end in pairwise([*starts, len(messages)])]


def without_old_contexts(messages: Sequence[Message]) -> list[Message]:
    """The messages, of all tasks but the last without what the user had before their eyes then."""
    tasks = [place for place, message in enumerate(messages) if parts(message)[1]]
    past = set(tasks[:-1])
    return [without_context(message) if place in past else message for place, message in enumerate(messages)]


class _Draft:
    """The messages while they are trimmed."""

    def __init__(self, messages: list[Message], counts: list[int], estimate: Estimate, before: int) -> None:
        self.messages = messages
        self.counts = counts
        self.total = before + sum(counts)
        self._before = before
        self._estimate = estimate
        self._dropped = 0

    def trimmed(self, before: Sequence[Message], budget: int) -> Trimmed:
        """The outcome, compared with the messages before."""
        old = {id(message) for message in before}
        new = sum(id(message) not in old and not is_note(message) for message in self.messages)
        return Trimmed(self.messages, self.counts, self._dropped, new, self.total <= budget)

    def goal(self, budget: int) -> int:
        return goal_of(budget, self._before + fixed_tokens(self.messages, self.counts))

    def stub_outputs(self, budget: int) -> None:
        """Shrink the outputs of all tools but those of the last exchanges, or of the very last where that is needed;
        and leave out what was thought before."""
        exchanges = [unit for unit in units(self.messages) if len(unit) > 1]
        for kept in range(KEPT_EXCHANGES, 0, -1):
            for unit in exchanges[:-kept]:
                self._replace(unit[0], without_reasoning(self.messages[unit[0]]))
                for place, stub in zip(unit[1:], stubs([self.messages[place] for place in unit]), strict=True):
                    self._replace(place, stub)
            if self.total <= self.goal(budget):
                break

    def drop_oldest(self, budget: int) -> None:
        """Take out the oldest exchanges until half of the budget is free, or of what the pinned ones leave of it; and
        with them what the user had before their eyes in older tasks."""
        for place, message in enumerate(without_old_contexts(self.messages)):
            self._replace(place, message)
        summaries = {place for place, message in enumerate(self.messages) if is_summary(message)}
        pinned = _pinned(self.messages) | set(own_words(self.messages)) | summaries
        fixed = self._before + sum(self.counts[place] for place in pinned)
        target = budget // 2 if fixed <= budget // 2 else (fixed + budget) // 2
        self._drop(pinned, max(fixed, target - _NOTE_ROOM))

    def drop_words(self, budget: int) -> None:
        """Take out the last task's context, then summaries and what the user said, the oldest first."""
        for place, message in enumerate(self.messages):
            if self.total > budget:
                self._replace(place, without_context(message))
        if self.total > budget:
            self._drop(_pinned(self.messages), budget if any(map(is_note, self.messages)) else budget - _NOTE_ROOM)

    def shorten(self, goal: int) -> None:
        """Take the middle out of the longest text, again and again, until the goal is reached."""
        open_places = [place for place, message in enumerate(self.messages) if not _is_never_cut(message)]
        while open_places and self.total > goal:
            place = max(open_places, key=self.counts.__getitem__)
            shorter = halved(self.messages[place])
            while shorter is not None and not self._replace(place, shorter):
                shorter = halved(shorter)
            if shorter is None:
                open_places.remove(place)

    def drop_note(self) -> None:
        """Take out the note, when the room for it is missing."""
        notes = [place for place, message in enumerate(self.messages) if is_note(message)]
        for place in reversed(notes):
            self.total -= self.counts.pop(place)
            del self.messages[place]

    def _drop(self, pinned: set[int], target: int) -> None:
        """Take out the oldest that are not pinned, until the target is reached, and leave one note for all."""
        left = self.total
        gone = {place for place, message in enumerate(self.messages) if is_note(message)}
        for unit in units(self.messages):
            if left <= target:
                break
            if pinned.isdisjoint(unit) and gone.isdisjoint(unit):
                gone.update(unit)
                left -= sum(self.counts[place] for place in unit)
        self._leave_note(sorted(gone))

    def _leave_note(self, gone: Sequence[int]) -> None:
        real = [self.messages[place] for place in gone if not is_note(self.messages[place])]
        if not real:
            return
        note = _note([self.messages[place] for place in gone])
        self.messages[gone[0]], self.counts[gone[0]] = note, self._estimate(note)
        for place in reversed(gone[1:]):
            del self.messages[place], self.counts[place]
        self.total = self._before + sum(self.counts)
        self._dropped += len(real)

    def _replace(self, place: int, message: Message) -> bool:
        """Put a message into another's place, if it is shorter."""
        if message is self.messages[place]:
            return False
        count = self._estimate(message)
        saved = self.counts[place] - count
        if saved <= 0:
            return False
        self.messages[place], self.counts[place] = message, count
        self.total -= saved
        return True


def _is_never_cut(message: Message) -> bool:
    """System texts, the user's own words, and what Agentic wrote and keeps short itself."""
    return is_system(message) or message["role"] == "user"


def _pinned(messages: Sequence[Message]) -> set[int]:
    """The places of what never goes."""
    own = own_words(messages)
    system = {place for place, message in enumerate(messages) if is_system(message)}
    return system | {*own[:1], *own[-1:]} | set(range(last_exchange(messages), len(messages)))


def _note(gone: Iterable[Message]) -> Message:
    """What stands for messages that are gone, earlier notes among them: how many, and the last calls."""
    number, calls = 0, list[str]()
    for message in gone:
        if is_note(message):
            number += noted(message)
            calls += [line for line in text_of(message).splitlines() if line.startswith("- ")]
        else:
            number += not is_files(message)
            calls += [_line_of(call["function"]) for call in message.get("tool_calls") or ()]
    text = f"[agentic] {number} earlier message{'s' if number != 1 else ''} of this conversation had to be left out."
    listed = list(dict.fromkeys(reversed(calls)))[:_LISTED][::-1]
    if listed:
        text = "\n".join((f"{text} The last calls in them (look again before you build on them):", *listed))
    return {"role": "user", "content": text}


def _line_of(function: Message) -> str:
    text = " ".join(f"- {function['name']} {function['arguments']}".split())
    return text if len(text) <= _LINE else f"{text[: _LINE - 1]}…"
