"""Search in files."""

from __future__ import annotations

import msgspec

from agentic.errors import Refusal
from agentic.tools.base import Tool, ToolContext, ToolResult, refused
from agentic.tools.lines import cut

MAX_MATCHES = 100
MAX_LINE_CHARS = 240
_NOTE = 100
"""Characters of what tells that there is more."""


class SearchText(msgspec.Struct, frozen=True, omit_defaults=True):
    pattern: str
    glob: str = ""


async def run(context: ToolContext, call: str, arguments: SearchText) -> ToolResult:
    matches = await context.workspace.search(arguments.pattern, arguments.glob, MAX_MATCHES + 1)
    if isinstance(matches, Refusal):
        return refused(matches)
    if not matches:
        where = f" in {arguments.glob}" if arguments.glob else ""
        return ToolResult(f"Nothing matches {arguments.pattern}{where}.")
    lines = [f"{match.path}:{match.line}: {cut(match.text, MAX_LINE_CHARS)}" for match in matches[:MAX_MATCHES]]
    shown = _fitting(lines, context.max_chars)
    if len(matches) > len(shown):
        shown.append(f"[More than {len(shown)} lines match: narrow the pattern or give a glob.]")
    return ToolResult("\n".join(shown))


def _fitting(lines: list[str], chars: int) -> list[str]:
    """The first lines that fit, at least one."""
    room = chars - _NOTE
    for number, line in enumerate(lines):
        room -= len(line) + 1
        if room < 0:
            return lines[: max(1, number)]
    return list(lines)


def title(arguments: SearchText) -> str:
    return f"Search for {arguments.pattern}"


SEARCH_TEXT = Tool(
    name="search_text",
    kind="search",
    description="Search the lines of all files, or of those that match `glob`, for a regular expression.",
    arguments=SearchText,
    run=run,
    title=title,
)
