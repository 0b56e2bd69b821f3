"""Read a file."""

from __future__ import annotations

import msgspec

from agentic.errors import Refusal
from agentic.text import split_lines
from agentic.tools.base import Tool, ToolContext, ToolResult, refused
from agentic.tools.lines import absent, cut, numbered

MAX_LINES = 800
MAX_CHARS = 24_000
_NUMBER = 8
"""Characters of a line's number, its tab and its end."""
_FOOTER = 80
"""Characters of what tells how to read on."""
_CUT_NOTE = 30
"""Characters of what tells that a line is cut."""


class ReadFile(msgspec.Struct, frozen=True, omit_defaults=True):
    path: str
    offset: int = 1
    limit: int = MAX_LINES


async def run(context: ToolContext, call: str, arguments: ReadFile) -> ToolResult:
    snapshot = await context.workspace.read(arguments.path)
    if isinstance(snapshot, Refusal):
        return refused(snapshot)
    if not snapshot.exists:
        return refused(await absent(context.workspace, arguments.path))
    context.seen[snapshot.path] = snapshot.version
    lines = split_lines(snapshot.text.removeprefix("\ufeff"))
    first = max(1, arguments.offset)
    if not lines:
        return ToolResult(f"{snapshot.path} is empty.")
    if first > len(lines):
        step = f"Give an offset from 1 to {len(lines)}."
        return refused(Refusal("bad_arguments", f"{snapshot.path} has {len(lines)} lines.", step))
    page = _page(lines[first - 1 :], min(max(1, arguments.limit), MAX_LINES), min(MAX_CHARS, context.max_chars))
    last = first + len(page) - 1
    whole = (
        "" if last == len(lines) and first == 1 else f"\n[Lines {first} to {last} of {len(lines)}.{_more(last, lines)}]"
    )
    return ToolResult(numbered(page, first) + whole, path=snapshot.path)


def _page(lines: list[str], limit: int, chars: int) -> list[str]:
    """As many lines as fit, at least one, and that one as much of it as fits."""
    room, count = chars - _FOOTER, 0
    for line in lines[:limit]:
        room -= len(cut(line)) + _NUMBER
        if room < 0 and count:
            break
        count += 1
    longest = chars - _FOOTER - _NUMBER - _CUT_NOTE
    return [cut(lines[0], longest)] if count == 1 else lines[:count]


def _more(last: int, lines: list[str]) -> str:
    return f" Read on with offset {last + 1}." if last < len(lines) else ""


def title(arguments: ReadFile) -> str:
    return f"Read {arguments.path}"


READ_FILE = Tool(
    name="read_file",
    kind="read",
    description=(
        "Read a text file, unsaved changes included. Each line comes as number, tab, text; the number and tab are not"
        f" part of the file. Up to {MAX_LINES} lines from line `offset`; the end says how to read on."
    ),
    arguments=ReadFile,
    run=run,
    title=title,
)
