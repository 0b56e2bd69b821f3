"""Proposed changes, shown in the document that they would change: diagnostics, hover, and quick fixes for each hunk.

A quick fix carries the edit, which the editor applies itself, and a command that tells us the verdict. Whether the edit
really was made is read from our mirror of the document; where it was not, applying the accepted change makes it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lsprotocol import types

from agentic.change import Change, unified_diff
from agentic.errors import Refusal
from agentic.events import AnsweredBy, Hunk
from agentic.merge import Placed, place
from agentic.ports.asker import HunkVerdict, Proposal, Verdict
from agentic.safety.paths import Roots
from agentic.task import new_id
from agentic.text import line_of, line_starts
from agentic_server.editor_edits import SETTLE_SECONDS
from agentic_server.editor_port import EditorClient
from agentic_server.protocol import Amend
from agentic_server.review_actions import Shown, code_actions, diagnostic, hover


@dataclass(slots=True)
class _Review:
    """A proposal that waits for its verdict."""

    proposal: Proposal
    path: str
    visible: bool
    verdicts: dict[str, HunkVerdict] = field(default_factory=dict[str, HunkVerdict])
    amended: dict[str, str] = field(default_factory=dict[str, str])
    awaited: set[str] = field(default_factory=set[str])
    """Accepted hunks that the client says it has applied, and that our mirror does not show yet."""
    made: set[str] = field(default_factory=set[str])
    """Hunks that the document holds."""
    deadline: float = 0.0
    """Until when to wait for the awaited, on the monotonic clock."""
    by: AnsweredBy = "user"
    reason: str = ""
    woken: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def undecided(self) -> list[Hunk]:
        return [hunk for hunk in self.proposal.hunks if hunk.id not in self.verdicts]

    @property
    def verdict(self) -> Verdict:
        hunks: dict[str, HunkVerdict] = {hunk.id: self.verdicts.get(hunk.id, "reject") for hunk in self.proposal.hunks}
        return Verdict(hunks, self.amended, self.by, self.reason)


class Reviews:
    """All proposals that wait for a verdict, by their id."""

    def __init__(self, editor: EditorClient, roots: Roots, settle: float = SETTLE_SECONDS) -> None:
        self._editor = editor
        self._roots = roots
        self._settle = settle
        self._pending: dict[str, _Review] = {}
        self._published: dict[str, list[types.Diagnostic]] = {}

    async def review(self, proposal: Proposal, visible: bool = True) -> Verdict:
        """Show a proposal and wait until each hunk has its verdict; cancelling withdraws it.

        `visible`: as diagnostics; clients that show proposals by themselves need none.
        """
        resolved = self._roots.resolve(proposal.change.path)
        if isinstance(resolved, Refusal):
            return Verdict(by="client_error", reason=resolved.message)
        review = _Review(proposal, str(resolved.absolute), visible)
        self._pending[proposal.id] = review
        try:
            return await self._verdict(review)
        finally:
            del self._pending[proposal.id]
            self._publish(review.path)

    async def offer(self, change: Change) -> None:
        """Show a change that only the user's own hand can apply, and wait until they have said something to it."""
        item = new_id("offer")
        hunks = [_hunk(change, index, f"{item}/{index + 1}") for index in range(len(change.edits))]
        diff = unified_diff(change.path, change.before, change.after)
        await self.review(Proposal(item, session="", turn="", call="", change=change, hunks=hunks, diff=diff))

    def decide(
        self,
        item: str,
        hunks: Mapping[str, HunkVerdict | Amend],
        applied_by_client: bool = False,
        by: AnsweredBy = "user",
        reason: str = "",
    ) -> bool:
        """Take a verdict; False when the proposal is unknown or has had its verdict.

        `applied_by_client` is what our quick fixes say: it is for the named hunks only, and the edits of accepted ones
        are to be expected in the document. Otherwise the verdict is for the whole proposal: hunks that it does not
        name are rejected.
        """
        review = self._pending.get(item)
        if review is None:
            return False
        self._look(review)
        if not review.undecided:
            return False
        for hunk in review.undecided:
            said = hunks.get(hunk.id) if applied_by_client else hunks.get(hunk.id, "reject")
            if isinstance(said, Amend):
                review.verdicts[hunk.id], review.amended[hunk.id] = "amend", said.amend
            elif said is not None:
                review.verdicts[hunk.id] = said
                if applied_by_client and said == "accept":
                    review.awaited.add(hunk.id)
        review.deadline = time.monotonic() + self._settle
        review.by, review.reason = by, reason
        review.woken.set()
        return True

    async def out_of_sight(self, proposal: Proposal) -> None:
        """Wait until the proposal's document is not open in the editor, which it may be from the start."""
        resolved = self._roots.resolve(proposal.change.path)
        path = "" if isinstance(resolved, Refusal) else str(resolved.absolute)
        with self._editor.watch(path) as watch:
            while self._editor.document(path) is not None:
                await watch.changed()

    def hover(self, path: str, position: types.Position) -> types.Hover | None:
        """The proposals for the line, as diffs."""
        at = types.Range(position, position)
        return hover([shown for _, shown in self._shown(path) if shown.touches(at)])

    def code_actions(
        self, path: str, where: types.Range, diagnostics: Sequence[types.Diagnostic] = ()
    ) -> list[types.CodeAction]:
        """Accept and reject for each hunk in the range, and for the whole of a proposal with several."""
        document = self._editor.document(path)
        if document is None:
            return []
        actions: list[types.CodeAction] = []
        for review in self._reviews_of(path):
            shown = self._shown_of(review)
            here = [one for one in shown if one.touches(where)]
            actions += code_actions(self._editor, document, review.proposal.id, (shown, here), diagnostics)
        return actions

    async def _verdict(self, review: _Review) -> Verdict:
        with self._editor.watch(review.path) as watch:
            while True:
                self._look(review)
                self._publish(review.path)
                waiting = review.deadline - time.monotonic() if review.awaited else 0.0
                if not review.undecided and waiting <= 0:
                    return review.verdict
                review.woken.clear()
                timeout = None if review.undecided else waiting
                if await _first(watch.changed(), review.woken.wait(), self._editor.gone(), timeout=timeout) == 2:
                    reason = "The connection to the editor is closed."
                    self.decide(review.proposal.id, {}, by="client_error", reason=reason)
                    return review.verdict

    def _look(self, review: _Review) -> None:
        """Compare with the document: what it holds is accepted, and what the user took back is open again."""
        document = self._editor.document(review.path)
        if document is None:
            return
        change = review.proposal.change
        placed = place(change.before, change.edits, document.text)
        for hunk, one in zip(review.proposal.hunks, placed, strict=False):
            if one.state == "made":
                review.made.add(hunk.id)
                review.awaited.discard(hunk.id)
                review.verdicts.setdefault(hunk.id, "accept")
            elif hunk.id in review.made:
                review.made.discard(hunk.id)
                if review.verdicts.get(hunk.id) == "accept":
                    del review.verdicts[hunk.id]

    def _publish(self, path: str) -> None:
        """Show what is still to be decided in this file, unless that is what is shown."""
        diagnostics = [diagnostic(shown) for review, shown in self._shown(path) if review.visible]
        if diagnostics != self._published.get(path, []):
            self._editor.publish_diagnostics(path, diagnostics)
            self._published[path] = diagnostics
        if not diagnostics:
            self._published.pop(path, None)

    def _reviews_of(self, path: str) -> list[_Review]:
        return [review for review in self._pending.values() if review.path == path]

    def _shown(self, path: str) -> Iterator[tuple[_Review, Shown]]:
        for review in self._reviews_of(path):
            for shown in self._shown_of(review):
                yield review, shown

    def _shown_of(self, review: _Review) -> list[Shown]:
        """The undecided hunks, in the text that the user sees, or for a closed file in the text that they changed."""
        change, hunks = review.proposal.change, review.proposal.hunks
        document = self._editor.document(review.path)
        text = change.before if document is None else document.text
        placed: list[Placed] = place(change.before, change.edits, text)
        starts, encoding, count = line_starts(text), self._editor.profile.encoding, len(hunks)
        return [
            Shown.at(one, hunk, (index, count), (text, starts, encoding))
            for index, (hunk, one) in enumerate(zip(hunks, placed, strict=False), 1)
            if hunk.id not in review.verdicts
        ]


def _hunk(change: Change, index: int, name: str) -> Hunk:
    edit = change.edits[index]
    starts = line_starts(change.before)
    after = change.keep([index]).after
    diff = unified_diff(change.path, change.before, after)
    return Hunk(name, line_of(starts, edit.start) + 1, line_of(starts, edit.end) + 1, diff)


async def _first(*waits: Coroutine[Any, Any, object], timeout: float | None) -> int:
    """Wait for the first of them; its index, or -1 when none was in time. The others are cancelled."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(wait) for wait in waits]
        await asyncio.wait(tasks, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        done = next((index for index, task in reversed([*enumerate(tasks)]) if task.done()), -1)
        for task in tasks:
            task.cancel()
    return done
