"""Text is lines and offsets.

Lines end at \\n, \\r\\n and \\r only: `str.splitlines` also splits at form feeds and U+2028.

Offsets count code points from 0; lines are counted from 0 here and from 1 wherever a model or a person reads them.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from typing import Literal

Eol = Literal["\n", "\r\n", "\r"]

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+\Z")


def split_lines(text: str) -> list[str]:
    """The lines with their ends kept; they join back to `text`. An empty text has no lines."""
    return _LINE.findall(text)


def line_starts(text: str) -> list[int]:
    """The offset at which each line begins; one more entry for the empty line after a final line end."""
    starts = [0]
    starts += [match.end() for match in re.finditer(r"\r\n|\n|\r", text)]
    return starts


def line_of(starts: Sequence[int], offset: int) -> int:
    """The line, from 0, that holds `offset`."""
    return bisect_right(starts, offset) - 1


def strip_eol(line: str) -> str:
    """The line without its end."""
    return line.rstrip("\r\n") if line.endswith(("\n", "\r")) else line


def first_eol(text: str) -> Eol:
    """The line end that the text uses first; \\n for a text of one line."""
    match = re.search(r"\r\n|\n|\r", text)
    if match is None:
        return "\n"
    found = match.group()
    return "\r\n" if found == "\r\n" else "\r" if found == "\r" else "\n"


def with_eol(text: str, eol: Eol) -> str:
    """The text with every line end replaced by `eol`."""
    return re.sub(r"\r\n|\n|\r", eol, text)


def clip(text: str, limit: int) -> str:
    """At most `limit` characters, cut in the middle with a note of how much is missing."""
    if len(text) <= limit:
        return text
    head = limit * 2 // 3
    tail = limit - head
    return f"{text[:head]}\n[… {len(text) - limit} characters left out …]\n{text[-tail:]}"


def is_nameable(name: str) -> bool:
    """Whether a file's name can be said in a workspace path: no control characters, no bytes that are not UTF-8."""
    return name.isprintable() or not any(unicodedata.category(character) in ("Cc", "Cs") for character in name)
