"""Edits that follow each other, as edits of the text that they began with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from agentic.change import Edit, trim
from agentic.text import line_of, line_starts


def then(edits: Sequence[Edit], edit: Edit) -> list[Edit]:
    """Ascending edits of a text, followed by one more edit of the text that they made."""
    kept: list[Edit] = []
    touched: list[tuple[Edit, int]] = []
    later: list[Edit] = []
    moved = moved_before = moved_after = 0
    for one in edits:
        start = one.start + moved
        moved += len(one.new) - (one.end - one.start)
        if start + len(one.new) < edit.start:
            kept.append(one)
            moved_before = moved
        elif start > edit.end:
            later.append(one)
            continue
        else:
            touched.append((one, start))
        moved_after = moved
    return [*kept, _joined(touched, edit, moved_before, moved_after), *later]


def _joined(touched: list[tuple[Edit, int]], edit: Edit, moved_before: int, moved_after: int) -> Edit:
    """The edit together with those that it touches, each given with its place in the text they made."""
    if not touched:
        return Edit(edit.start - moved_before, edit.end - moved_before, edit.new)
    (first, first_start), (last, last_start) = touched[0], touched[-1]
    last_end = last_start + len(last.new)
    head = first.new[: max(0, edit.start - first_start)]
    tail = last.new[len(last.new) - max(0, last_end - edit.end) :]
    return Edit(
        min(first.start, edit.start - moved_before), max(last.end, edit.end - moved_after), head + edit.new + tail
    )


def by_lines(before: str, edits: Iterable[Edit]) -> tuple[Edit, ...]:
    """The edits trimmed, those on the same or on neighbouring lines joined, those that change nothing dropped.

    So no two of them share a line, and a person can judge each by itself.
    """
    starts = line_starts(before)
    joined: list[Edit] = []
    for edit in (trim(before, edit) for edit in edits):
        if not edit.new and edit.start == edit.end:
            continue
        if joined and first_line(starts, edit) <= last_line(starts, joined[-1]):
            previous = joined.pop()
            between = before[previous.end : edit.start]
            joined.append(Edit(previous.start, edit.end, previous.new + between + edit.new))
        else:
            joined.append(edit)
    return tuple(joined)


def first_line(starts: list[int], edit: Edit) -> int:
    """The first line, from 0, that the edit touches."""
    return line_of(starts, edit.start)


def last_line(starts: list[int], edit: Edit) -> int:
    """The line, from 0, after the last that the edit touches; `first_line` where whole lines are put in."""
    line = line_of(starts, edit.end)
    whole_lines = starts[line] == edit.end and (edit.start < edit.end or edit.new.endswith(("\n", "\r")))
    return line if whole_lines else line + 1
