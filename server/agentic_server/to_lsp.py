"""From our words to the protocol's: offsets become positions, paths URIs, edits text edits. Pure functions.

Position encodings are known here and in `from_lsp`, and nowhere else.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Sequence
from urllib.parse import quote_from_bytes

from lsprotocol import types

from agentic.change import Edit
from agentic.text import line_starts
from agentic_server.from_lsp import Encoding, line_end, units_of


def uri_of(path: str) -> str:
    """The `file:` URI of an absolute path, bytes that are not UTF-8 included; ValueError for a relative path."""
    if not path.startswith("/"):
        raise ValueError(f"not an absolute path: {path}")
    return "file://" + quote_from_bytes(os.fsencode(path))


def position_at(text: str, starts: Sequence[int], offset: int, encoding: Encoding) -> types.Position:
    """The position of an offset; `starts` are `agentic.text.line_starts(text)`.

    The protocol has no position between \\r and \\n: such an offset gives the place before both.
    """
    offset = max(0, min(offset, len(text)))
    line = bisect_right(starts, offset) - 1
    content = text[starts[line] : min(offset, line_end(text, starts, line))]
    if encoding == "utf-32" or content.isascii():
        return types.Position(line, len(content))
    return types.Position(line, sum(units_of(char, encoding) for char in content))


def range_of(text: str, starts: Sequence[int], start: int, end: int, encoding: Encoding) -> types.Range:
    """The range of `text[start:end]`."""
    return types.Range(position_at(text, starts, start, encoding), position_at(text, starts, end, encoding))


def text_edits(text: str, edits: Sequence[Edit], encoding: Encoding) -> list[types.TextEdit]:
    """The protocol's edits, all against `text`, for ascending and disjoint ones of ours.

    One that begins or ends between \\r and \\n is widened to both, for the protocol cannot express it.
    """
    starts = line_starts(text)
    return [
        types.TextEdit(range_of(text, starts, edit.start, edit.end, encoding), edit.new)
        for edit in (_widened(text, edit) for edit in _joined(text, edits))
    ]


def _joined(text: str, edits: Sequence[Edit]) -> list[Edit]:
    """The edits, with those that meet between \\r and \\n made one."""
    joined: list[Edit] = []
    for edit in edits:
        if joined and joined[-1].end == edit.start and _inside_crlf(text, edit.start):
            before = joined.pop()
            joined.append(Edit(before.start, edit.end, before.new + edit.new))
        else:
            joined.append(edit)
    return joined


def _widened(text: str, edit: Edit) -> Edit:
    start, end, new = edit.start, edit.end, edit.new
    if _inside_crlf(text, start):
        start, new = start - 1, "\r" + new
    if _inside_crlf(text, end):
        end, new = end + 1, new + "\n"
    return Edit(start, end, new)


def _inside_crlf(text: str, offset: int) -> bool:
    return text[offset - 1 : offset + 1] == "\r\n" if offset > 0 else False
