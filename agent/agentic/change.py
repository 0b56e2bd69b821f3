"""A change to one file: the text it was made against, and the smallest edits that turn it into the new text."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from agentic.text import split_lines

ABSENT = "absent"
"""The version of a file that does not exist."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A file as the user sees it, at one moment.

    `version` is opaque and changes whenever the text does: the editor's document version for open documents,
    a hash of the bytes for files on disk, `ABSENT` where there is none (then `text` is empty).
    """

    path: str
    """Workspace-relative, with forward slashes; prefixed with the folder's name when there are several folders."""
    text: str
    version: str
    open: bool = False
    """Whether an editor holds the document."""

    @property
    def exists(self) -> bool:
        return self.version != ABSENT


@dataclass(frozen=True, slots=True, order=True)
class Edit:
    """Replace `before[start:end]` by `new`. Offsets in code points, half open."""

    start: int
    end: int
    new: str


@dataclass(frozen=True, slots=True)
class Change:
    """Edits to one file, in ascending order and apart from each other, against `before` at `version`."""

    path: str
    version: str
    before: str
    edits: tuple[Edit, ...]

    @property
    def after(self) -> str:
        return apply_edits(self.before, self.edits)

    @property
    def creates(self) -> bool:
        return self.version == ABSENT

    def keep(self, indices: Iterable[int]) -> Change:
        """The same change with only the edits at these indices."""
        wanted = set(indices)
        return Change(self.path, self.version, self.before, tuple(e for i, e in enumerate(self.edits) if i in wanted))


@dataclass(frozen=True, slots=True)
class Applied:
    """The file now holds the change; `version` is its version since, `rebased` tells that the text had moved on."""

    path: str
    version: str
    text: str
    rebased: bool = False
    saved: bool = True
    """False when the text stands in an editor's unsaved document."""


Outcome = Literal["applied", "rejected", "conflict", "failed", "cancelled"]


def apply_edits(text: str, edits: Sequence[Edit]) -> str:
    """The text with ascending, disjoint edits applied."""
    parts: list[str] = []
    position = 0
    for edit in edits:
        parts += (text[position : edit.start], edit.new)
        position = edit.end
    parts.append(text[position:])
    return "".join(parts)


def minimal_edits(before: str, after: str) -> tuple[Edit, ...]:
    """The smallest run of edits by whole lines, each then trimmed to the characters that differ.

    Common lines at both ends are cut off first, so that a long file with a small change costs its length once.
    """
    if before == after:
        return ()
    old, new = split_lines(before), split_lines(after)
    head = _common(old, new)
    tail = _common(old[head:][::-1], new[head:][::-1])
    starts = _offsets(old)
    # Its heuristic for popular lines stays on: without it, thousands of blank lines take hours.
    matcher = difflib.SequenceMatcher(None, old[head : len(old) - tail], new[head : len(new) - tail])
    edits: list[Edit] = []
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag == "equal":
            continue
        for a, b, lines in _pieces(i1 + head, i2 + head, new[head + j1 : head + j2]):
            edit = trim(before, Edit(starts[a], starts[b], "".join(lines)))
            if edit.new or edit.start != edit.end:
                edits.append(edit)
    return tuple(edits)


def trim(before: str, edit: Edit) -> Edit:
    """The edit without the characters that it replaces by themselves; a line end \\r\\n is never cut in two."""
    old, new = before[edit.start : edit.end], edit.new
    head = _common(old, new)
    if splits_crlf(old, head) or splits_crlf(new, head):
        head -= 1
    tail = _common(old[head:][::-1], new[head:][::-1])
    if splits_crlf(old, len(old) - tail) or splits_crlf(new, len(new) - tail):
        tail -= 1
    return Edit(edit.start + head, edit.end - tail, new[head : len(new) - tail])


def unified_diff(path: str, before: str, after: str, context: int = 3) -> str:
    """The change as `diff -u` prints it. A last line without an end is marked as git marks it."""
    lines = difflib.unified_diff(split_lines(before), split_lines(after), f"a/{path}", f"b/{path}", n=context)
    return "".join(line if line.endswith(("\n", "\r")) else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _pieces(first: int, last: int, new: list[str]) -> Iterable[tuple[int, int, list[str]]]:
    """A replaced block line by line where both sides have as many lines, so that each changed line is its own edit."""
    if last - first != len(new):
        return [(first, last, new)]
    return [(first + i, first + i + 1, [line]) for i, line in enumerate(new)]


def splits_crlf(text: str, at: int) -> bool:
    """Whether a cut here would part a \\r from its \\n."""
    return 0 < at < len(text) and text[at - 1] == "\r" and text[at] == "\n"


def _common(a: Sequence[object], b: Sequence[object]) -> int:
    """How many items both begin with."""
    count = 0
    for x, y in zip(a, b, strict=False):
        if x != y:
            break
        count += 1
    return count


def _offsets(lines: Sequence[str]) -> list[int]:
    offsets = [0]
    for line in lines:
        offsets.append(offsets[-1] + len(line))
    return offsets
