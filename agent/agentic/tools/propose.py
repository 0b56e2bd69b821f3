"""The one way from a planned change to a changed file: propose, review, apply, tell."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from agentic.change import Applied, Change, Edit, Outcome, Snapshot, minimal_edits, unified_diff
from agentic.edits.hunks import amended, hunks_of
from agentic.errors import Refusal
from agentic.events import EditProposed, EditResolved, Hunk
from agentic.merge import place
from agentic.ports.asker import HunkVerdict, Proposal, Verdict
from agentic.safety.approvals import binding
from agentic.task import new_id
from agentic.tools.base import ToolContext, ToolResult, refused
from agentic.tools.lines import excerpt
from agentic.tools.questions import APPROVAL_SECONDS

_BROKEN = ToolResult("The edit broke; see the log.", "internal")
_CANCELLED = ToolResult("The turn was cancelled.", "cancelled")


@dataclass(frozen=True, slots=True)
class _Resolution:
    """What became of a proposal, for the user (an event) and for the model (a result)."""

    outcome: Outcome
    result: ToolResult
    reason: str = ""
    version: str = ""
    saved: bool = True
    hunks: Mapping[str, HunkVerdict] = field(default_factory=dict[str, HunkVerdict])


@dataclass(frozen=True, slots=True)
class _Reviewed:
    """What the user left of a change."""

    change: Change
    verdict: Verdict
    hunks: Mapping[str, HunkVerdict]


async def propose(context: ToolContext, call: str, tool: str, arguments: str, change: Change) -> ToolResult:
    """Put the change before the user where policy says so, and apply what is left of it. `arguments` is JSON text.

    `EditProposed` is closed by one `EditResolved` on every path. Without a clear yes nothing is applied.
    """
    item = new_id("edit")
    diff = unified_diff(change.path, change.before, change.after)
    proposal = Proposal(
        item,
        context.task.session,
        context.task.turn,
        call,
        change,
        hunks_of(item, change),
        diff,
        binding(tool, arguments, ".", change.before),
    )
    if context.approval == "ask":
        # Before the event: whoever sees it may answer at once.
        await context.store.offer(item, proposal.binding, time.time() + APPROVAL_SECONDS)
    context.emit(_proposed(context, proposal))
    resolution = _Resolution("failed", _BROKEN, _BROKEN.text)
    try:
        resolution = await _resolve(context, proposal)
    except asyncio.CancelledError:
        resolution = await asyncio.shield(_cancelled(context, change))
        raise
    finally:
        context.emit(_resolved(context, proposal, resolution))
    return resolution.result


async def _resolve(context: ToolContext, proposal: Proposal) -> _Resolution:
    if context.approval == "allow":
        return await _apply(context, _Reviewed(proposal.change, Verdict(by="policy"), {}))
    verdict = await context.asker.review(proposal)
    reviewed = _keep(proposal, verdict)
    if not reviewed.change.edits:
        return _rejected(reviewed)
    if not await context.store.use(proposal.id, proposal.binding):
        refusal = Refusal("denied", "The approval had expired or was used before.", "Propose the edit again.")
        return _Resolution("rejected", refused(refusal), refusal.message, hunks=reviewed.hunks)
    return await _apply(context, reviewed)


def _keep(proposal: Proposal, verdict: Verdict) -> _Reviewed:
    """The change with what the user accepted and amended; anything but a clear verdict is a rejection."""
    change = proposal.change
    clear = verdict.by in ("user", "policy")
    verdicts: dict[str, HunkVerdict] = {}
    edits: list[Edit] = []
    for hunk, edit in zip(proposal.hunks, change.edits, strict=True):
        said = verdict.hunks.get(hunk.id) if clear else None
        if said == "amend" and hunk.id in verdict.amended:
            verdicts[hunk.id] = "amend"
            edits += amended(change, hunk, verdict.amended[hunk.id])
        elif said == "accept":
            verdicts[hunk.id] = "accept"
            edits.append(edit)
        else:
            verdicts[hunk.id] = "reject"
    return _Reviewed(replace(change, edits=tuple(edits)), verdict, verdicts)


def _rejected(reviewed: _Reviewed) -> _Resolution:
    verdict = reviewed.verdict
    who = "The user rejected this edit" if verdict.by == "user" else f"Nobody approved this edit ({verdict.by})"
    reason = f": {verdict.reason}" if verdict.reason else " and gave no reason."
    refusal = Refusal("rejected", f"{who}{reason}", "Nothing was changed. Do not propose it again unchanged.")
    outcome: Outcome = "cancelled" if verdict.by == "cancelled" else "rejected"
    return _Resolution(outcome, refused(refusal), verdict.reason or who, hunks=reviewed.hunks)


async def _apply(context: ToolContext, reviewed: _Reviewed) -> _Resolution:
    change = reviewed.change
    applied = await context.workspace.apply(change)
    if isinstance(applied, Refusal):
        outcome = _OUTCOMES.get(applied.code, "failed")
        return _Resolution(outcome, refused(applied), applied.message, hunks=reviewed.hunks)
    _remember(context, change, applied)
    return _Resolution(
        "applied",
        ToolResult(_report(reviewed, applied), path=applied.path),
        "rebased" if applied.rebased else "",
        applied.version,
        applied.saved,
        reviewed.hunks,
    )


async def _cancelled(context: ToolContext, change: Change) -> _Resolution:
    """What is so after a cancellation: an edit that was on its way may have arrived."""
    now = await context.workspace.read(change.path)
    if isinstance(now, Snapshot) and now.exists and _arrived(change, now.text):
        return _Resolution("applied", _CANCELLED, _CANCELLED.text, now.version, not now.open)
    return _Resolution("cancelled", _CANCELLED, _CANCELLED.text)


def _arrived(change: Change, now: str) -> bool:
    """Whether the text holds the change, or the part of it that the user had accepted."""
    if change.creates:
        return now == change.after
    return any(one.state == "made" for one in place(change.before, change.edits, now))


_OUTCOMES: dict[str, Outcome] = {"conflict": "conflict", "rejected": "rejected", "cancelled": "cancelled"}


def _remember(context: ToolContext, change: Change, applied: Applied) -> None:
    """The model knows the new version where it knew the old one and nobody else wrote meanwhile."""
    if change.creates or context.seen.get(change.path) == change.version:
        context.seen[change.path] = "" if applied.rebased else applied.version


def _report(reviewed: _Reviewed, applied: Applied) -> str:
    change = reviewed.change
    lines = [f"{'Created' if change.creates else 'Changed'} {applied.path}."]
    if applied.rebased:
        lines.append("The file had changed meanwhile; the edit was carried over to its new text.")
    if not applied.saved:
        lines.append("It stands in the editor, unsaved; before a command runs, the user is asked to save.")
    lines += _verdict_lines(reviewed)
    if not _as_written(reviewed, applied):
        lines.append(excerpt(applied.text, _places(change, applied.text)))
    return "\n".join(lines)


def _as_written(reviewed: _Reviewed, applied: Applied) -> bool:
    """Whether the file is a new one with the very text of the call, which the model need not be shown again."""
    change = reviewed.change
    return change.creates and applied.text == change.after and "amend" not in reviewed.hunks.values()


def _verdict_lines(reviewed: _Reviewed) -> list[str]:
    said = list(reviewed.hunks.values())
    numbers = ", ".join(str(number) for number, verdict in enumerate(said, 1) if verdict == "reject")
    lines: list[str] = []
    if numbers:
        reason = f" Reason: {reviewed.verdict.reason}" if reviewed.verdict.reason else ""
        lines.append(f"The user rejected part {numbers} of {len(said)}: do not propose it again unchanged.{reason}")
    if "amend" in said:
        lines.append("The user amended the edit; the lines below are what the file holds now.")
    return lines


def _places(change: Change, after: str) -> Sequence[tuple[int, int]]:
    """Where the new text differs from the one before, as spans of it."""
    places: list[tuple[int, int]] = []
    moved = 0
    for edit in change.edits if change.after == after else minimal_edits(change.before, after):
        start = edit.start + moved
        places.append((start, start + len(edit.new)))
        moved += len(edit.new) - (edit.end - edit.start)
    return places


def _proposed(context: ToolContext, proposal: Proposal) -> EditProposed:
    change = proposal.change
    hunks: list[Hunk] = list(proposal.hunks)
    return EditProposed(
        **context.origin,
        item=proposal.id,
        call=proposal.call,
        path=change.path,
        version=change.version,
        creates=change.creates,
        diff=proposal.diff,
        hunks=hunks,
    )


def _resolved(context: ToolContext, proposal: Proposal, resolution: _Resolution) -> EditResolved:
    return EditResolved(
        **context.origin,
        item=proposal.id,
        outcome=resolution.outcome,
        path=proposal.change.path,
        reason=resolution.reason,
        version=resolution.version,
        saved=resolution.saved,
        hunks=dict(resolution.hunks),
    )
