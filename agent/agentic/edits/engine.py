"""The edit engine: from what a model asks for to a change, or to a refusal that makes its next call succeed. Pure.

Untouched lines keep their own ends, new lines take their neighbour's, and a byte order mark stays. What matches in
more than one place, or only nearly, is refused; a refusal of one edit is a refusal of all that came with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agentic.change import Change, Edit, Snapshot, apply_edits, minimal_edits
from agentic.edits.compose import Piece, by_lines, edits_of, splice
from agentic.edits.match import Match, find_matches
from agentic.edits.near import not_found
from agentic.edits.view import BOM, View
from agentic.errors import Refusal
from agentic.text import with_eol

_MAX_PLACES = 10


@dataclass(frozen=True, slots=True)
class Replacement:
    """Replace `old` by `new`: once, where it is unique, or everywhere."""

    old: str
    new: str
    replace_all: bool = False


def plan_edit(snapshot: Snapshot, old: str, new: str, replace_all: bool = False) -> Change | Refusal:
    """The change that replaces `old`. Refuses: not_found, not_unique, no_op, exists (empty `old`)."""
    return plan_edits(snapshot, [Replacement(old, new, replace_all)])


def plan_edits(snapshot: Snapshot, replacements: Sequence[Replacement]) -> Change | Refusal:
    """The change that makes the replacements one after the other, each on the text that the last one left.

    Refuses as `plan_edit` does. One that changes nothing is passed over if another changes something.
    """
    if not snapshot.exists:
        return _create(snapshot, replacements)
    text = snapshot.text
    pieces: list[Piece] = [range(len(text))]
    for number, replacement in enumerate(replacements, 1):
        planned = _replace(snapshot.path, text, replacement)
        if isinstance(planned, Refusal):
            return _numbered(planned, number) if len(replacements) > 1 else planned
        pieces = splice(pieces, planned)
        text = apply_edits(text, planned)
    return _change(snapshot, edits_of(pieces, len(snapshot.text)))


def plan_write(snapshot: Snapshot, content: str) -> Change | Refusal:
    """The change that makes `content` the whole text; the smallest one where there is a file. Refuses: no_op.

    Content that has only \\n keeps the ends of the file's lines; its final line end, or none, is taken as given.
    """
    if not snapshot.exists:
        return Change(snapshot.path, snapshot.version, "", (Edit(0, 0, content),))
    mark = BOM if snapshot.text.startswith(BOM) else ""
    content = content.removeprefix(mark)
    if "\r" in content:
        return _change(snapshot, minimal_edits(snapshot.text, mark + content))
    view = View.of(snapshot.text)
    return _change(snapshot, [view.edit(e.start, e.end, e.new) for e in minimal_edits(view.text, content)])


def _create(snapshot: Snapshot, replacements: Sequence[Replacement]) -> Change | Refusal:
    if len(replacements) == 1 and not replacements[0].old:
        return Change(snapshot.path, snapshot.version, "", (Edit(0, 0, replacements[0].new),))
    return Refusal("not_found", f"There is no file {snapshot.path}.", "Write it with write_file if it is to be made.")


def _replace(path: str, text: str, replacement: Replacement) -> list[Edit] | Refusal:
    """The edits of `text` for one replacement, ascending; none where it changes nothing."""
    view = View.of(text)
    old, new = (with_eol(part, "\n").removeprefix(BOM) for part in (replacement.old, replacement.new))
    if not old:
        if not text:
            return [Edit(0, 0, new)]
        step = "Put the lines next to the place into `old`, or replace the whole file with write_file."
        return Refusal("exists", f"{path} exists, and an empty `old` is only for a new file.", step)
    matches = find_matches(view.text, old, new)
    if not matches:
        return not_found(path, view.text, old, new)
    if len(matches) > 1 and not replacement.replace_all:
        return _not_unique(path, view, matches)
    edits: list[Edit] = []
    for match in _apart(matches):
        pieces = minimal_edits(view.text[match.start : match.end], match.new)
        edits += [view.edit(match.start + e.start, match.start + e.end, e.new) for e in pieces]
    return edits


def _apart(matches: list[Match]) -> list[Match]:
    """The matches from the first on, without those that overlap the one before."""
    chosen: list[Match] = []
    for match in matches:
        if not chosen or match.start >= chosen[-1].end:
            chosen.append(match)
    return chosen


def _not_unique(path: str, view: View, matches: list[Match]) -> Refusal:
    lines = [str(view.line(match.start) + 1) for match in matches]
    more = ", …" if len(lines) > _MAX_PLACES else ""
    return Refusal(
        "not_unique",
        f"`old` is in {path} {len(lines)} times, at lines {', '.join(lines[:_MAX_PLACES])}{more}.",
        "Add lines before or after it to say which one, or set replace_all.",
    )


def _change(snapshot: Snapshot, edits: Sequence[Edit]) -> Change | Refusal:
    joined = by_lines(snapshot.text, edits)
    if not joined:
        step = "If it is as it should be, go on; else send what it is to become."
        return Refusal("no_op", f"{snapshot.path} already reads so: the edit changes nothing.", step)
    return Change(snapshot.path, snapshot.version, snapshot.text, joined)


def _numbered(refusal: Refusal, number: int) -> Refusal:
    return Refusal(refusal.code, f"None was made, because of edit {number}: {refusal.message}", refusal.next_step)
