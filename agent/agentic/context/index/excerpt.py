"""The lines of a piece of text that answer a question best."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from agentic.context.index.words import words_of

MAX_LINES = 12
_MAX_LINE = 2_000
"""Characters of a line that are looked at."""
_AGAIN = 0.05
"""What a line with words that other lines have already is worth, as a share of them."""


def best_lines(lines: Sequence[str], weights: Mapping[str, float]) -> tuple[int, int, float] | None:
    """(first, last, score) of the lines, at most 12, that hold the most; None when none holds any of the words.

    A word counts by its weight, once; standing there again adds a little.
    """
    any_word = re.compile("|".join(map(re.escape, weights)))
    told = [(index, line[:_MAX_LINE]) for index, line in enumerate(lines) if any_word.search(line[:_MAX_LINE].lower())]
    hits = [(index, weights.keys() & words_of(line)) for index, line in told]
    hits = [(index, words) for index, words in hits if words]
    best: tuple[int, int, float] | None = None
    for start, (first, _) in enumerate(hits):
        inside = [(index, words) for index, words in hits[start:] if index < first + MAX_LINES]
        score = _score([words for _, words in inside], weights)
        if best is None or score > best[2]:
            best = (first, inside[-1][0], score)
    return best


def _score(lines: list[set[str]], weights: Mapping[str, float]) -> float:
    once = sum(weights[word] for word in set[str]().union(*lines))
    every = sum(weights[word] for words in lines for word in words)
    return once + _AGAIN * (every - once)
