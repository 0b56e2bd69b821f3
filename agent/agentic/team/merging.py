"""The work of several agents as one change for each file: a three-way merge by lines over the text they began with.

Pure, and the same for the same input: files in the order of their paths, agents in the order given, and of two that
changed the same lines in different ways the first is kept.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from agentic.change import Change, Edit, apply_edits, minimal_edits, unified_diff
from agentic.errors import Refusal
from agentic.merge import merge, place
from agentic.ports.team import Conflict
from agentic.text import line_of, line_starts

USER = "user"
"""Who a conflict keeps where the user's own typing stands in the way of an agent's edit."""


@dataclass(frozen=True, slots=True)
class Joined:
    """One change for each file, against the newest text that an agent saw, and what could not be joined."""

    changes: tuple[Change, ...]
    conflicts: tuple[Conflict, ...] = ()


def join(
    results: Sequence[tuple[str, Sequence[Change]]], seeds: Mapping[str, Sequence[Change]] | None = None
) -> Joined:
    """Join what agents changed: by name, one change for each file, each against the text that the agent saw.

    `seeds` are the changes that an agent's view began with, by its name: its own changes contain them, and are joined
    as what it made of that text. What two agents did alike is done once. A hunk that touches the lines of an earlier
    one in another way is left out and told in a conflict, one for each file and two agents; the other hunks of the
    same agent go in.
    """
    parts: dict[str, list[tuple[str, Change]]] = {}
    for name, changes in results:
        for change in changes:
            if change.edits or change.creates:
                parts.setdefault(change.path, []).append((name, change))
    began = {name: {change.path: change for change in changes} for name, changes in (seeds or {}).items()}
    joined: list[Change] = []
    conflicts: list[Conflict] = []
    for path in sorted(parts):
        file = _JoinedFile.over(_newest([change for _, change in parts[path]]))
        for name, change in parts[path]:
            file.add(name, change, began.get(name, {}).get(path))
        joined += file.change(parts[path])
        conflicts += file.conflicts(path)
    return Joined(tuple(joined), tuple(conflicts))


def _newest(changes: Sequence[Change]) -> Change:
    """The change whose base is the newest: numbers tell; elsewhere the last one that saw a file."""
    existing = [change for change in changes if not change.creates] or list(changes)
    if all(change.version.isdigit() for change in existing):
        return max(existing, key=lambda change: int(change.version))
    return existing[-1]


@dataclass(frozen=True, slots=True)
class _Left:
    """What was left out: `text` would stand at `start:end` of the joined text instead of what `kept` wrote there."""

    start: int
    end: int
    text: str
    kept: str
    by: str


@dataclass(slots=True)
class _JoinedFile:
    """One file on its way: `edits` of the base, each of whole lines and with its agent, make `text`."""

    base: str
    version: str
    text: str
    edits: dict[Edit, str] = field(default_factory=dict[Edit, str])
    left: list[_Left] = field(default_factory=list[_Left])

    @classmethod
    def over(cls, change: Change) -> _JoinedFile:
        return cls(change.before, change.version, change.before)

    def add(self, name: str, change: Change, seed: Change | None) -> None:
        """Put in what this agent did, as far as it goes with what is there."""
        edits = self._rebased(name, change)
        began = self._began(seed)
        if began == self.base:
            made, mine = self.edits, _by_lines(self.base, edits)
        else:
            after = apply_edits(self.base, edits)
            made = self._owned(began, self.edits)
            mine = _by_lines(began, minimal_edits(began, after))
        woven, clashes = _weave(made, mine, name)
        text = apply_edits(began, sorted(woven))
        self._move_to(text)
        self.left += _left_out(began, woven, clashes, name)
        self.edits = woven if began == self.base else self._owned(self.base, {**self.edits, **woven})

    def change(self, parts: Sequence[tuple[str, Change]]) -> list[Change]:
        """What the base is to become; nothing where it stays as it is."""
        if len(parts) == 1:
            return [parts[0][1]]
        change = Change(parts[0][1].path, self.version, self.base, minimal_edits(self.base, self.text))
        return [change] if change.edits or change.creates else []

    def conflicts(self, path: str) -> list[Conflict]:
        """What was left out: one conflict for each two of whom one was kept and the other left."""
        pairs: dict[tuple[str, str], list[Edit]] = {}
        for one in self.left:
            pairs.setdefault((one.kept, one.by), []).append(Edit(one.start, one.end, one.text))
        for edits in pairs.values():
            edits.sort()
        starts = line_starts(self.text)
        return [
            Conflict(path, line_of(starts, edits[0].start) + 1, kept, left, unified_diff(path, self.text, text))
            for (kept, left), edits in pairs.items()
            if (text := apply_edits(self.text, edits)) != self.text
        ]

    def _rebased(self, name: str, change: Change) -> Sequence[Edit]:
        """The agent's edits against the base; what stands where the user typed meanwhile is left out."""
        if change.before == self.base:
            return change.edits
        if change.creates:
            if change.after != self.base:
                self.left.append(_Left(0, len(self.text), change.after, USER, name))
            return ()
        made = sorted(self.edits)
        placed = place(change.before, change.edits, self.base)
        for one in placed:
            if one.state == "conflict":
                start = _moved(one.start, made, past=True)
                end = max(start, _moved(one.end, made, past=False))
                self.left.append(_Left(start, end, one.new, USER, name))
        return [one.edit for one in placed if one.state == "pending"]

    def _began(self, seed: Change | None) -> str:
        """The text that the agent's view began with, had it been made from the base."""
        if seed is None or (seed.creates and self.base):
            return self.base
        text = merge(seed.before, seed.edits, self.base)
        return self.base if isinstance(text, Refusal) else text

    def _owned(self, base: str, known: Mapping[Edit, str]) -> dict[Edit, str]:
        """What turns `base` into the joined text, by whole lines, with the agent that first wrote the like of it."""
        first = next(iter(known.values()), USER)
        return {
            edit: next((name for other, name in known.items() if edit.new and edit.new in other.new), first)
            for edit in _by_lines(base, minimal_edits(base, self.text))
        }

    def _move_to(self, text: str) -> None:
        """Take the new text; what was left out before stands at the same words as it did."""
        edits = minimal_edits(self.text, text) if self.left else ()
        for index, one in enumerate(self.left):
            start = _moved(one.start, edits, past=True)
            end = max(start, _moved(one.end, edits, past=False))
            self.left[index] = replace(one, start=start, end=end)
        self.text = text


