"""Delegate: parts of a task to other agents, and what they made of it back as one change and one report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec

from agentic.errors import Refusal
from agentic.ports.team import MOST_DELEGATIONS, Conflict, Delegated, Report, Subtask
from agentic.safety.approvals import binding, visible
from agentic.safety.policy import decide
from agentic.task import StopReason, title_of
from agentic.text import clip
from agentic.tools.base import Tool, ToolContext, ToolResult, refused
from agentic.tools.propose_all import FileResult, propose_all
from agentic.tools.questions import approve
from agentic.tools.subtasks import check

MAX_SUMMARY = 1_500
"""Characters of a sub-agent's last word at most."""
MAX_LEFT_OUT = 6_000
"""Characters of the diffs that were left out at most."""

_TOO_OFTEN = Refusal(
    "denied",
    f"The task has been parted {MOST_DELEGATIONS} times.",
    "Finish what is left by yourself, or tell the user.",
)
_SUB_AGENT = Refusal("denied", "You are a sub-agent.", "Do your part yourself, with the other tools.")
_PLAN = Refusal("plan_mode", "Nothing is delegated in plan mode.", "Read and describe the plan instead.")


MAX_ASKED = 1_500
"""Characters of all parts that the question shows: what is too long for a message cannot be allowed in most editors.
The log has them whole, and what the parts do is asked for by itself."""


class Delegate(msgspec.Struct, frozen=True, omit_defaults=True):
    subtasks: list[Subtask]


async def run(context: ToolContext, call: str, arguments: Delegate) -> ToolResult:
    if context.team is None:
        return refused(_SUB_AGENT)
    if context.team.left <= 0:
        return refused(_TOO_OFTEN)
    approval = decide("edit", context.task.mode)
    if approval == "deny":
        return refused(_PLAN)
    subtasks = check(arguments.subtasks, context.task.team)
    if isinstance(subtasks, Refusal):
        return refused(subtasks)
    if approval == "ask" and (refusal := await _confirmed(context, call, subtasks)):
        return refused(refusal)
    delegated = await context.team.delegate(call, subtasks)
    results = await propose_all(replace(context, approval=approval), call, DELEGATE.name, delegated.changes)
    return ToolResult(aggregate(delegated, results), _code(delegated, results))


async def _confirmed(context: ToolContext, call: str, subtasks: Sequence[Subtask]) -> Refusal | None:
    """Ask whether the parts are to be worked on; None for a yes."""
    room = MAX_ASKED // len(subtasks)
    parts = [f"{number}. {_named(subtask)}: {clip(subtask.text, room)}" for number, subtask in enumerate(subtasks, 1)]
    bound = binding(DELEGATE.name, msgspec.json.encode(subtasks).decode(), ".", "")
    title = f"Work on {len(subtasks)} parts at once?"
    refusal = await approve(context, call, title, visible("\n".join(parts)), bound)
    if refusal is None:
        return None
    return Refusal(refusal.code, refusal.message, "Do the work yourself, without sub-agents.")


def _named(subtask: Subtask) -> str:
    return f"{subtask.name} (after {', '.join(subtask.depends_on)})" if subtask.depends_on else subtask.name


def aggregate(delegated: Delegated, results: Sequence[FileResult]) -> str:
    """What the model reads: how each sub-agent ended, what became of each file, what was left out, what is next."""
    done = sum(report.succeeded for report in delegated.reports)
    lines = [f"{done} of {len(delegated.reports)} sub-agents finished their part.", ""]
    lines += [_reported(report) for report in delegated.reports]
    lines += ["", *_files(results)]
    if delegated.resolved:
        lines.append(f"Two had changed the same lines of {', '.join(delegated.resolved)}: the resolver joined them.")
    if delegated.conflicts:
        lines += ["", _left_out(delegated.conflicts)]
    lines += ["", _NEXT if any(result.applied for result in results) else _NEXT_WITHOUT]
    return "\n".join(lines)


_NEXT = (
    "The files now hold the joined work; you have not read it yet. Check the whole: read where the parts meet, run the"
    " tests or the program. Mend what is missing, left out or broken yourself, then tell the user."
)
_NEXT_WITHOUT = "No file was changed. Go on by yourself with what is left to do, or tell the user."


def _reported(report: Report) -> str:
    how = "finished" if report.files else "finished; it changed no file"
    if not report.succeeded:
        how = f"NOT finished: {_REASONS.get(report.stop_reason, report.stop_reason)}"
    removed = f" Its commands removed {', '.join(report.removed)} in its copy: not done here." if report.removed else ""
    return f"- {report.name} ({how}): {clip(report.summary.strip() or 'no word', MAX_SUMMARY)}{removed}"


_REASONS: dict[StopReason, str] = {
    "max_tokens": "its answer was cut off",
    "max_iterations": "its iterations were used up",
    "max_time": "its time was up",
    "max_budget": "the budget is used up",
    "refusal": "it refused",
    "cancelled": "it was cancelled",
    "loop": "it repeated itself",
    "no_progress": "it made no progress",
    "context_exhausted": "its context was full",
    "error": "it failed",
}


def _files(results: Sequence[FileResult]) -> list[str]:
    """The files applied, then those that were not with the reason, those with one reason together."""
    lines: list[str] = []
    for creates, word in ((True, "Created"), (False, "Changed")):
        if paths := [result.path for result in results if result.applied and result.creates == creates]:
            lines.append(f"{word}: {', '.join(paths)}.")
    failed: dict[str, list[str]] = {}
    for result in results:
        if not result.applied:
            failed.setdefault(result.result.text, []).append(result.path)
    lines += [f"Not applied: {', '.join(paths)}. {reason}" for reason, paths in failed.items()]
    return lines or ["The sub-agents changed no files."]


def _left_out(conflicts: Sequence[Conflict]) -> str:
    head = "Left out, because two had changed the same lines. In the file now: lines with -. Left out: lines with +."
    places = [
        f"{conflict.path}, line {conflict.line}: {conflict.kept}'s was kept, {conflict.left}'s left out.\n"
        f"{conflict.diff.rstrip()}"
        for conflict in conflicts
    ]
    return head + "\n" + clip("\n".join(places), MAX_LEFT_OUT)


def _code(delegated: Delegated, results: Sequence[FileResult]) -> str:
    """The result's code: empty where anything came of it."""
    if any(result.applied for result in results):
        return ""
    if results:
        return results[0].result.code
    return "" if any(report.succeeded for report in delegated.reports) else "subtasks_failed"


def title(arguments: Delegate) -> str:
    return f"Delegate {len(arguments.subtasks)} parts: {title_of(', '.join(s.name for s in arguments.subtasks))}"


DELEGATE = Tool(
    name="delegate",
    kind="other",
    description=(
        "Let other agents do 2 to 5 parts of a large task at once, each on a copy of the files; their joined changes"
        " come back with a report. Parts touch different files. Each text is complete: goal, files, interfaces, how to"
        " check. `depends_on`: parts whose files it needs."
    ),
    arguments=Delegate,
    run=run,
    title=title,
)
