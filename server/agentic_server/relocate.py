"""Where a change stands in a text that has moved on: which of its edits are there already, and where the others go.

A change is made against one text; by the time it is shown, accepted or applied, the user may have typed, and their
editor may have applied some of its edits by itself. Pure functions over texts; offsets in code points.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from agentic.change import Edit, apply_edits, merge, minimal_edits
from agentic.errors import Refusal

MANY = 24
"""Above this many edits they are looked for all together, not one by one."""

LONG = 20_000
"""Differing stretches above this many characters are compared by lines instead of characters."""


@dataclass(frozen=True, slots=True)
class Placed:
    """One edit of a change in the text as it is now: `now[start:end]` is what it replaces, or what it has put there."""

    start: int
    end: int
    new: str
    state: Literal["pending", "made", "conflict"]
    """conflict: the text in its place was changed by somebody else."""

    @property
    def edit(self) -> Edit:
        """The edit against the text as it is now; only for pending ones."""
        return Edit(self.start, self.end, self.new)


def place(before: str, edits: Sequence[Edit], now: str) -> list[Placed]:
    """Each of the edits of `before`, in order, where it stands in `now`."""
    made = made_edits(before, edits, now)
    base, ours = _advance(before, edits, made)
    others = minimal_edits(base, now)
    placed: list[Placed] = []
    for index, edit in enumerate(ours):
        start = edit.start + _moved(others, edit.start)
        end = max(start, edit.end + _moved(others, edit.end))
        new = edits[index].new
        if index in made:
            placed.append(Placed(start, end, new, "made"))
        elif isinstance(merge(base, [edit], now), Refusal):
            placed.append(Placed(start, end, new, "conflict"))
        else:
            placed.append(Placed(start, start + edit.end - edit.start, new, "pending"))
    return placed


def carry(before: str, edits: Sequence[Edit], now: str) -> str | Refusal:
    """`now` with those of the edits that it does not hold yet, or a conflict. Carrying twice changes nothing."""
    made = made_edits(before, edits, now)
    base, ours = _advance(before, edits, made)
    return merge(base, [edit for index, edit in enumerate(ours) if index not in made], now)


def made_edits(before: str, edits: Sequence[Edit], now: str) -> set[int]:
    """The indices of the edits that `now` already holds.

    Exact where nothing else was changed. Where the user typed as well, an edit counts as made when taking it for made
    leaves less to explain as typing, and none of that typing is inside of it.
    """
    exact = _walk(before, edits, now)
    if exact is not None:
        return exact
    made: set[int] = set()
    least = distance(before, now)
    groups: Iterable[set[int]] = [set(range(len(edits)))] if len(edits) > MANY else [{i} for i in range(len(edits))]
    for group in groups:
        base, ours = _advance(before, edits, made | group)
        others = minimal_edits(base, now)
        apart = all(o.end <= ours[i].start or ours[i].end <= o.start for o in others for i in group)
        if apart and (size := distance(base, now)) < least:
            made |= group
            least = size
    return made


def distance(before: str, now: str) -> int:
    """How many characters must be typed and erased, at least, to come from the one text to the other.

    For texts that differ over a long stretch an upper bound of it.
    """
    head = _common_prefix(before, now)
    tail = _common_prefix(before[head:][::-1], now[head:][::-1])
    old, new = before[head : len(before) - tail], now[head : len(now) - tail]
    if max(len(old), len(new)) > LONG:
        return sum(len(edit.new) + edit.end - edit.start for edit in minimal_edits(old, new))
    return len(old) + len(new) - 2 * _common_subsequence(old, new)


def _common_prefix(a: str, b: str) -> int:
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _common_subsequence(old: str, new: str) -> int:
    """The length of the longest one; by Hyyrö's algorithm, whose rows are the bits of a number."""
    places: dict[str, int] = {}
    for index, char in enumerate(old):
        places[char] = places.get(char, 0) | 1 << index
    every = row = (1 << len(old)) - 1
    for char in new:
        matches = row & places.get(char, 0)
        row = ((row + matches) | (row - matches)) & every
    return len(old) - row.bit_count()


def _walk(before: str, edits: Sequence[Edit], now: str) -> set[int] | None:
    """The edits that are made if `now` is `before` with some of the edits and nothing else, else None."""
    paths: list[tuple[int, int, frozenset[int]]] = [(0, 0, frozenset())]
    seen: set[tuple[int, int]] = set()
    while paths:
        index, position, made = paths.pop()
        if (index, position) in seen:
            continue
        seen.add((index, position))
        last = index == len(edits)
        gap = before[edits[index - 1].end if index else 0 : len(before) if last else edits[index].start]
        if not now.startswith(gap, position):
            continue
        position += len(gap)
        if last:
            if position == len(now):
                return set(made)
            continue
        for text, chosen in ((edits[index].new, made | {index}), (before[edits[index].start : edits[index].end], made)):
            if now.startswith(text, position):
                paths.append((index + 1, position + len(text), chosen))
    return None


def _advance(before: str, edits: Sequence[Edit], made: set[int]) -> tuple[str, list[Edit]]:
    """`before` with the made edits in it, and all the edits in its offsets; a made one replaces itself."""
    base = apply_edits(before, [edit for index, edit in enumerate(edits) if index in made])
    moved, ours = 0, list[Edit]()
    for index, edit in enumerate(edits):
        start = edit.start + moved
        if index in made:
            ours.append(Edit(start, start + len(edit.new), edit.new))
            moved += len(edit.new) - (edit.end - edit.start)
        else:
            ours.append(Edit(start, edit.end + moved, edit.new))
    return base, ours


def _moved(others: Sequence[Edit], offset: int) -> int:
    """By how much the others' edits that end at or before the offset move it."""
    return sum(len(o.new) - (o.end - o.start) for o in others if o.end <= offset)
