from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types
from support.fake_editor import FULL, FakeEditor

from agentic.change import Applied, Change, Snapshot, minimal_edits, unified_diff
from agentic.disk.workspace import DiskWorkspace
from agentic.events import Hunk
from agentic.ports.asker import Proposal, Verdict
from agentic.safety.paths import Roots
from agentic_server.editor_workspace import EditorWorkspace
from agentic_server.protocol import Amend, ReviewParams, parse
from agentic_server.review import Reviews

BEFORE = "one\ntwo\nthree\nfour\n"
AFTER = "ONE\ntwo\nTHREE\nfour\n"
ACCEPT, REJECT = "Agentic: accept this change", "Agentic: reject this change"


class Desk:
    """A file open in an editor, a proposal for it, and the task that waits for its verdict."""

    def __init__(self, file: Path, before: str = BEFORE, after: str = AFTER, editor: FakeEditor | None = None) -> None:
        self.file = file
        self.editor = editor or FakeEditor()
        self.editor.open(file)
        self.roots = Roots([file.parent])
        self.reviews = Reviews(self.editor, self.roots, settle=0.05)
        edits = minimal_edits(before, after)
        self.change = Change("a.txt", "v1", before, edits)
        hunks = [Hunk(f"h{i}", 1, 2, f"-old {i}\n+new {i}\n") for i in range(1, len(edits) + 1)]
        diff = unified_diff("a.txt", before, after)
        self.proposal = Proposal("p1", "s", "t", "c", self.change, hunks, diff)

    @asynccontextmanager
    async def reviewing(self) -> AsyncGenerator[asyncio.Task[Verdict]]:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.reviews.review(self.proposal))
            await self.editor.asked.wait()
            yield task

    def shown(self) -> list[tuple[int, object]]:
        return [(d.range.start.line, d.code) for d in self.editor.diagnostics.get(str(self.file), [])]

    async def shows(self, expected: list[tuple[int, object]]) -> None:
        while self.shown() != expected:
            self.editor.asked.clear()
            await self.editor.asked.wait()

    def actions(self, line: int) -> dict[str, types.CodeAction]:
        at = types.Range(types.Position(line, 0), types.Position(line, 0))
        diagnostics = self.editor.diagnostics[str(self.file)]
        return {a.title: a for a in self.reviews.code_actions(str(self.file), at, diagnostics)}

    def run(self, action: types.CodeAction) -> bool:
        """What the editor does after the edit of a quick fix: it sends the command."""
        assert action.command is not None
        params: Any = parse(action.command.command, action.command.arguments)
        assert isinstance(params, ReviewParams)
        return self.reviews.decide(params.item_id, params.hunks, params.applied_by_client)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    (tmp_path / "a.txt").write_text(BEFORE)
    return Desk(tmp_path / "a.txt")


async def test_a_proposal_is_a_diagnostic_for_each_hunk_until_it_is_decided(desk: Desk):
    async with desk.reviewing() as task:
        assert desk.shown() == [(0, "h1"), (2, "h2")]
        first = desk.editor.diagnostics[str(desk.file)][0]
        assert (first.severity, first.source) == (types.DiagnosticSeverity.Information, "agentic")
        assert first.message == "Proposed change 1 of 2:\n-old 1\n+new 1\n"
        assert desk.reviews.decide("p1", {"h1": "accept", "h2": Amend("3\n")})
        verdict = await task
    assert (verdict.hunks, verdict.amended) == ({"h1": "accept", "h2": "amend"}, {"h2": "3\n"})
    assert desk.shown() == []
    assert not desk.reviews.decide("p1", {"h1": "reject"})


async def test_a_verdict_that_leaves_hunks_out_rejects_them(desk: Desk):
    async with desk.reviewing() as task:
        desk.reviews.decide("p1", {"h2": "accept"})
    assert task.result().hunks == {"h1": "reject", "h2": "accept"}


async def test_quick_fixes_carry_the_edit_and_tell_the_verdict(desk: Desk):
    async with desk.reviewing() as task:
        assert sorted(desk.actions(2)) == [
            "Agentic: accept all 2 changes",
            ACCEPT,
            "Agentic: reject all 2 changes",
            REJECT,
        ]
        accept = desk.actions(2)[ACCEPT]
        assert [d.code for d in accept.diagnostics or []] == ["h2"]
        assert accept.is_preferred
        desk.editor.choose(accept)
        assert desk.editor.text(desk.file) == "one\ntwo\nTHREE\nfour\n"
        desk.run(accept)
        await desk.shows([(0, "h1")])
        assert "Agentic: accept all 2 changes" not in desk.actions(0)
        assert desk.run(desk.actions(0)[REJECT])
    assert task.result().hunks == {"h1": "reject", "h2": "accept"}
    assert desk.editor.text(desk.file) == "one\ntwo\nTHREE\nfour\n"


async def test_what_the_client_applied_is_not_applied_again(desk: Desk):
    async with desk.reviewing() as task:
        accept = desk.actions(0)["Agentic: accept all 2 changes"]
        desk.editor.choose(accept)
        desk.run(accept)
    assert set(task.result().hunks.values()) == {"accept"}
    workspace = EditorWorkspace(DiskWorkspace(desk.roots), desk.roots, desk.editor, settle=0.05)
    assert isinstance(await workspace.apply(desk.change), Applied)
    assert desk.editor.edits == []
    assert desk.editor.text(desk.file) == AFTER


