"""The places of a change, for a person: lines before, lines after."""

from __future__ import annotations

from agentic.change import Change, Edit, trim
from agentic.edits.compose import first_line, last_line
from agentic.events import Hunk
from agentic.text import first_eol, line_starts, split_lines, strip_eol, with_eol


def hunks_of(item: str, change: Change) -> list[Hunk]:
    """One hunk for each edit, in order; hunk i is `change.edits[i]`."""
    starts = line_starts(change.before)
    hunks: list[Hunk] = []
    moved = 0
    for index, edit in enumerate(change.edits):
        first, last = first_line(starts, edit), last_line(starts, edit)
        start, end = _span(change.before, starts, first, last)
        old = split_lines(change.before[start:end])
        new = split_lines(change.before[start : edit.start] + edit.new + change.before[edit.end : end])
        last = first + len(old)
        head = f"@@ -{_range(first, len(old))} +{_range(first + moved, len(new))} @@\n"
        moved += len(new) - len(old)
        hunks.append(Hunk(f"{item}/h{index}", first + 1, last + 1, head + _marked("-", old) + _marked("+", new)))
    return hunks


def amended(change: Change, hunk: Hunk, text: str) -> list[Edit]:
    """The edit that puts `text` in the place of the hunk's lines; none where that is what stands there.

    Its lines end as the file's do, and the last one ends if that of the hunk did.
    """
    starts = line_starts(change.before)
    start, end = _span(change.before, starts, hunk.start_line - 1, hunk.end_line - 1)
    eol = first_eol(change.before)
    new = with_eol(text, eol)
    if new and strip_eol(new) == new and end > 0 and (end < len(change.before) or change.before.endswith(eol)):
        new += eol
    edit = trim(change.before, Edit(start, end, new))
    return [edit] if edit.new or edit.start < edit.end or change.creates else []


def _span(text: str, starts: list[int], first: int, last: int) -> tuple[int, int]:
    return starts[first], starts[last] if last < len(starts) else len(text)


def _range(first: int, count: int) -> str:
    return f"{first + 1 if count else first},{count}"


def _marked(mark: str, lines: list[str]) -> str:
    return "".join(
        f"{mark}{line}" if line.endswith(("\n", "\r")) else f"{mark}{line}\n\\ No newline at end of file\n"
        for line in lines
    )
