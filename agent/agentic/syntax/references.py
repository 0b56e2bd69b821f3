"""Which names a file uses."""

from __future__ import annotations

import re

from agentic.syntax.languages import UNREAD, has_references, keywords, language_of
from agentic.syntax.parsing import Matches, Parsed, matches, parse

_WORD = re.compile(r"[^\W\d]\w+")


def references(path: str, text: str) -> list[str]:
    """The identifiers of a file in their order, each as often as it stands there; none of one letter.

    Words in comments and strings are none, nor are keywords. Data files (JSON, Markdown, ...) use no names.
    """
    parsed = parse(path, text) if has_references(language_of(path)) else None
    return [] if parsed is None else references_in(parsed, matches(parsed))


def references_in(parsed: Parsed, found: Matches) -> list[str]:
    """The same from the matches in a text that is parsed already."""
    if not has_references(parsed.language):
        return []
    pieces: list[bytes] = []
    start = 0
    for begin, end in sorted(_unread(found)):
        pieces.append(parsed.data[start:begin])
        start = max(start, end)
    pieces.append(parsed.data[start:])
    ignored = keywords(parsed.language)
    return [word for word in _WORD.findall(b" ".join(pieces).decode(errors="replace")) if word not in ignored]


def _unread(found: Matches) -> list[tuple[int, int]]:
    return [(node.start_byte, node.end_byte) for captures in found for node in captures.get(UNREAD, ())]
