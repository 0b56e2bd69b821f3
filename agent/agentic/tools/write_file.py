"""Write a whole file."""

from __future__ import annotations

import msgspec

from agentic.edits.engine import plan_write
from agentic.errors import Refusal
from agentic.tools.base import Tool, ToolContext, ToolResult, refused
from agentic.tools.propose import propose


class WriteFile(msgspec.Struct, frozen=True, omit_defaults=True):
    path: str
    content: str


async def run(context: ToolContext, call: str, arguments: WriteFile) -> ToolResult:
    snapshot = await context.workspace.read(arguments.path)
    if isinstance(snapshot, Refusal):
        return refused(snapshot)
    if snapshot.exists and context.seen.get(snapshot.path) != snapshot.version:
        known = "was changed since you read it" if snapshot.path in context.seen else "exists and you have not read it"
        return refused(Refusal("stale", f"{snapshot.path} {known}.", "Read it first, then write or edit it."))
    change = plan_write(snapshot, arguments.content)
    if isinstance(change, Refusal):
        return refused(change)
    return await propose(context, call, WRITE_FILE.name, msgspec.json.encode(arguments).decode(), change)


def title(arguments: WriteFile) -> str:
    return f"Write {arguments.path}"


WRITE_FILE = Tool(
    name="write_file",
    kind="edit",
    description=(
        "Create a file, or replace all of one that you have read. `content` is the whole text, nothing left out."
        " Prefer edit_file for changes."
    ),
    arguments=WriteFile,
    run=run,
    title=title,
)
