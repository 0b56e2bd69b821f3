"""Globs over workspace paths.

A glob without a slash is matched against names (`test_*`), one with a slash against whole paths; `*` stays within one
component, `**` spans any number of them, `{a,b}` is either. The time is bounded by pattern times path.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Sequence
from typing import Any

_MAX_BRANCHES = 64

_Component = Callable[[str], Any] | None
"""A test of one component; None stands for `**`."""


def matcher(pattern: str) -> Callable[[str], bool]:
    """A function that tells whether a path matches."""
    branches = [_compile(branch) for branch in _branches(pattern.replace("\\", "/").removeprefix("./"))]

    def matches(path: str) -> bool:
        parts = path.split("/")
        return any(_fits(branch, parts) for branch in branches)

    return matches


def _compile(pattern: str) -> list[_Component]:
    parts = pattern.strip("/").split("/")
    if len(parts) == 1 and not pattern.startswith("/"):
        parts = ["**", *parts]
    return [None if part == "**" else re.compile(fnmatch.translate(part)).match for part in parts]


def _fits(pattern: Sequence[_Component], parts: Sequence[str]) -> bool:
    """The classical matching of wildcards: on a mismatch go back to the last `**` and let it take one more."""
    p = i = 0
    star, taken = -1, 0
    while i < len(parts):
        component = pattern[p] if p < len(pattern) else None
        if p < len(pattern) and component is None:
            star, taken = p, i
            p += 1
        elif component is not None and component(parts[i]):
            p, i = p + 1, i + 1
        elif star >= 0:
            taken += 1
            p, i = star + 1, taken
        else:
            return False
    return all(component is None for component in pattern[p:])


def _branches(pattern: str) -> list[str]:
    """The patterns that `{a,b}` stands for; braces without a comma stand for themselves."""
    done: list[str] = []
    waiting = [pattern]
    while waiting and len(done) + len(waiting) <= _MAX_BRANCHES:
        current = waiting.pop()
        match = re.search(r"\{([^{}]*,[^{}]*)\}", current)
        if match is None:
            done.append(current)
        else:
            waiting += [current[: match.start()] + choice + current[match.end() :] for choice in match[1].split(",")]
    return done + waiting
