"""From hits in a file to the regions worth showing: whole functions where they are short, else the lines around."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from agentic.context.evidence import Hit
from agentic.context.rank import FADING, Ranked
from agentic.ports.code_index import Symbol
from agentic.text import split_lines, strip_eol

MAX_LINES = 30
"""Of one region; a longer function is shown around the best line."""
_BEFORE, _AFTER = 4, 10
_HEAD = 12
"""Lines shown of a file that was named without a place in it."""
_MOVED = 400
"""Lines that a place may have moved by since it was indexed."""

_OF_IMPORT = 0.2
"""What a line that imports a name counts, of one that uses it."""
_IMPORT = re.compile(r"\s*(from\s+\S+\s+import|import|#\s*include|use|using|require|package|export\s+\*)\b")


@dataclass(frozen=True, slots=True)
class Region:
    """Lines of a file as the user sees it now. Lines count from 1; `line` is the one that matters most."""

    path: str
    first: int
    line: int
    lines: tuple[str, ...]
    score: float
    symbol: str = ""
    """What they belong to: `Class.method`; empty at the top level."""

    @property
    def last(self) -> int:
        return self.first + len(self.lines) - 1

    @property
    def place(self) -> str:
        """`path:first-last symbol`."""
        return f"{self.path}:{self.first}-{self.last}{f' {self.symbol}' if self.symbol else ''}"


def regions_of(file: Ranked, outline: Sequence[Symbol], text: str) -> list[Region]:
    """The file's regions, the best first; it has the file's score, and the others less.

    The outline and the hits may be older than `text`: their lines are found anew in it.
    """
    lines = [strip_eol(line) for line in split_lines(text.removeprefix("\ufeff"))]
    groups: dict[tuple[Symbol | None, int], list[tuple[Hit, int]]] = {}
    for hit in file.hits:
        if hit.line and (now := _now_at(hit, lines)):
            symbol = _around(hit.line, outline)
            groups.setdefault((symbol, 0 if symbol else now // MAX_LINES), []).append((hit, now))
    if not groups:
        return [Region(file.path, 1, 1, tuple(lines[:_HEAD]), file.score)] if lines else []
    strengths = {key: _strength(hits, lines) for key, hits in groups.items()}
    best = max(strengths.values())
    regions = [
        _region(file.path, symbol, groups[symbol, part], lines, file.score * strength / best)
        for (symbol, part), strength in strengths.items()
    ]
    return _apart(sorted(regions, key=lambda region: (-region.score, region.line)))


def _strength(hits: Sequence[tuple[Hit, int]], lines: Sequence[str]) -> float:
    points = (hit.points * (_OF_IMPORT if _IMPORT.match(lines[now - 1]) else 1.0) for hit, now in hits)
    return sum(each * FADING**position for position, each in enumerate(sorted(points, reverse=True)))


def _region(
    path: str, symbol: Symbol | None, hits: Sequence[tuple[Hit, int]], lines: Sequence[str], score: float
) -> Region:
    best, now = hits[0]
    first, last, name = max(1, now - _BEFORE), min(len(lines), now + _AFTER), ""
    if symbol is not None:
        name = f"{symbol.container}.{symbol.name}" if symbol.container else symbol.name
        moved = now - best.line
        begin, end = max(1, symbol.line + moved), min(len(lines), symbol.end_line + moved)
        first, last = (begin, end) if end - begin < MAX_LINES else (max(begin, first), min(end, last))
    return Region(path, first, now, tuple(lines[first - 1 : last]), score, name)


def _around(line: int, outline: Sequence[Symbol]) -> Symbol | None:
    """The innermost symbol that holds the line."""
    holding = [symbol for symbol in outline if symbol.line <= line <= symbol.end_line]
    return min(holding, key=lambda symbol: (symbol.end_line - symbol.line, symbol.line), default=None)


def _now_at(hit: Hit, lines: Sequence[str]) -> int | None:
    """Where the hit's line now stands: where it was, else the nearest line like it; None when it is gone."""
    if not hit.text.strip():
        return min(hit.line, len(lines))
    is_like = re.compile(rf"\b{re.escape(hit.text)}\b").search if hit.text.isidentifier() else hit.text.strip().__eq__
    for distance in range(_MOVED):
        for number in (hit.line - distance, hit.line + distance):
            if 1 <= number <= len(lines) and is_like(lines[number - 1].strip()):
                return number
    return None


def _apart(regions: Sequence[Region]) -> list[Region]:
    """Without those that overlap a better one."""
    kept: list[Region] = []
    for region in regions:
        if all(region.last < other.first or region.first > other.last for other in kept):
            kept.append(region)
    return kept
