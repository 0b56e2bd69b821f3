"""What a file holds instead of the text that was not found, so that the next call can be right."""

from __future__ import annotations

import difflib
from collections import Counter

from agentic.errors import Refusal
from agentic.text import line_of, line_starts

_CONTEXT = 2
_MAX_LINES = 30
_MAX_CHARS = 300
_MAX_COMPARED = 5000
_MIN_CHARS = 8
"""Less than this stands in many files by chance."""


def not_found(path: str, text: str, old: str, new: str) -> Refusal:
    """That `old` is not in `text`: whether `new` is there already, else the closest lines and where they differ."""
    there = _already_there(text, old, new)
    if there:
        step = "If that is the place, nothing is left to do here; go on."
        return Refusal("not_found", f"`old` is not in {path}, but the new text is already at {there}.", step)
    lines, wanted = text.split("\n"), old.strip("\n").split("\n")
    first = _closest(lines, wanted)
    if first is None:
        step = "Read the file and copy `old` from what it holds now."
        return Refusal("not_found", f"`old` is not in {path}, nor anything like it.", step)
    last = min(len(lines), first + len(wanted))
    shown = range(max(0, first - _CONTEXT), min(len(lines), last + _CONTEXT))[:_MAX_LINES]
    excerpt = "\n".join(f"{number + 1}\t{lines[number][:_MAX_CHARS]}" for number in shown)
    message = f"`old` is not in {path}. In the closest lines, {_difference(lines, wanted, first)}."
    step = f"If this is the place, send `old` exactly as it stands here, without the numbers:\n{excerpt}"
    return Refusal("not_found", message, step)


def _already_there(text: str, old: str, new: str) -> str:
    if len(new.strip()) < _MIN_CHARS or new in old or text.count(new) != 1:
        return ""
    starts, start = line_starts(text), text.index(new)
    first, last = line_of(starts, start) + 1, line_of(starts, start + len(new.rstrip("\n")) - 1) + 1
    return f"line {first}" if first == last else f"lines {first}–{last}"


def _closest(lines: list[str], wanted: list[str]) -> int | None:
    """Where the wanted lines would begin if most of them stood where their likes stand."""
    places: dict[str, list[int]] = {}
    for number, line in enumerate(lines):
        places.setdefault(line.strip(), []).append(number)
    votes: Counter[int] = Counter()
    for index, line in enumerate(wanted):
        same = places.get(line.strip(), []) if line.strip() else []
        for number in same[:_MAX_COMPARED]:
            votes[number - index] += len(line.strip())
    if votes:
        return max(0, max(votes, key=lambda first: (votes[first], -first)))
    return _similar(list(places)[:_MAX_COMPARED], places, wanted)


def _similar(candidates: list[str], places: dict[str, list[int]], wanted: list[str]) -> int | None:
    index, longest = max(enumerate(wanted), key=lambda item: len(item[1].strip()))
    key = longest.strip()[:_MAX_CHARS]
    near = difflib.get_close_matches(key, [c for c in candidates if c and len(c) <= _MAX_CHARS], 1, 0.6)
    return max(0, places[near[0]][0] - index) if near else None


def _difference(lines: list[str], wanted: list[str], first: int) -> str:
    for index, line in enumerate(wanted):
        number = first + index
        if number >= len(lines):
            return f"the file ends at line {len(lines)}, before line {index + 1} of `old`"
        if lines[number] != line:
            have, want = lines[number][:_MAX_CHARS], line[:_MAX_CHARS]
            return f"line {number + 1} is {have!r} where `old` has {want!r}"
    return "all is the same but for blank lines around `old`"