async def test_an_edit_that_the_client_claims_but_did_not_make_is_still_to_be_applied(desk: Desk):
    async with desk.reviewing() as task:
        assert desk.run(desk.actions(0)["Agentic: accept all 2 changes"])
    assert set(task.result().hunks.values()) == {"accept"}
    workspace = EditorWorkspace(DiskWorkspace(desk.roots), desk.roots, desk.editor, settle=0.05)
    result = await workspace.apply(desk.change)
    assert isinstance(result, Applied)
    assert (result.text, len(desk.editor.edits)) == (AFTER, 1)


async def test_the_change_may_be_reported_after_the_command(desk: Desk):
    desk.reviews = Reviews(desk.editor, desk.roots, settle=60)
    async with desk.reviewing() as task:
        accept = desk.actions(0)["Agentic: accept all 2 changes"]
        assert desk.run(accept)
        assert accept.edit is not None
        await desk.shows([])
        assert not task.done()
        desk.editor.choose(accept)
        assert set((await task).hunks.values()) == {"accept"}


async def test_an_edit_without_its_command_counts_and_taking_it_back_opens_it_again(desk: Desk):
    async with desk.reviewing() as task:
        desk.editor.choose(desk.actions(0)[ACCEPT])
        await desk.shows([(2, "h2")])
        desk.editor.type(desk.file, 0, "one", erase=3)
        desk.editor.report()
        await desk.shows([(0, "h1"), (2, "h2")])
        desk.reviews.decide("p1", {})
    assert set(task.result().hunks.values()) == {"reject"}


async def test_typing_moves_the_hunks_and_their_edits(desk: Desk):
    async with desk.reviewing() as task:
        desk.editor.type(desk.file, 4, "typed\n")
        desk.editor.report()
        await desk.shows([(0, "h1"), (3, "h2")])
        desk.editor.choose(desk.actions(3)[ACCEPT])
        assert desk.editor.text(desk.file) == "one\ntyped\ntwo\nTHREE\nfour\n"
        desk.reviews.decide("p1", {})
    assert task.result().hunks == {"h1": "reject", "h2": "accept"}


async def test_a_hunk_whose_place_was_changed_says_so_and_cannot_be_accepted(desk: Desk):
    async with desk.reviewing() as task:
        desk.editor.type(desk.file, 0, "uno", erase=3)
        desk.editor.report()
        while "conflicts" not in desk.editor.diagnostics[str(desk.file)][0].message:
            desk.editor.asked.clear()
            await desk.editor.asked.wait()
        assert sorted(desk.actions(0)) == ["Agentic: reject all 2 changes", REJECT]
        desk.reviews.decide("p1", {})
    assert set(task.result().hunks.values()) == {"reject"}


async def test_hover_shows_the_diff_of_the_line(desk: Desk):
    async with desk.reviewing():
        hover = desk.reviews.hover(str(desk.file), types.Position(2, 1))
        assert hover is not None
        assert isinstance(hover.contents, types.MarkupContent)
        assert hover.contents.value == "**Agentic: proposed change 2 of 2**\n\n```diff\n-old 2\n+new 2\n```"
        assert desk.reviews.hover(str(desk.file), types.Position(1, 0)) is None
        desk.reviews.decide("p1", {})
    assert desk.reviews.hover(str(desk.file), types.Position(2, 1)) is None


async def test_cancelling_withdraws_the_proposal(desk: Desk):
    async with desk.reviewing() as task:
        assert len(desk.shown()) == 2
        task.cancel()
    assert desk.shown() == []
    assert not desk.reviews.decide("p1", {"h1": "accept"})


async def test_closing_the_document_is_no_consent(desk: Desk):
    async with desk.reviewing() as task:
        desk.editor.close(desk.file)
        desk.editor.open(desk.file)
        await asyncio.sleep(0)
        assert not task.done()
        desk.reviews.decide("p1", {})
    assert set(task.result().hunks.values()) == {"reject"}


async def test_a_connection_that_closes_rejects(desk: Desk):
    async with desk.reviewing() as task:
        desk.reviews.decide("p1", {"h1": "accept"}, applied_by_client=True)
        desk.editor.closed.set()
    assert (task.result().by, task.result().hunks["h2"]) == ("client_error", "reject")


async def test_an_editor_that_takes_edits_only_from_the_users_hand_gets_proposals(tmp_path: Path):
    (tmp_path / "a.txt").write_text(BEFORE)
    editor = FakeEditor(replace(FULL, apply_edit_only_after_action=True, document_changes=False))
    desk = Desk(tmp_path / "a.txt", editor=editor)
    workspace = EditorWorkspace(DiskWorkspace(desk.roots), desk.roots, editor, hand=desk.reviews, settle=0.05)
    snapshot = await workspace.read("a.txt")
    assert isinstance(snapshot, Snapshot)
    async with asyncio.TaskGroup() as group:
        applying = group.create_task(workspace.apply(desk.change))
        await editor.asked.wait()
        accept = desk.actions(0)["Agentic: accept all 2 changes"]
        editor.choose(accept)
        desk.run(accept)
    assert isinstance(applying.result(), Applied)
    assert (editor.edits, editor.text(desk.file)) == ([], AFTER)
