"""Edits that follow each other, as edits of the text that they began with; and edits as a person reads them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from agentic.change import Edit, apply_edits, trim
from agentic.text import line_of, line_starts

Piece = str | range
"""A stretch of an edited text: new text, or the offsets of the original that it keeps."""


def splice(pieces: Sequence[Piece], edits: Iterable[Edit]) -> list[Piece]:
    """The pieces after ascending edits of the text that they make."""
    rest = list(reversed(pieces))
    spliced: list[Piece] = []
    position = 0
    for edit in edits:
        spliced += _take(rest, edit.start - position)
        _take(rest, edit.end - edit.start)
        spliced.append(edit.new)
        position = edit.end
    return spliced + rest[::-1]


def edits_of(pieces: Sequence[Piece], length: int) -> list[Edit]:
    """The edits of the original, of this length, that make the pieces."""
    edits: list[Edit] = []
    position, new = 0, ""
    for piece in (*pieces, range(length, length)):
        if isinstance(piece, str):
            new += piece
            continue
        if new or piece.start > position:
            edits.append(Edit(position, piece.start, new))
        position, new = piece.stop, ""
    return edits


def by_lines(before: str, edits: Iterable[Edit]) -> tuple[Edit, ...]:
    """The edits trimmed, those on the same or on neighbouring lines joined, those that change nothing dropped.

    So no two of them share a line, and a person can judge each by itself.
    """
    starts = line_starts(before)
    groups: list[list[Edit]] = []
    for edit in (trim(before, edit) for edit in edits):
        if not edit.new and edit.start == edit.end:
            continue
        if groups and first_line(starts, edit) <= last_line(starts, groups[-1][-1]):
            groups[-1].append(edit)
        else:
            groups.append([edit])
    return tuple(_joined(before, group) for group in groups)


def first_line(starts: list[int], edit: Edit) -> int:
    """The first line, from 0, that the edit touches."""
    return line_of(starts, edit.start)


def last_line(starts: list[int], edit: Edit) -> int:
    """The line, from 0, after the last that the edit touches; `first_line` where whole lines are put in."""
    line = line_of(starts, edit.end)
    whole_lines = starts[line] == edit.end and (edit.start < edit.end or edit.new.endswith(("\n", "\r")))
    return line if whole_lines else line + 1


def _take(rest: list[Piece], count: int) -> list[Piece]:
    """The next `count` characters off the end of a reversed list of pieces."""
    taken: list[Piece] = []
    while count > 0:
        piece = rest.pop()
        taken.append(piece[:count])
        if len(piece) > count:
            rest.append(piece[count:])
        count -= len(piece)
    return taken


def _joined(before: str, group: list[Edit]) -> Edit:
    start, end = group[0].start, group[-1].end
    moved = [Edit(edit.start - start, edit.end - start, edit.new) for edit in group]
    return Edit(start, end, apply_edits(before[start:end], moved))
