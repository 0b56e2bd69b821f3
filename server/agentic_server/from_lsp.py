"""From the protocol's words to ours: positions become offsets, URIs become paths. Pure functions.

Position encodings are known here and in `to_lsp`, and nowhere else.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Literal
from urllib.parse import unquote_to_bytes, urlsplit

from agentic.text import line_of

Encoding = Literal["utf-8", "utf-16", "utf-32"]
"""What a position's `character` counts: bytes, UTF-16 code units or code points."""


def offset_at(text: str, starts: Sequence[int], line: int, character: int, encoding: Encoding) -> int:
    """The offset in code points of a position; `starts` are `agentic.text.line_starts(text)`.

    Always inside the text: a line past the end gives the end of the text, a character past the end of its line gives
    the place before the line end, and one inside a code point rounds down to where the code point begins.
    """
    if line >= len(starts):
        return len(text)
    if line < 0:
        return 0
    start, end = starts[line], line_end(text, starts, line)
    content = text[start:end]
    if encoding == "utf-32" or content.isascii():
        return start + max(0, min(character, end - start))
    units = 0
    for index, char in enumerate(content):
        units += units_of(char, encoding)
        if units > character:
            return start + index
    return end


def place_of(text: str, starts: Sequence[int], line: int, character: int, encoding: Encoding) -> tuple[int, int]:
    """The line and column of a position, counted from 1 and in code points; always inside the text."""
    offset = offset_at(text, starts, line, character, encoding)
    found = line_of(starts, offset)
    return found + 1, offset - starts[found] + 1


def line_end(text: str, starts: Sequence[int], line: int) -> int:
    """The offset at which the line's text stops, before its line end."""
    if line + 1 >= len(starts):
        return len(text)
    end = starts[line + 1]
    return end - 2 if text[end - 2 : end] == "\r\n" else end - 1


def units_of(char: str, encoding: Encoding) -> int:
    """How many of the encoding's units the code point takes."""
    code = ord(char)
    if encoding == "utf-32" or code < 0x80:
        return 1
    if encoding == "utf-16":
        return 2 if code > 0xFFFF else 1
    return 2 if code < 0x800 else 3 if code < 0x10000 else 4


def path_of(uri: str) -> str:
    """The absolute path that a `file:` URI names, as the file system spells it; ValueError for any other URI."""
    scheme, authority, path, query, fragment = urlsplit(uri)
    if scheme != "file" or authority not in {"", "localhost"}:
        raise ValueError(f"not the URI of a local file: {uri}")
    # Some clients leave `?` and `#` of a file name as they are; a file URI has neither query nor fragment.
    path += f"?{query}" * bool(query) + f"#{fragment}" * bool(fragment)
    decoded = os.fsdecode(unquote_to_bytes(path))
    if not decoded.startswith("/") or "\0" in decoded:
        raise ValueError(f"not an absolute path: {uri}")
    return decoded
