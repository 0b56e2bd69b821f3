"""Find files by name."""

from __future__ import annotations

import msgspec

from agentic.tools.base import Tool, ToolContext, ToolResult

MAX_PATHS = 200


class FindFiles(msgspec.Struct, frozen=True, omit_defaults=True):
    pattern: str


async def run(context: ToolContext, call: str, arguments: FindFiles) -> ToolResult:
    paths = await context.workspace.find(arguments.pattern, MAX_PATHS + 1)
    if not paths:
        return ToolResult(f"No file matches {arguments.pattern}. Try a wider pattern, such as `**/*name*`.")
    more = f"\n[More than {MAX_PATHS} files match: narrow the pattern.]" if len(paths) > MAX_PATHS else ""
    return ToolResult("\n".join(paths[:MAX_PATHS]) + more)


def title(arguments: FindFiles) -> str:
    return f"Find {arguments.pattern}"


FIND_FILES = Tool(
    name="find_files",
    kind="search",
    description="Find files whose path matches a glob, such as `**/*.py` or `test_*`.",
    arguments=FindFiles,
    run=run,
    title=title,
)
