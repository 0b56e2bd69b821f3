"""Taking back what a turn wrote and keeping what was typed since, by a three-way merge with what the log holds."""

from __future__ import annotations

from typing import Protocol

from agentic.change import Change, Snapshot, minimal_edits
from agentic.disk.journal import settle_interrupted
from agentic.errors import AgenticError, Refusal
from agentic.merge import merge
from agentic.ports.store import Intent, Store
from agentic.ports.workspace import Workspace
from agentic_server.protocol import UndoneFile, UndoTaskResult


class Undoable(Workspace, Protocol):
    """A workspace from which files can be removed."""

    async def remove(self, path: str, version: str) -> Refusal | None:
        """Remove a file that still has this version. Refuses: conflict, rejected, io_error, outside_workspace."""
        ...


async def undo_turn(store: Store, workspace: Undoable, session: str, turn: str | None) -> UndoTaskResult:
    """Undo the edits of a turn, the last one first; without a turn, of the last that changed something.

    A file that cannot be taken back is left as it is and said to be so.

    :raises AgenticError: there is nothing to undo.
    """
    await settle_interrupted(store, workspace, session)
    done = [intent for intent in await store.intents(session) if intent.kind == "edit" and intent.state == "done"]
    wanted = turn or (done[-1].turn if done else "")
    edits = [intent for intent in done if intent.turn == wanted]
    if not edits:
        raise AgenticError("There is no edit to undo.", "Only turns that changed files can be undone, once.")
    files: dict[str, UndoneFile] = {}
    for intent in reversed(edits):
        if intent.target not in files or files[intent.target].outcome == "applied":
            files[intent.target] = await _undo(store, workspace, intent)
    return UndoTaskResult(list(files.values()))


async def _undo(store: Store, workspace: Undoable, intent: Intent) -> UndoneFile:
    path = intent.target
    now = await workspace.read(path)
    if isinstance(now, Refusal):
        return UndoneFile(path, "failed", str(now))
    if not intent.existed:
        return await _uncreate(store, workspace, intent, now)
    if not now.exists:
        return UndoneFile(path, "conflict", "The file is gone.")
    wanted = merge(intent.after, minimal_edits(intent.after, intent.before), now.text)
    if isinstance(wanted, Refusal):
        return UndoneFile(path, "conflict", wanted.message)
    applied = await workspace.apply(Change(path, now.version, now.text, minimal_edits(now.text, wanted)))
    if isinstance(applied, Refusal):
        return UndoneFile(path, "conflict" if applied.code == "conflict" else "failed", str(applied))
    await store.settle(intent.id, "undone")
    return UndoneFile(path, "applied")


async def _uncreate(store: Store, workspace: Undoable, intent: Intent, now: Snapshot) -> UndoneFile:
    """Remove a file that the turn created, unless somebody has changed it since."""
    path = intent.target
    if now.exists and now.text != intent.after:
        return UndoneFile(path, "conflict", "The turn created this file, and it was changed since: it stays.")
    refusal = await workspace.remove(path, now.version) if now.exists else None
    if refusal is not None:
        return UndoneFile(path, "conflict" if refusal.code == "conflict" else "rejected", str(refusal))
    await store.settle(intent.id, "undone")
    return UndoneFile(path, "applied")
