"""Where the old text stands in a file: three tiers, from exact to tolerant, each narrow.

1. exact: the same characters;
2. blanks: the same whole lines but for blanks at their ends;
3. indent: the same whole lines but for one indentation more, or less, on all of them; the new text is shifted along.

A tier is tried only where those before it found nothing. Nothing looser is ever applied: on real edits, looser
matches were wrong more often than right.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from agentic.text import line_starts

Tier = Literal["exact", "blanks", "indent"]
_Aligner = Callable[[list[str], list[str]], "Callable[[str], str] | None"]


@dataclass(frozen=True, slots=True)
class Match:
    """`text[start:end]` is what the old text means; `new` is what it is to become."""

    start: int
    end: int
    new: str
    tier: Tier = "exact"


def find_matches(text: str, old: str, new: str) -> list[Match]:
    """All places of the first tier that has any, ascending; they may overlap. Line ends are \\n, `old` is not empty."""
    exact = [Match(start, start + len(old), new) for start in _occurrences(text, old)]
    if exact or not old.strip():
        return exact
    return _line_matches(text, old, new, "blanks", _same_but_blanks) or _line_matches(
        text, old, new, "indent", _same_but_indent
    )


def _occurrences(text: str, old: str) -> Iterator[int]:
    position = text.find(old)
    while position >= 0:
        yield position
        position = text.find(old, position + 1)


def _line_matches(text: str, old: str, new: str, tier: Tier, align: _Aligner) -> list[Match]:
    """Runs of whole lines that `align` takes for the old ones. A final line end that both have is left alone."""
    if old.endswith("\n") and (new.endswith("\n") or not text.endswith("\n")):
        old, new = old[:-1], new.removesuffix("\n")
    lines, wanted, starts = text.split("\n"), old.split("\n"), line_starts(text)
    ends_with_eol = old.endswith("\n")
    if ends_with_eol:
        wanted.pop()
    matches: list[Match] = []
    anchor, key = next((index, line.strip()) for index, line in enumerate(wanted) if line.strip())
    for number, line in enumerate(lines):
        first = number - anchor
        if line.strip() != key or first < 0 or first + len(wanted) + ends_with_eol > len(lines):
            continue
        found = lines[first : first + len(wanted)]
        shift = align(found, wanted)
        if shift is not None:
            end = starts[first] + len("\n".join(found)) + ends_with_eol
            matches.append(Match(starts[first], end, _carry(found, wanted, new, shift), tier))
    return matches


def _same_but_blanks(found: list[str], wanted: list[str]) -> Callable[[str], str] | None:
    same = all(a.rstrip() == b.rstrip() for a, b in zip(found, wanted, strict=True))
    return str if same else None


def _same_but_indent(found: list[str], wanted: list[str]) -> Callable[[str], str] | None:
    """How new lines are shifted, or None where the lines do not differ by one indentation alone."""
    shifts: set[tuple[str, str]] = set()
    for a, b in zip(found, wanted, strict=True):
        if a.strip() != b.strip():
            return None
        if a.strip():
            shifts.add(_shift(_indent(a), _indent(b)))
    if len(shifts) != 1:
        return None
    more, less = shifts.pop()
    if more and less:
        return None
    return lambda line: more + line.removeprefix(less) if line.strip() else line


def _shift(found: str, wanted: str) -> tuple[str, str]:
    """What to put before a wanted line and what to take from it, so that it is indented as the found one is."""
    if found.endswith(wanted):
        return found[: len(found) - len(wanted)], ""
    if wanted.endswith(found):
        return "", wanted[: len(wanted) - len(found)]
    return found, wanted


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def _carry(found: list[str], wanted: list[str], new: str, shift: Callable[[str], str]) -> str:
    """The new text, with the file's own lines wherever the old and the new text have the same ones."""
    lines = new.split("\n")
    carried: list[str] = []
    for tag, i1, i2, j1, j2 in difflib.SequenceMatcher(None, wanted, lines, autojunk=False).get_opcodes():
        carried += found[i1:i2] if tag == "equal" else [shift(line) for line in lines[j1:j2]]
    return "\n".join(carried)
