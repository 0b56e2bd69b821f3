"""What is wrong in files, who says so, and how the model reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Severity = Literal["error", "warning", "information", "hint"]

MAX_PROBLEMS = 100
MAX_MESSAGE = 500
"""Characters of one problem's message that are shown."""
MAX_NAMES = 20
"""File names in one sentence."""

_ORDER: tuple[Severity, ...] = ("error", "warning", "information", "hint")


@dataclass(frozen=True, slots=True)
class Problem:
    """What a language server, a compiler or a parser says about a place; lines and columns count from 1."""

    path: str
    line: int
    message: str
    severity: Severity = "error"
    source: str = ""
    column: int = 1

    def __str__(self) -> str:
        words = " ".join(self.message.split())
        message = words if len(words) <= MAX_MESSAGE else f"{words[:MAX_MESSAGE]}…"
        source = f" ({self.source})" if self.source else ""
        return f"{self.path}:{self.line}:{self.column}: {self.severity}: {message}{source}"


@dataclass(frozen=True, slots=True)
class Problems:
    """What was found, and where nothing was. Paths are workspace-relative."""

    found: Sequence[Problem] = ()
    checked: Mapping[str, str] = field(default_factory=dict[str, str])
    """Each file that somebody looked at, clean ones too, and who that was: `the editor`, `a syntax check`."""
    unknown: Sequence[str] = ()
    """Files that were asked for and of which nobody can tell anything."""

    def __add__(self, other: Problems) -> Problems:
        unknown = dict.fromkeys((*self.unknown, *other.unknown))
        return Problems((*self.found, *other.found), {**self.checked, **other.checked}, tuple(unknown))


def report(problems: Problems) -> str:
    """One line for each problem, errors first, at most `MAX_PROBLEMS`; then what is clean, and what nobody knows."""
    ordered = sorted(problems.found, key=lambda one: (_ORDER.index(one.severity), one.path, one.line, one.column))
    lines = [str(problem) for problem in ordered[:MAX_PROBLEMS]]
    if len(ordered) > MAX_PROBLEMS:
        lines.append(f"[{len(ordered) - MAX_PROBLEMS} more are not shown: name fewer paths.]")
    lines += _clean(problems)
    if problems.unknown:
        lines.append(f"Nobody here can tell of {_names(problems.unknown)}. Run the project's own checks on them.")
    return "\n".join(lines) or "No file is open or was changed: name the paths to look at."


def _clean(problems: Problems) -> list[str]:
    """A sentence for each who looked, of the files in which they found nothing."""
    wrong = {problem.path for problem in problems.found}
    by: dict[str, list[str]] = {}
    for path, who in sorted(problems.checked.items()):
        if path not in wrong:
            by.setdefault(who, []).append(path)
    return [f"No problems are known in {_names(paths)}, says {who}." for who, paths in by.items()]


def _names(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - MAX_NAMES} more" if len(paths) > MAX_NAMES else ""
    return ", ".join(paths[:MAX_NAMES]) + more
