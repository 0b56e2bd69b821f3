"""Which files the hits speak for, best first. Pure.

A file's score is its best hit, with less and less for the others, and for words of the task in its path; then it is
multiplied by what kind of file it is and by whether the user has it open.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agentic.context.evidence import Hit
from agentic.context.terms import Terms, split_name, stem, weight_of

STEM_POINTS = 2.5
"""The file's name is words of the task; less where only some of them are."""
FOLDER_POINTS = 0.7
"""A folder above it is a word of the task."""
MORE_WORDS = 4.0
"""The file holds all words of the task, though not in one place."""
FADING = 0.35
"""What each further hit counts of the one before it."""
TESTS, DOCUMENTS, GENERATED = 0.45, 0.55, 0.3
"""What hits in such files are multiplied by, unless the task is about them."""
ACTIVE, OPEN = 1.4, 1.2

_TEST_PATH = re.compile(
    r"(^|/)(tests?|specs?|__tests__|testing|fixtures?)(/|$)|(^|/)(test_|conftest)|[._](test|spec)s?\.\w+$"
)
_DOCUMENT_PATH = re.compile(r"(^|/)(docs?|documentation|examples?)/|\.(md|mdx|rst|txt|adoc|org)$", re.IGNORECASE)
_GENERATED_PATH = re.compile(
    r"(^|/)(node_modules|vendor|third_party|dist|build|generated|gen|__snapshots__)/|\.(min\.\w+|lock|map|snap|svg|csv|tsv)"
    r"$|\.jsonl$|(_pb2|\.pb|\.g|\.generated)\.\w+$|(^|/)(package-lock\.json|go\.sum)$"
)
_ABOUT_TESTS = {"test", "tests", "testing", "spec", "specs", "pytest", "jest", "fixture", "fixtures"}
_ABOUT_DOCUMENTS = {"doc", "docs", "documentation", "readme", "changelog", "manual", "guide"}


@dataclass(frozen=True, slots=True)
class Ranked:
    """A file with its hits, the strongest first."""

    path: str
    score: float
    hits: tuple[Hit, ...]

    @property
    def is_named(self) -> bool:
        """Whether the task names it, or something in it."""
        return any(hit.firm for hit in self.hits)

    @property
    def holds_several(self) -> bool:
        """Whether it holds several words of the task, or what the task names."""
        return self.is_named or len(frozenset[str]().union(*(hit.words for hit in self.hits))) > 1


def rank(terms: Terms, hits: Iterable[Hit], open_files: Sequence[str] = ()) -> list[Ranked]:
    """The files, the best first; equal ones by their path."""
    by_path: defaultdict[str, list[Hit]] = defaultdict(list)
    for hit in hits:
        by_path[hit.path].append(hit)
    words = {stem(word): weight_of(word) for word in terms.words}
    ranked = [
        Ranked(path, (_evidence(found, words) + _path_points(path, words)) * _factor(path, terms, open_files), found)
        for path, found in ((path, _strongest_first(found)) for path, found in by_path.items())
    ]
    return sorted(ranked, key=lambda file: (-file.score, file.path))


def _strongest_first(hits: Iterable[Hit]) -> tuple[Hit, ...]:
    return tuple(sorted(hits, key=lambda hit: (-hit.points, hit.line)))


def _evidence(hits: Sequence[Hit], words: dict[str, float]) -> float:
    faded = sum(hit.points * FADING**position for position, hit in enumerate(hits))
    held = frozenset[str]().union(*(hit.words for hit in hits))
    return faded + MORE_WORDS * _share(held, words)


def _path_points(path: str, words: dict[str, float]) -> float:
    *folders, name = path.split("/")
    own = [stem(part) for part in split_name(name.partition(".")[0])]
    named = sum(words.get(part, 0.0) for part in own)
    above = sum(words.get(stem(part), 0.0) for folder in folders for part in split_name(folder))
    return STEM_POINTS * named / (len(own) or 1) + FOLDER_POINTS * min(above, 1.0)


def _share(held: frozenset[str], words: dict[str, float]) -> float:
    return sum(words.get(word, 0.0) for word in held) / (sum(words.values()) or 1.0)


def _factor(path: str, terms: Terms, open_files: Sequence[str]) -> float:
    factor = 1.0
    if not any(path.endswith(named) for named in terms.paths):
        words = set(terms.words)
        factor *= TESTS if _TEST_PATH.search(path) and not words & _ABOUT_TESTS else 1.0
        factor *= DOCUMENTS if _DOCUMENT_PATH.search(path) and not words & _ABOUT_DOCUMENTS else 1.0
        factor *= GENERATED if _GENERATED_PATH.search(path) else 1.0
    if path in open_files:
        factor *= ACTIVE if path == open_files[0] else OPEN
    return factor
