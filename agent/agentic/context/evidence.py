"""Reasons to look at places of the workspace, for the terms of a task: from paths, symbols, exact words, full text.

All sources are asked at once; one that has not answered in time is left out, and none can fail the others.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agentic.context.in_time import in_time
from agentic.context.terms import Terms, forms, split_name, stem, weight_of
from agentic.errors import Refusal
from agentic.ports.code_index import CodeIndex, Found, Symbol
from agentic.ports.workspace import Match, Workspace

SPOT_POINTS = 12.0
"""A line that the task names, as a stack trace does."""
PATH_POINTS = 9.0
"""A file that the task names."""
NAME_POINTS = 7.0
"""What defines an identifier of the task; divided by the root of how many do."""
PHRASE_POINTS = 6.0
"""A line with a quoted text; divided by the root of how many files have it."""
TEXT_POINTS = 6.0
"""Lines with all words of the task, the rare ones counting most; less by the square for those that are missing."""
USE_POINTS = 3.5
"""A line with an identifier; divided by the root of how many files have it."""
WORD_POINTS = 2.5
"""What defines a word of the prose as its name; divided by the root of how many do."""
HEADING = 0.4
"""What a heading of a document counts, of a definition in code."""

_FOUND = 50
_SYMBOLS = 60
_MATCHES = 200
_WORDS = 24
_ASKED = 32
"""Words that full text is asked for, their other forms included."""
_ATTEMPTS = 3
_SEVERAL = 1.2
"""The weight of words that a place must hold at least: more than one word's, where the task has more."""
_FEW = 3
"""Of a task of fewer words even all of them do not say as much."""
_UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


@dataclass(frozen=True, slots=True)
class Hit:
    """Why a line may matter. Line 0 stands for the whole file."""

    path: str
    line: int
    points: float
    text: str = ""
    """The line as it was found, or the name that it defines; empty when neither is known."""
    words: frozenset[str] = frozenset()
    """Stems of the task's words that stand there."""
    firm: bool = False
    """Whether the task names it: by its path, its name or its very text."""


async def gather(terms: Terms, workspace: Workspace, index: CodeIndex, seconds: float) -> list[Hit]:
    """What the sources know within `seconds`. Never raises but for cancellation."""
    words = terms.words[:_WORDS]
    sources = [
        _named(terms, workspace),
        _named_in_part(terms, workspace),
        _defined({name.lower(): NAME_POINTS for name in terms.names if len(name) > 2}, index, firm=True),
        _defined({word: WORD_POINTS * weight_of(word) for word in words if len(word) > 3}, index, firm=False),
        _described(terms, index),
        _written(terms.phrases, PHRASE_POINTS, workspace, whole_words=False),
        _written(terms.names, USE_POINTS, workspace, whole_words=True),
    ]
    return await in_time(sources, seconds)


async def _named(terms: Terms, workspace: Workspace) -> list[Hit]:
    """Files and lines that the task names, where they exist."""
    real = {path: await _existing(path, workspace) for path in terms.paths}
    return _of_paths(terms, real)


async def _named_in_part(terms: Terms, workspace: Workspace) -> list[Hit]:
    """The same for file names and ends of paths, which takes a walk over the folders; only where there is one such."""
    real = dict.fromkeys(terms.paths, "")
    for path in terms.paths:
        ending = "/".join(_parts(path)[-2:])
        if ending and not await _existing(path, workspace):
            found = await workspace.find(f"**/{ending}", 2)
            real[path] = found[0] if len(found) == 1 else ""
    return _of_paths(terms, real)


def _of_paths(terms: Terms, real: Mapping[str, str]) -> list[Hit]:
    hits = [Hit(real[path], 0, PATH_POINTS, firm=True) for path in terms.paths if real[path]]
    for position, spot in enumerate(terms.spots):
        if path := real.get(spot.path, ""):
            hits.append(Hit(path, spot.line, SPOT_POINTS / math.sqrt(position + 1), firm=True))
    return hits


async def _existing(path: str, workspace: Workspace) -> str:
    """The workspace's path for a path as it is written, which may begin above the workspace."""
    parts = _parts(path)
    for start in range(len(parts)):
        found = await workspace.read("/".join(parts[start:]))
        if not isinstance(found, Refusal) and found.exists:
            return found.path
    return ""


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".", "..", "~")]


