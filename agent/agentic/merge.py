"""Carrying edits over to a text that has moved on: which of them it already holds, and where the others go.

An edit is made against one text; by the time it is shown, accepted or applied, the user may have typed, and their
editor may have applied some of the edits by itself. Lines that repeat make it easy to make an edit twice, or in the
wrong one of two equal places, so what is looked for is the explanation with the least typing: the text before, with
some of the edits made, and as few characters as possible typed and erased. Pure functions; offsets in code points.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal, NamedTuple

from agentic.change import Edit, apply_edits, minimal_edits, splits_crlf, trim
from agentic.errors import Refusal
from agentic.text import line_of, line_starts

STEPS = 60_000
"""How long the best explanation is looked for; texts that differ by more are compared by lines. About 0.1 s."""


@dataclass(frozen=True, slots=True)
class Placed:
    """One edit in the text as it is now: `now[start:end]` is what it replaces, or what it has put there."""

    start: int
    end: int
    new: str
    state: Literal["pending", "made", "conflict"]
    """conflict: the text in its place was changed by somebody else."""

    @property
    def edit(self) -> Edit:
        """The edit against the text as it is now; only for pending ones."""
        return Edit(self.start, self.end, self.new)


def merge(base: str, ours: Sequence[Edit], theirs: str) -> str | Refusal:
    """Three-way: `theirs` with our edits of `base` carried over, or a conflict.

    An edit that `theirs` already holds is not made twice; two edits that touch the same characters in different ways
    are a conflict. So it rebases a stale change, finishes one that is half there, and finds one that is done.
    """
    placed = place(base, ours, theirs)
    clash = next((edit for edit, one in zip(ours, placed, strict=True) if one.state == "conflict"), None)
    if clash is not None:
        line = line_of(line_starts(base), clash.start) + 1
        return Refusal(
            "conflict",
            f"The text around line {line} was changed meanwhile, in the same place as this edit.",
            "Read the file again and edit what it holds now.",
        )
    return apply_edits(theirs, [one.edit for one in placed if one.state == "pending"])


def place(base: str, ours: Sequence[Edit], now: str) -> list[Placed]:
    """Each of the edits of `base`, in order, where it stands in `now`."""
    wanted = [trim(base, edit) for edit in ours]
    found = _explain(base, wanted, now) or _by_lines(base, wanted, now)
    edits, others = _advance(wanted, found.made), found.others
    ends = [other.end for other in others]
    moved = [0, *accumulate(len(o.new) - (o.end - o.start) for o in others)]
    placed: list[Placed] = []
    for index, edit in enumerate(edits):
        before = bisect_right(ends, edit.start)
        start = edit.start + moved[before]
        near = list(_near(others, before, edit.end))
        if index in found.made:
            end = max(start, edit.end + moved[bisect_right(ends, edit.end)])
            whole = not any(_changes(other, edit, base[wanted[index].start : wanted[index].end]) for other in near)
            placed.append(Placed(start, end, edit.new, "made" if whole else "conflict"))
        else:
            end = start + edit.end - edit.start
            placed.append(Placed(start, end, edit.new, _state(edit, near)))
    return placed


class _Explanation(NamedTuple):
    """The indices of the edits that are made, and what others did to the text that has these edits and no more."""

    made: set[int]
    others: Sequence[Edit]


class _Step(NamedTuple):
    """`length` characters of a part that are in the text at `at`; 0 where a part is entered."""

    before: _Step | None
    part: int
    made: bool
    start: int
    at: int
    length: int


def _explain(base: str, edits: Sequence[Edit], now: str) -> _Explanation | None:
    """The explanation with the least typing, or None where it is not found in time."""
    parts: list[tuple[str, str]] = []
    position = 0
    for edit in edits:
        gap = base[position : edit.start]
        parts += ((gap, gap), (base[edit.start : edit.end], edit.new))
        position = edit.end
    parts.append((base[position:], base[position:]))
    step = _shortest(parts, now)
    if step is None:
        return None
    steps: list[_Step] = []
    while step is not None:
        steps.append(step)
        step = step.before
    steps.reverse()
    made = {one.part // 2 for one in steps if one.made}
    texts = [texts[number % 2 == 1 and number // 2 in made] for number, texts in enumerate(parts)]
    starts = [0, *accumulate(map(len, texts))]
    runs = [(starts[one.part] + one.start, one.at, one.length) for one in steps if one.length]
    before = "".join(texts)
    return _Explanation(made, _cleaned(before, _between(before, now, runs)))


class _State(NamedTuple):
    """How far in which part, how far in the text, and how it came there."""

    part: int
    made: bool
    position: int
    at: int
    step: _Step | None


def _shortest(parts: Sequence[tuple[str, str]], now: str) -> _Step | None:
    """The way through the parts, each as it was or as it is to be, that `now` differs least from.

    Myers' greedy search, in which a part with two forms is a fork: all that can be reached with no character typed or
    erased, then with one, and so on. Of the states on one diagonal of a part only the furthest counts.
    """
    level = [_State(0, False, 0, 0, None)]
    reached: dict[tuple[int, bool, int], int] = {}
    left = STEPS
    while level and left > 0:
        dearer: list[_State] = []
        while level and left > 0:
            state = level.pop()
            diagonal = (state.part, state.made, state.at - state.position)
            if reached.get(diagonal, -1) >= state.position:
                continue
            left -= 1
            state = _slid(parts[state.part][state.made], now, state)
            reached[diagonal] = state.position
            if state.part == len(parts) - 1 and state.position == len(parts[-1][0]) and state.at == len(now):
                return state.step
            free, typed = _moves(parts, now, state)
            level += free
            dearer += typed
        level = dearer
    return None


def _slid(text: str, now: str, state: _State) -> _State:
    """The state past all that its part and the text have in common from there."""
    part, made, position, at, step = state
    length = _run(text, position, now, at)
    if not length:
        return state
    return _State(part, made, position + length, at + length, _Step(step, part, made, position, at, length))


def _moves(parts: Sequence[tuple[str, str]], now: str, state: _State) -> tuple[list[_State], list[_State]]:
    """Where a state leads to for nothing, and where for one character that was erased or typed."""
    part, made, position, at, step = state
    inside = position < len(parts[part][made])
    if not inside and part + 1 < len(parts):
        forms = (True, False) if part % 2 == 0 else (False,)
        return [_State(part + 1, form, 0, at, _Step(step, part + 1, form, 0, at, 0)) for form in forms], []
    erased = [_State(part, made, position + 1, at, step)] if inside else []
    typed = [_State(part, made, position, at + 1, step)] if at < len(now) else []
    return [], erased + typed


def _run(a: str, i: int, b: str, j: int) -> int:
    """How many characters `a` from `i` and `b` from `j` begin with in common."""
    limit = min(len(a) - i, len(b) - j)
    if limit <= 0 or a[i] != b[j]:
        return 0
    length, size, growing = 1, 16, True
    while size and length < limit:
        size = min(size, limit - length)
        if a[i + length : i + length + size] == b[j + length : j + length + size]:
            length += size
            size *= 4 if growing else 1
        else:
            size, growing = size // 2, False
    return length


def _between(before: str, now: str, runs: Iterable[tuple[int, int, int]]) -> list[Edit]:
    """The edits between runs (place before, place now, length) of common characters; none cuts a \\r\\n in two."""
    joined: list[tuple[int, int, int]] = []
    for place_before, place_now, length in runs:
        last = joined[-1] if joined else (0, 0, 0)
        if joined and last[0] + last[2] == place_before and last[1] + last[2] == place_now:
            joined[-1] = (last[0], last[1], last[2] + length)
        else:
            joined.append((place_before, place_now, length))
    edits: list[Edit] = []
    start = start_now = 0
    for run in (*joined, (len(before), len(now), 0)):
        place_before, place_now, length = _between_line_ends(before, now, run)
        if length <= 0 and place_before < len(before):
            continue
        if start < place_before or start_now < place_now:
            edits.append(Edit(start, place_before, now[start_now:place_now]))
        start, start_now = place_before + length, place_now + length
    return edits


def _between_line_ends(before: str, now: str, run: tuple[int, int, int]) -> tuple[int, int, int]:
    """The run without a half of a \\r\\n at its ends."""
    a, b, length = run
    if splits_crlf(before, a) or splits_crlf(now, b):
        a, b, length = a + 1, b + 1, length - 1
    if splits_crlf(before, a + length) or splits_crlf(now, b + length):
        length -= 1
    return a, b, length


def _cleaned(before: str, edits: Sequence[Edit]) -> list[Edit]:
    """The edits, those joined that have no more between them than they erase and put in: what was written anew.

    A new text has single characters in common with the old one by chance; nothing of ours belongs between those.
    """
    kept: list[Edit] = []
    for edit in edits:
        kept.append(edit)
        while len(kept) > 1 and kept[-1].start - kept[-2].end <= _both(kept[-2], kept[-1]):
            first, second = kept[-2:]
            kept[-2:] = [Edit(first.start, second.end, first.new + before[first.end : second.start] + second.new)]
    return kept


def _both(a: Edit, b: Edit) -> int:
    """What two edits erase, or put in, whichever is less."""
    return min(a.end - a.start + b.end - b.start, len(a.new) + len(b.new))


def _by_lines(base: str, edits: Sequence[Edit], now: str) -> _Explanation:
    """Where texts differ much: all edits made, or only those that are seen as they are."""
    none = _Explanation(set(), minimal_edits(base, now))
    every = _Explanation(set(range(len(edits))), minimal_edits(apply_edits(base, edits), now))
    return every if _size(every.others) < _size(none.others) else none


def _size(edits: Iterable[Edit]) -> int:
    return sum(len(edit.new) + edit.end - edit.start for edit in edits)


def _advance(edits: Sequence[Edit], made: set[int]) -> list[Edit]:
    """The edits in the offsets of the text in which the made ones are made; such a one replaces itself."""
    moved, advanced = 0, list[Edit]()
    for index, edit in enumerate(edits):
        start = edit.start + moved
        if index in made:
            moved += len(edit.new) - (edit.end - edit.start)
        advanced.append(Edit(start, edit.end + moved, edit.new))
    return advanced


def _near(others: Sequence[Edit], index: int, end: int) -> Iterable[Edit]:
    """The edits from a little before this index that begin at `end` at the latest."""
    for other in others[max(0, index - 2) :]:
        if other.start > end:
            return
        yield other


def _state(edit: Edit, near: Sequence[Edit]) -> Literal["pending", "made", "conflict"]:
    if edit in near or (edit.start == edit.end and not edit.new):
        return "made"
    return "conflict" if any(_touch(edit, other) for other in near) else "pending"


def _changes(other: Edit, made: Edit, old: str) -> bool:
    """Whether another edit changed what a made one has put there, or put back a piece of what it has erased."""
    if made.start == made.end == other.start == other.end:
        return other.new in old
    return made.start < other.end and other.start < made.end


def _touch(a: Edit, b: Edit) -> bool:
    """Whether two edits share a character or insert at one place; an insertion at another edit's border is apart."""
    if a.start == a.end and b.start == b.end:
        return a.start == b.start
    return a.start < b.end and b.start < a.end
