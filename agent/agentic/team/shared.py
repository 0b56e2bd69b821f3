"""What the agents of a turn know together: facts, decisions, files and finished steps, each with whom it comes from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from agentic.change import Change
from agentic.events import Shared
from agentic.ports.team import Report

MAX_NOTES = 8
"""Facts, and decisions, taken from one report at most."""
MAX_NOTE = 300
"""Characters of a fact, a decision or a step at most."""
MAX_FILES = 40
"""Files taken from one agent at most."""

Kind = Literal["fact", "decision", "file", "step"]

_HEADINGS: tuple[tuple[Kind, str], ...] = (
    ("decision", "Decisions"),
    ("fact", "Facts"),
    ("step", "Finished parts"),
    ("file", "Files touched"),
)
"""In the order of their weight: what does not fit is left out from the end."""

_BULLET = r"(?:[-*•+]|\d+[.)])\s+"
_NOTE = re.compile(rf"\s*(?:{_BULLET})?(?:#+\s*)?[*_]*(fact|decision)s?[*_]*\s*[:：][*_]*\s*(.*)", re.IGNORECASE)
_ITEM = re.compile(rf"\s*{_BULLET}(.+)")


class Board:
    """Grows by what each agent reports. Nothing is on it twice."""

    def __init__(self) -> None:
        self._items: dict[tuple[Kind, str, str], Shared] = {}

    @property
    def items(self) -> list[Shared]:
        """Everything, in the order in which it came."""
        return list(self._items.values())

    def note(self, report: Report, changes: Sequence[Change] = ()) -> bool:
        """Take in what an agent reported and changed; whether anything is new.

        Its last word is read for lines that begin with `Fact:` or `Decision:`, or stand as a list below such a line.
        """
        before = len(self._items)
        notes = list(_notes(report.summary))
        for kind in ("fact", "decision"):
            self._add(kind, [text for of, text in notes if of == kind][:MAX_NOTES], report.name)
        self._add("file", [change.path for change in changes][:MAX_FILES], report.name)
        if report.succeeded:
            self._add("step", [_first_line(report.summary)], report.name)
        return len(self._items) > before

    def render(self, limit_chars: int = 4000) -> str:
        """The board as text, within so many characters; empty where it is."""
        blocks: list[str] = []
        left = limit_chars
        for kind, heading in _HEADINGS:
            lines = self._lines(kind)
            fitting = _fitting(lines, left - len(heading) - 2)
            if fitting:
                blocks.append("\n".join([f"{heading}:", *fitting]))
                left -= len(blocks[-1]) + 1
        return "\n".join(blocks)

    def _add(self, kind: Kind, texts: Iterable[str], by: str) -> None:
        for text in texts:
            key = (kind, " ".join(text.casefold().split()), by if kind in ("file", "step") else "")
            self._items.setdefault(key, Shared(kind, text, by))

    def _lines(self, kind: Kind) -> list[str]:
        if kind != "file":
            return [f"- {item.by}: {item.text}" for item in self._items.values() if item.kind == kind]
        files: dict[str, list[str]] = {}
        for item in self._items.values():
            if item.kind == "file":
                files.setdefault(item.text, []).append(item.by)
        return [f"- {path} ({', '.join(by)})" for path, by in files.items()]


def _notes(text: str) -> Iterator[tuple[str, str]]:
    """The facts and decisions of a report: on a line of their own, or items of a list below a line of their own."""
    heading = ""
    for line in text.split("\n"):
        if note := _NOTE.match(line):
            heading, said = note[1].lower(), _clipped(note[2])
            if said:
                yield heading, said
                heading = ""
        elif heading and (item := _ITEM.match(line)):
            yield heading, _clipped(item[1])
        elif line.strip():
            heading = ""


def _first_line(text: str) -> str:
    """What a report says first that is no note."""
    lines = (line.strip(" #*\t\r") for line in text.split("\n") if not _NOTE.match(line))
    return _clipped(next((line for line in lines if line), "done"))


def _clipped(text: str) -> str:
    text = text.strip().strip("*_").strip()
    return text if len(text) <= MAX_NOTE else text[: MAX_NOTE - 1] + "…"


def _fitting(lines: Sequence[str], room: int) -> list[str]:
    """The first lines that fit in, and how many are left out."""
    fitting: list[str] = []
    for index, line in enumerate(lines):
        more = f"- … and {len(lines) - index} more"
        rest = len(more) + 1 if index + 1 < len(lines) else 0
        if len(line) + 1 + rest > room:
            return [*fitting, more] if len(more) + 1 <= room else fitting
        fitting.append(line)
        room -= len(line) + 1
    return fitting