async def _defined(names: Mapping[str, float], index: CodeIndex, *, firm: bool) -> list[Hit]:
    """What defines the names, which are in lower case, with their points."""
    symbols = await index.symbols(list(names), _SYMBOLS) if names else []
    same: defaultdict[str, dict[Symbol, None]] = defaultdict(dict)
    for symbol in symbols:
        if symbol.name.lower() in names:
            same[symbol.name.lower()][symbol] = None
    return [
        Hit(
            symbol.path,
            symbol.line,
            names[name] / math.sqrt(len(definitions)) * (HEADING if symbol.kind == "heading" else 1.0),
            symbol.name,
            _stems(symbol.name),
            firm,
        )
        for name, definitions in same.items()
        for symbol in definitions
    ]


async def _written(texts: Sequence[str], points: float, workspace: Workspace, *, whole_words: bool) -> list[Hit]:
    """Lines that hold one of the texts exactly. What stands everywhere says nothing, and is left out."""
    for _ in range(_ATTEMPTS):
        found = await _search(texts, workspace, whole_words=whole_words) if texts else []
        holding = {text: [match for match in found if text in match.text] for text in texts}
        if len(found) < _MATCHES:
            return [hit for text, matches in holding.items() for hit in _uses(text, matches, points)]
        texts = [text for text in texts if len(holding[text]) < _MATCHES / len(texts)]
    return []


async def _search(texts: Sequence[str], workspace: Workspace, *, whole_words: bool) -> list[Match]:
    either = "|".join(re.escape(text) for text in texts)
    found = await workspace.search(rf"\b(?:{either})\b" if whole_words else either, "", _MATCHES)
    return [] if isinstance(found, Refusal) else found


def _uses(text: str, matches: Sequence[Match], points: float) -> list[Hit]:
    each = points / math.sqrt(len({match.path for match in matches}) or 1)
    return [Hit(match.path, match.line, each, match.text, _stems(text), firm=True) for match in matches]


async def _described(terms: Terms, index: CodeIndex) -> list[Hit]:
    """Lines that hold many words of the task."""
    ranked = sorted(terms.words, key=lambda word: -weight_of(word))
    asked = dict.fromkeys([*ranked[:_WORDS], *(form for word in ranked for form in forms(word))])
    found = await index.text(list(asked)[:_ASKED], _FOUND) if ranked else []
    return text_hits(terms.words, found)


def text_hits(words: Sequence[str], found: Sequence[Found]) -> list[Hit]:
    """Hits for what full text found, by the share of the words that stand there; the rare ones count most.

    How rare a word is, is judged by how many of the places found hold it, and how often it stands in any task.
    """
    stems = {stem(word): weight_of(word) for word in words}
    held = [_held(f"{place.path}\n{place.text}", stems) for place in found]
    places = Counter(word for each in held for word in each)
    worth = {word: weight * math.log1p(len(found) / (places[word] or 1)) for word, weight in stems.items()}
    every = sum(worth.values()) * max(1.0, _FEW / (len(worth) or 1)) or 1.0
    enough = min(_SEVERAL, sum(stems.values()))
    hits: list[Hit] = []
    for place, each in zip(found, held, strict=True):
        if sum(stems[word] for word in each) >= enough:
            line, text = _best_line(place, worth) if place.text else (0, "")
            share = sum(worth[word] for word in each) / every
            hits.append(Hit(place.path, line, TEXT_POINTS * share, text, frozenset(each)))
    return hits


def _best_line(place: Found, worth: Mapping[str, float]) -> tuple[int, str]:
    """The line of the place that, with those near it, holds the most."""
    lines = place.text.split("\n")
    held = [_stems(line) & worth.keys() for line in lines]
    scores = [
        sum(worth[word] for word in each) + sum(worth[word] for word in each.union(*held[max(0, n - 2) : n + 6]))
        for n, each in enumerate(held)
    ]
    best = scores.index(max(scores))
    return place.line + best, lines[best]


def _held(text: str, stems: Mapping[str, float]) -> frozenset[str]:
    """Which of the words stand in the text; those of scripts without spaces as parts of longer runs."""
    unspaced = (word for word in stems if not word.isascii() and _UNSPACED.match(word))
    return (_stems(text) & stems.keys()).union(word for word in unspaced if _mostly_in(word, text))


def _mostly_in(word: str, text: str) -> bool:
    pairs = [word[start : start + 2] for start in range(max(1, len(word) - 1))]
    return sum(pair in text for pair in pairs) * 2 >= len(pairs)


def _stems(text: str) -> frozenset[str]:
    return frozenset(stem(part) for part in split_name(text))
