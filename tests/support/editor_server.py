"""A server with nothing but the editor's side of the agent: apply, ask and review by command, for the tests of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from lsprotocol import types

from agentic.change import Applied, Change, Snapshot, minimal_edits, unified_diff
from agentic.disk.workspace import DiskWorkspace
from agentic.events import Hunk
from agentic.ports.asker import Proposal, Question
from agentic.safety.paths import Roots
from agentic_server.editor_asker import EditorAsker
from agentic_server.editor_client import LspEditorClient
from agentic_server.editor_workspace import EditorWorkspace
from agentic_server.from_lsp import path_of
from agentic_server.hardened import HardenedServer
from agentic_server.protocol import ReviewParams, parse
from agentic_server.review import Reviews

server = HardenedServer("editor", "1")
editor = LspEditorClient(server)
roots = Roots([Path(sys.argv[1])])
reviews = Reviews(editor, roots, settle=1)
workspace = EditorWorkspace(DiskWorkspace(roots), roots, editor, settle=1)
asker = EditorAsker(editor, reviews)


async def change_of(path: str, after: str) -> Change:
    now = await workspace.read(path)
    assert isinstance(now, Snapshot)
    return Change(path, now.version, now.text, minimal_edits(now.text, after))


@server.command("test.apply")
async def apply(path: str, after: str) -> list[Any]:
    result = await workspace.apply(await change_of(path, after))
    return ["applied", result.text] if isinstance(result, Applied) else [result.code, result.message]


@server.command("test.ask")
async def ask() -> list[str]:
    reply = await asker.ask(Question("q", "s", "t", "c", "Run it?", "ls"))
    return [reply.option, reply.by]


@server.command("test.review")
async def review(path: str, after: str) -> dict[str, str]:
    change = await change_of(path, after)
    hunks = [Hunk(f"h{i}", 1, 2, "-\n+\n") for i in range(len(change.edits))]
    diff = unified_diff(path, change.before, after)
    verdict = await asker.review(Proposal("p", "s", "t", "c", change, hunks, diff))
    return dict(verdict.hunks)


@server.command("agentic.review")
async def decide(argument: Any) -> bool:
    params: Any = parse("agentic.review", [argument])
    assert isinstance(params, ReviewParams)
    return reviews.decide(params.item_id, params.hunks, params.applied_by_client)


@server.feature(types.TEXT_DOCUMENT_CODE_ACTION)
def code_action(params: types.CodeActionParams) -> list[types.CodeAction]:
    return reviews.code_actions(path_of(params.text_document.uri), params.range, params.context.diagnostics)


@server.feature(types.TEXT_DOCUMENT_HOVER)
def hover(params: types.HoverParams) -> types.Hover | None:
    return reviews.hover(path_of(params.text_document.uri), params.position)


if __name__ == "__main__":
    server.serve_stdio()
