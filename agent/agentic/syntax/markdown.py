"""Markdown's headings."""

from __future__ import annotations

import re

from agentic.ports.code_index import Symbol
from agentic.text import split_lines

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_HEADING = re.compile(r" {0,3}(#{1,6})[ \t]+(.*)")
_CLOSING = re.compile(r"(^|[ \t])#+$")
_MAX_TITLE = 200


def headings(path: str, text: str) -> list[Symbol]:
    """The headings that begin with `#`, outside code fences. A section reaches to the next heading of its level."""
    lines = split_lines(text)
    found: list[tuple[int, int, str]] = []
    fence = ""
    for number, line in enumerate(lines, 1):
        if marker := _FENCE.match(line):
            fence = _after(fence, marker[1], line[marker.end() :])
        elif not fence and (heading := _HEADING.match(line)):
            found.append((number, len(heading[1]), _CLOSING.sub("", heading[2].strip()).strip()[:_MAX_TITLE]))
    return [
        Symbol(title, "heading", path, line, end, container)
        for (line, _, title), (end, container) in zip(found, _nest(found, len(lines)), strict=True)
        if title
    ]


def _after(fence: str, marker: str, rest: str) -> str:
    """The fence that is open after a line with this marker."""
    if not fence:
        return marker
    closes = marker[0] == fence[0] and len(marker) >= len(fence) and not rest.strip()
    return "" if closes else fence


def _nest(found: list[tuple[int, int, str]], last: int) -> list[tuple[int, str]]:
    """The last line of each section, and the title of the section around it."""
    nested = [(last, "")] * len(found)
    open_sections: list[int] = []
    for index, (line, level, _) in enumerate(found):
        while open_sections and found[open_sections[-1]][1] >= level:
            closed = open_sections.pop()
            nested[closed] = (line - 1, nested[closed][1])
        nested[index] = (last, found[open_sections[-1]][2] if open_sections else "")
        open_sections.append(index)
    return nested
