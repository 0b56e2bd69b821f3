"""What counts as a word: identifiers whole and in their parts, pairs of characters where no spaces part words."""

from __future__ import annotations

import re
from collections.abc import Iterable

MAX_WORD = 64
"""A longer run of characters is data."""
_CACHED = 200_000
_RUN = re.compile(r"\w+")
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]+")

_known: dict[str, tuple[str, ...]] = {}


def words_of(text: str) -> set[str]:
    """The words of a text, in small letters: `getUserName` is `getusername`, `get`, `user` and `name`."""
    found: set[str] = set()
    for run in set(_RUN.findall(text)):
        words = _known.get(run)
        found.update(words_in(run) if words is None else words)
    return found


def words_in(run: str) -> tuple[str, ...]:
    """The words of one run of letters, digits and underscores; the whole comes first. None for what is data."""
    if len(_known) > _CACHED:
        _known.clear()
    words = _known[run] = tuple(_split(run))
    return words


def query_words(texts: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """What to look for: whole words, each with the parts that may stand for it where it stands nowhere."""
    found = [words_in(run) for text in texts for run in _RUN.findall(text)]
    return {words[0]: words[1:] for words in found if words}


def _split(run: str) -> Iterable[str]:
    if not 2 <= len(run) <= MAX_WORD or (run.isdigit() and len(run) > 8):
        return () if run.isascii() or len(run) > MAX_WORD else (run.lower(),)
    whole = run.lower()
    if run.isascii():
        parts = (part.lower() for part in _PART.findall(run) if len(part) > 1)
    else:
        parts = (piece[i : i + 2] for piece in _UNSPACED.findall(whole) for i in range(len(piece) - 1))
    return dict.fromkeys((whole, *parts))
