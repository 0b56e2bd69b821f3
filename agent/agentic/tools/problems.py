"""Read diagnostics."""

from __future__ import annotations

import msgspec

from agentic.errors import Refusal
from agentic.ports.problems import report
from agentic.ports.workspace import Workspace
from agentic.tools.base import Tool, ToolContext, ToolResult, refused

MAX_FILES = 200
"""Files of a folder that are looked at."""


class ProblemsIn(msgspec.Struct, frozen=True, omit_defaults=True):
    paths: list[str] = []


async def run(context: ToolContext, call: str, arguments: ProblemsIn) -> ToolResult:
    paths: list[str] = []
    for path in arguments.paths:
        paths += await _files(context.workspace, path)
    if arguments.paths and not paths:
        return ToolResult("There is no file in it.")
    problems = await context.workspace.problems(list(dict.fromkeys(paths)))
    return refused(problems) if isinstance(problems, Refusal) else ToolResult(report(problems))


async def _files(workspace: Workspace, path: str) -> list[str]:
    """The path itself, or the files of the folder that it names."""
    found = await workspace.read(path)
    if not isinstance(found, Refusal) or found.code != "not_a_file":
        return [path]
    folder = path.removeprefix("./").strip("/")
    pattern = "**/*" if folder in ("", ".") else f"{folder}/**"
    return await workspace.find(pattern, MAX_FILES) or [path]


def title(arguments: ProblemsIn) -> str:
    return f"Problems in {', '.join(arguments.paths)}" if arguments.paths else "Problems"


PROBLEMS = Tool(
    name="problems",
    kind="read",
    description=(
        "Errors and warnings that the editor's language servers, or else a syntax check, know in these files or"
        " folders, unsaved text included; without `paths`: in all files that are open or were changed."
        " It runs nothing; tests and type checkers are commands."
    ),
    arguments=ProblemsIn,
    run=run,
    title=title,
)
