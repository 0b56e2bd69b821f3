"""List a folder."""

from __future__ import annotations

import msgspec

from agentic.errors import Refusal
from agentic.tools.base import Tool, ToolContext, ToolResult, refused

MAX_ENTRIES = 400


class ListFiles(msgspec.Struct, frozen=True, omit_defaults=True):
    path: str = "."
    offset: int = 1


async def run(context: ToolContext, call: str, arguments: ListFiles) -> ToolResult:
    entries = await context.workspace.list(arguments.path)
    if isinstance(entries, Refusal):
        return refused(entries)
    first = max(1, arguments.offset)
    page = entries[first - 1 : first - 1 + MAX_ENTRIES]
    if not page:
        return ToolResult(f"{arguments.path} has {len(entries)} entries." if entries else f"{arguments.path} is empty.")
    names = [f"{entry.path}/" if entry.is_dir else f"{entry.path} ({entry.size} bytes)" for entry in page]
    last = first + len(page) - 1
    if last < len(entries):
        names.append(f"[Entries {first} to {last} of {len(entries)}. Go on with offset {last + 1}.]")
    return ToolResult("\n".join(names))


def title(arguments: ListFiles) -> str:
    return f"List {arguments.path}"


LIST_FILES = Tool(
    name="list_files",
    kind="read",
    description="List a folder, folders first (they end in /). Ignored files are left out.",
    arguments=ListFiles,
    run=run,
    title=title,
)