@dataclass(frozen=True, slots=True)
class _Clash:
    """An edit that was left out, and those that it goes against."""

    edit: Edit
    others: tuple[Edit, ...]

    @property
    def start(self) -> int:
        return min(edit.start for edit in (self.edit, *self.others))

    @property
    def end(self) -> int:
        return max(edit.end for edit in (self.edit, *self.others))


def _weave(made: Mapping[Edit, str], mine: Sequence[Edit], name: str) -> tuple[dict[Edit, str], list[_Clash]]:
    """The edits made so far with mine, and those of mine that go against one of them. All are of whole lines."""
    woven = dict(made)
    there = sorted(made)
    ends = [edit.end for edit in there]
    clashes: list[_Clash] = []
    for edit in mine:
        others = [other for other in _at(there, ends, edit) if _clash(edit, other)]
        if edit in others:
            continue
        if not others:
            woven[edit] = name
        elif len(others) == 1 and _holds(edit, others[0]):
            woven[edit] = woven.pop(others[0])
        elif len(others) > 1 or not _holds(others[0], edit):
            clashes.append(_Clash(edit, tuple(others)))
    return woven, clashes


def _at(there: Sequence[Edit], ends: Sequence[int], edit: Edit) -> Iterable[Edit]:
    """The edits that end where this one begins or later, up to where it ends."""
    for other in there[bisect_left(ends, edit.start) :]:
        if other.start > edit.end:
            return
        yield other


def _clash(a: Edit, b: Edit) -> bool:
    """Whether two edits share a line, or put lines in at one place; lines put in at another's border are apart."""
    if a.start == a.end and b.start == b.end:
        return a.start == b.start
    return a.start < b.end and b.start < a.end


def _holds(longer: Edit, shorter: Edit) -> bool:
    """Whether one edit does all that the other does, and puts in more before or after it."""
    if (longer.start, longer.end) != (shorter.start, shorter.end) or not shorter.new.endswith(("\n", "\r")):
        return False
    return longer.new.startswith(shorter.new) or longer.new.endswith("\n" + shorter.new)


def _left_out(base: str, woven: Mapping[Edit, str], clashes: Sequence[_Clash], name: str) -> list[_Left]:
    """What was left out, in the offsets of the woven text; clashes that share lines are one."""
    groups: list[list[_Clash]] = []
    for clash in clashes:
        if groups and clash.start < max(one.end for one in groups[-1]):
            groups[-1].append(clash)
        else:
            groups.append([clash])
    made = sorted(woven)
    left: list[_Left] = []
    for group in groups:
        start, end = min(one.start for one in group), max(one.end for one in group)
        others = sorted({other for one in group for other in one.others})
        at = _moved(start, made, past=start < end)
        kept = _part(base, start, end, others)
        text = _part(base, start, end, [one.edit for one in group])
        left.append(_Left(at, at + len(kept), text, woven[others[0]], name))
    return left


def _part(base: str, start: int, end: int, edits: Iterable[Edit]) -> str:
    """A stretch of the base with the edits inside it made."""
    return apply_edits(base[start:end], [Edit(edit.start - start, edit.end - start, edit.new) for edit in edits])


def _moved(offset: int, edits: Sequence[Edit], *, past: bool) -> int:
    """Where an offset of a text stands after these edits of it; behind what is put in right there if `past`."""
    moved = offset
    for edit in edits:
        if edit.start > offset or (edit.start == offset and not (past and edit.end == offset)):
            break
        moved += len(edit.new) - (min(edit.end, offset) - edit.start)
    return moved


def _by_lines(base: str, edits: Iterable[Edit]) -> list[Edit]:
    """The edits widened to whole lines; those that share a line are joined."""
    starts = line_starts(base)
    raw: list[Edit] = []
    whole: list[Edit] = []
    for edit in (edit for edit in edits if edit.new or edit.start < edit.end):
        raw.append(edit)
        if whole and starts[line_of(starts, edit.start)] < whole[-1].end:
            whole.pop()
            first = raw[-2]
            raw[-2:] = [Edit(first.start, edit.end, first.new + base[first.end : edit.start] + edit.new)]
        whole.append(_whole_lines(base, starts, raw[-1]))
    return whole


def _whole_lines(base: str, starts: list[int], edit: Edit) -> Edit:
    """The same edit from the start of a line to the start of another, or to the end of the text."""
    start = starts[line_of(starts, edit.start)]
    new = base[start : edit.start] + edit.new
    last = line_of(starts, edit.end)
    if starts[last] == edit.end and (not new or new.endswith(("\n", "\r"))):
        return Edit(start, edit.end, new)
    end = starts[last + 1] if last + 1 < len(starts) else len(base)
    return Edit(start, end, new + base[edit.end : end])
