"""Changes to several files as one thing to judge: one question for all, then each by the one way of an edit."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from agentic.change import Change, Edit, unified_diff
from agentic.errors import Refusal
from agentic.events import Option
from agentic.ports.asker import Question, Reply
from agentic.safety.approvals import binding, visible
from agentic.task import new_id
from agentic.text import split_lines
from agentic.tools.base import ToolContext, ToolResult, refused
from agentic.tools.propose import propose
from agentic.tools.questions import APPROVAL_SECONDS, ask

APPLY = Option("allow_once", "Apply all", "allow_once")
EACH = Option("each", "File by file")
REJECT = Option("reject_once", "Reject all", "reject_once")


@dataclass(frozen=True, slots=True)
class FileResult:
    """What became of the change to one file."""

    path: str
    creates: bool
    result: ToolResult

    @property
    def applied(self) -> bool:
        return not self.result.code


async def propose_all(context: ToolContext, call: str, tool: str, changes: Sequence[Change]) -> list[FileResult]:
    """Put the changes before the user where `context.approval` says so, and apply them, each as `propose` does.

    One question is asked for all of them; its answer may be to be asked for each, which is done too where the editor
    cannot show so much at once. A change that fails leaves the others as they are. The model has seen none of the new
    texts.
    """
    proposed = [_with_a_hunk(change) for change in changes]
    if context.approval == "ask" and len(proposed) > 1:
        said = await _judged(context, call, tool, proposed)
        if isinstance(said, Refusal):
            return [FileResult(change.path, change.creates, refused(said)) for change in proposed]
        context = replace(context, approval=said)
    results: list[FileResult] = []
    for change in proposed:
        arguments = json.dumps({"path": change.path, "after": change.after})
        result = await propose(context, call, tool, arguments, change)
        results.append(FileResult(change.path, change.creates, result))
        if results[-1].applied:
            context.seen.pop(change.path, None)
    return results


def _with_a_hunk(change: Change) -> Change:
    """An empty file that is created has a hunk too, so that a person can judge it."""
    return change if change.edits else replace(change, edits=(Edit(0, 0, ""),))


async def _judged(
    context: ToolContext, call: str, tool: str, changes: Sequence[Change]
) -> Literal["allow", "ask"] | Refusal:
    """Whether all are allowed, or each is to be asked for."""
    title, detail = _shown(changes)
    bound = binding(
        tool, json.dumps([[c.path, c.after] for c in changes]), ".", json.dumps([c.before for c in changes])
    )
    question = Question(
        new_id("approval"),
        context.task.session,
        context.task.turn,
        call,
        title,
        detail,
        (APPLY, EACH, REJECT),
        binding=bound,
    )
    await context.store.offer(question.id, bound, time.time() + APPROVAL_SECONDS)
    reply = await ask(context, question)
    if reply.allowed:
        if await context.store.use(question.id, bound):
            return "allow"
        return Refusal("denied", "The approval had expired or was used before.", "Nothing was changed.")
    if reply.by == "client_error" or (reply.by == "user" and reply.option == EACH.id):
        return "ask"
    return _rejected(reply)


def _rejected(reply: Reply) -> Refusal:
    who = "The user rejected the changes" if reply.by == "user" else f"Nobody approved the changes ({reply.by})"
    reason = f": {reply.text}" if reply.text else "."
    return Refusal("rejected", f"{who}{reason}", "Nothing was changed. Do not propose them again unchanged.")


def _shown(changes: Sequence[Change]) -> tuple[str, str]:
    """The title and the detail of the question: how much is changed where, then every diff whole."""
    diffs = [unified_diff(change.path, change.before, change.after) for change in changes]
    counts = [(_count(diff, "+"), _count(diff, "-")) for diff in diffs]
    added, removed = sum(plus for plus, _ in counts), sum(minus for _, minus in counts)
    title = f"Apply the joined work: {len(changes)} files, +{added} −{removed}?"
    lines = [
        f"{change.path} {'(new) ' if change.creates else ''}+{plus} −{minus}"
        for change, (plus, minus) in zip(changes, counts, strict=True)
    ]
    return title, visible("\n".join([*lines, "", *diffs]))


def _count(diff: str, mark: str) -> int:
    """Lines of a diff, past its head, that begin with the mark."""
    return sum(line.startswith(mark) for line in split_lines(diff)[2:])
