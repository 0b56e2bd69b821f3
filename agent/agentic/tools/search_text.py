"""Search in files."""

from __future__ import annotations

import msgspec

from agentic.errors import Refusal
from agentic.tools.base import Tool, ToolContext, ToolResult, refused
from agentic.tools.lines import cut

MAX_MATCHES = 100
MAX_LINE_CHARS = 240


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
    if len(matches) > MAX_MATCHES:
        lines.append(f"[More than {MAX_MATCHES} lines match: narrow the pattern or give a glob.]")
    return ToolResult("\n".join(lines))


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
