"""Run a shell command."""

from __future__ import annotations

import asyncio
import posixpath
import shlex
from contextlib import aclosing
from dataclasses import dataclass

import msgspec

from agentic.errors import Refusal
from agentic.events import ToolOutput
from agentic.ports.store import Intent, IntentState
from agentic.ports.workspace import Command, Exit, Output
from agentic.safety.approvals import binding, visible
from agentic.safety.shell_gate import files_read, takes_folders
from agentic.task import new_id
from agentic.tools.base import Tool, ToolContext, ToolResult, refused
from agentic.tools.questions import approve

MAX_CHARS = 10_000
MAX_SECONDS = 600.0
MAX_SHOWN = 1_000_000
"""Characters of output that are passed on as events, whatever a command prints."""
_NOTES = 250
"""Characters of what is said beside the output."""


class RunCommand(msgspec.Struct, frozen=True, omit_defaults=True):
    command: str
    cwd: str = "."
    seconds: float = 0.0


@dataclass(slots=True)
class Printed:
    """What a command printed, both streams in order: its beginning and its end, `limit` characters of it."""

    limit: int = MAX_CHARS
    head: str = ""
    tail: str = ""
    total: int = 0

    def add(self, text: str) -> None:
        self.total += len(text)
        head = self.limit * 2 // 3
        room = head - len(self.head)
        self.head += text[:room]
        self.tail = (self.tail + text[room:])[head - self.limit :]

    @property
    def text(self) -> str:
        left_out = self.total - len(self.head) - len(self.tail)
        if not left_out:
            return self.head + self.tail
        after = self.head.count("\n") + 1
        how = "to see them, write the output to a file and read that with an offset, or filter it"
        return f"{self.head}\n[… {left_out} characters left out after line {after}; {how} …]\n{self.tail}"


async def run(context: ToolContext, call: str, arguments: RunCommand) -> ToolResult:
    if not arguments.command.strip():
        return refused(Refusal("bad_arguments", "The command is empty.", "Give a shell command."))
    if arguments.command.lstrip().startswith("```"):
        return refused(Refusal("bad_arguments", "The command stands in a code block.", "Send it without the ```."))
    approval = context.approval
    if approval == "allow" and await _leads_out(context, arguments):
        approval = "ask"
        if context.task.mode == "plan":
            return refused(Refusal("plan_mode", "The command reads what is no file of the workspace.", "Do without."))
    if approval == "ask":
        bound = binding("run_command", msgspec.json.encode(arguments).decode(), arguments.cwd, "")
        place = "" if arguments.cwd in ("", ".") else f"\n\nin {visible(arguments.cwd)}"
        detail = f"{visible(arguments.command)}{place}{await _save_first(context)}"
        refusal = await approve(context, call, "Run this command?", detail, bound)
        if refusal is not None:
            return refused(refusal)
    seconds = arguments.seconds if arguments.seconds > 0 else context.task.limits.command_seconds
    return await _run_once(context, call, Command(arguments.command, arguments.cwd, min(seconds, MAX_SECONDS)))


async def _leads_out(context: ToolContext, arguments: RunCommand) -> bool:
    """Whether a read-only command names something that the tools for reading would not open: by a link, mostly."""
    roots = context.workspace.roots
    base = roots[0] if arguments.cwd in ("", ".") and len(roots) > 1 else arguments.cwd
    codes = ["outside_workspace", "denied", *([] if takes_folders(arguments.command) else ["not_a_file"])]
    for file in files_read(arguments.command):
        found = await context.workspace.read(posixpath.join(base, file))
        if isinstance(found, Refusal) and found.code in codes:
            return True
    return arguments.cwd.lower().startswith("file:")


async def _save_first(context: ToolContext) -> str:
    """What to tell the user before they allow a command that would not see what they see."""
    unsaved = await context.workspace.unsaved()
    return f"\n\nNot saved: {', '.join(unsaved)}. Save first, if the command should see that text." if unsaved else ""


async def _run_once(context: ToolContext, call: str, command: Command) -> ToolResult:
    """Run what has been allowed. Its intent stands in the log before it begins and is settled however it ends."""
    intent = new_id("command")
    task = context.task
    await context.store.prepare(Intent(intent, task.session, task.turn, "command", command.text))
    state: IntentState = "failed"
    try:
        result = await _stream(context, call, command)
        state = "done"
    finally:
        await asyncio.shield(context.store.settle(intent, state))
    return result


async def _stream(context: ToolContext, call: str, command: Command) -> ToolResult:
    printed = Printed(min(MAX_CHARS, context.max_chars - _NOTES))
    if unsaved := await context.workspace.unsaved():
        printed.add(f"[The user has not saved {', '.join(unsaved)}: this command saw the older text on disk.]\n")
    async with aclosing(context.workspace.run(command)) as outputs:
        async for output in outputs:
            match output:
                case Output(stream=stream, text=text):
                    room = MAX_SHOWN - printed.total
                    printed.add(text)
                    if room > 0:
                        context.emit(ToolOutput(**context.origin, item=call, stream=stream, text=text[:room]))
                case Exit():
                    return _result(output, printed, command)
                case Refusal():
                    return refused(output)
    return ToolResult(f"{printed.text}\n[The command ended, but its exit code is not known.]".lstrip(), "internal")


def _result(end: Exit, printed: Printed, command: Command) -> ToolResult:
    text = printed.text if printed.total else "(it printed nothing)"
    if not text.endswith("\n"):
        text += "\n"
    if end.timed_out:
        step = f"Give more `seconds` (at most {MAX_SECONDS:g}) or do less at once."
        return ToolResult(f"{text}[Killed: it ran longer than {command.seconds:g} s. {step}]", "timeout")
    return ToolResult(f"{text}[exit code {end.code}]", command=_from_the_top(command), exit_code=end.code)


def _from_the_top(command: Command) -> str:
    """The command as it is written in the workspace's folder."""
    return command.text if command.cwd in ("", ".") else f"cd {shlex.quote(command.cwd)} && {command.text}"


def title(arguments: RunCommand) -> str:
    first, _, rest = arguments.command.strip().partition("\n")
    return f"Run {first.rstrip()}{' …' if rest else ''}"


RUN_COMMAND = Tool(
    name="run_command",
    kind="execute",
    description=(
        "Run a shell command in folder `cwd` (default: the workspace) for at most `seconds` (up to 600)."
        " Returns its output, cut in the middle when long, and its exit code. It cannot be typed to."
    ),
    arguments=RunCommand,
    run=run,
    title=title,
)
