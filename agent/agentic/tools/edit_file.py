"""Edit a file by replacing text."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from agentic.change import Snapshot
from agentic.edits.engine import Replacement, plan_edits
from agentic.errors import Refusal
from agentic.tools.base import Tool, ToolContext, ToolResult, refused
from agentic.tools.lines import absent
from agentic.tools.propose import propose


class OneEdit(msgspec.Struct, frozen=True, omit_defaults=True):
    old: str
    new: str
    replace_all: bool = False


class EditFile(msgspec.Struct, frozen=True, omit_defaults=True):
    path: str
    old: str | UnsetType = UNSET
    new: str | UnsetType = UNSET
    replace_all: bool = False
    edits: list[OneEdit] = []


async def run(context: ToolContext, call: str, arguments: EditFile) -> ToolResult:
    wanted = _replacements(arguments)
    if isinstance(wanted, Refusal):
        return refused(wanted)
    snapshot = await context.workspace.read(arguments.path)
    if isinstance(snapshot, Refusal):
        return refused(snapshot)
    if not snapshot.exists and wanted[0].old:
        return refused(await absent(context.workspace, arguments.path))
    change = plan_edits(snapshot, wanted)
    if isinstance(change, Refusal):
        return refused(_with_staleness(change, snapshot, context))
    return await propose(context, call, EDIT_FILE.name, msgspec.json.encode(arguments).decode(), change)


def _replacements(arguments: EditFile) -> list[Replacement] | Refusal:
    many = [Replacement(edit.old, edit.new, edit.replace_all) for edit in arguments.edits]
    if isinstance(arguments.old, str) and isinstance(arguments.new, str):
        return [Replacement(arguments.old, arguments.new, arguments.replace_all), *many]
    if not many or isinstance(arguments.old, str) or isinstance(arguments.new, str):
        step = "Give both, or `edits` with both in each."
        return Refusal("bad_arguments", "`old` and `new` belong together, and one is missing.", step)
    return many


def _with_staleness(refusal: Refusal, snapshot: Snapshot, context: ToolContext) -> Refusal:
    """The refusal, which also says so where the file is no longer the one that the model has read."""
    if context.seen.get(snapshot.path, snapshot.version) == snapshot.version:
        return refusal
    message = f"{refusal.message} {snapshot.path} was changed since you read it."
    return Refusal(refusal.code, message, refusal.next_step)


def title(arguments: EditFile) -> str:
    return f"Edit {arguments.path}"


EDIT_FILE = Tool(
    name="edit_file",
    kind="edit",
    description=(
        "Replace `old`, copied exactly from the file with enough lines to be unique, by `new` (or every one with"
        " `replace_all`). Several places of one file: `edits`, in order, all or none."
        " A refusal changes nothing and shows the nearest lines or the line numbers of the matches."
        " The user may reject or amend parts; the result tells."
    ),
    arguments=EditFile,
    run=run,
    title=title,
)
