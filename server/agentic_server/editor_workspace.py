"""The workspace port over an editor: open documents as the user sees them, everything else from the disk.

The document wins over the file: reading and searching see unsaved text, and an edit of an open file goes through the
editor, into its undo history. Nothing is ever written to disk behind an editor that refused it.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from agentic.change import Applied, Change, Snapshot, minimal_edits
from agentic.disk.glob import matcher
from agentic.disk.journal import Journal, edit_intent, to_its_end
from agentic.disk.texts import search_with
from agentic.disk.workspace import DiskWorkspace
from agentic.errors import Refusal
from agentic.merge import merge, place
from agentic.ports.problems import Problems
from agentic.ports.store import Intent
from agentic.ports.workspace import Checkout, Command, Entry, Exit, Match, Output
from agentic.safety.paths import Roots
from agentic_server.editor_edits import SETTLE_SECONDS, Sent, closed_file_edit, same_text, send, send_and_watch
from agentic_server.editor_port import EditorClient, OpenDocument
from agentic_server.editor_problems import problems_in

ClosedFiles = Literal["auto", "workspaceEdit", "disk"]
"""How files that are not open are written; auto: through the editor where it is known to save them."""

ATTEMPTS = 4
"""How often an edit is planned anew because the user typed while it was under way."""

NOT_IN_COPIES = ("denied", "outside_workspace")
"""Refusals of documents that a copy does not have: git's own, such as a message that is being written, and those in
folders to which it has a link."""


class Hand(Protocol):
    """Whoever can put a change before the user so that they apply it with their own hand."""

    async def offer(self, change: Change) -> None:
        """Show the change and wait until the user has said something to each of its hunks."""
        ...


@dataclass(frozen=True, slots=True)
class _File:
    relative: str
    absolute: str


@dataclass(frozen=True, slots=True)
class _Unsaved:
    """An open document whose text is not what is on disk."""

    path: str
    text: str
    on_disk: bool

    @property
    def entry(self) -> Entry:
        return Entry(self.path, False, len(self.text.encode("utf-8", "replace")))


class EditorWorkspace:
    """Implements `Workspace`. `hand` is for editors that take no edits but those that the user asks for."""

    def __init__(
        self,
        disk: DiskWorkspace,
        roots: Roots,
        editor: EditorClient,
        closed_files: ClosedFiles = "auto",
        hand: Hand | None = None,
        settle: float = SETTLE_SECONDS,
    ) -> None:
        self._disk = disk
        self._roots = roots
        self._editor = editor
        self.closed_files: ClosedFiles = closed_files
        self._hand = hand
        self._settle = settle
        self._locks: dict[str, asyncio.Lock] = {}
        self._journal: Journal | None = None

    def for_turn(self, journal: Journal) -> EditorWorkspace:
        """The same workspace, with its writes journalled under this turn, those to open documents too."""
        disk = self._disk.for_turn(journal)
        view = EditorWorkspace(disk, self._roots, self._editor, self.closed_files, self._hand, self._settle)
        view._locks = self._locks
        view._journal = journal
        return view

    @property
    def roots(self) -> Sequence[str]:
        return self._disk.roots

    async def read(self, path: str) -> Snapshot | Refusal:
        on_disk = await self._disk.read(path)
        if isinstance(on_disk, Refusal):
            return on_disk
        file = self._file(path)
        document = None if isinstance(file, Refusal) else self._editor.document(file.absolute)
        if document is None:
            return on_disk
        return Snapshot(on_disk.path, document.text, _version(document), open=True)

    async def apply(self, change: Change) -> Applied | Refusal:
        resolved = self._roots.resolve_for_write(change.path)
        if isinstance(resolved, Refusal):
            return resolved
        file = _File(resolved.relative, str(resolved.absolute))
        async with self._locks.setdefault(file.absolute, asyncio.Lock()):
            document = self._editor.document(file.absolute)
            if document is not None:
                return await self._apply_open(change, file, document)
            if self._by_editor(change):
                return await self._apply_closed(change, file)
            return await self._disk.apply(change)

    async def remove(self, path: str, version: str) -> Refusal | None:
        """Remove a file that no editor window shows and that still has this version."""
        resolved = self._roots.resolve_for_write(path)
        if isinstance(resolved, Refusal):
            return resolved
        if self._editor.document(str(resolved.absolute)) is not None:
            return Refusal("rejected", f"{path} is open in the editor.", "Close it and undo once more, or delete it.")
        return await self._disk.remove(path, version)

    async def list(self, path: str) -> list[Entry] | Refusal:
        entries = await self._disk.list(path)
        folder = self._file(path)
        if isinstance(entries, Refusal) or isinstance(folder, Refusal):
            return entries
        above = "" if folder.relative == "." else folder.relative
        unsaved = {f.path: f for f in await self._unsaved() if f.path.rpartition("/")[0] == above}
        files = [unsaved[e.path].entry if e.path in unsaved else e for e in entries if not e.is_dir]
        files += [f.entry for f in unsaved.values() if not f.on_disk]
        return [e for e in entries if e.is_dir] + sorted(files, key=lambda entry: entry.path)

    async def find(self, pattern: str, limit: int) -> list[str]:
        found = await self._disk.find(pattern, limit)
        new = [f.path for f in await self._unsaved() if not f.on_disk and matcher(pattern)(f.path)]
        return sorted({*found, *new})[:limit]

    async def search(self, pattern: str, glob: str, limit: int) -> list[Match] | Refusal:
        texts = {file.path: file.text for file in await self._unsaved()}
        return await search_with(self._disk.search, texts, pattern, glob, limit)

    async def unsaved(self) -> list[str]:
        return [file.path for file in await self._unsaved()]

    async def problems(self, paths: Sequence[str]) -> Problems | Refusal:
        return await problems_in(self._editor, self._roots, self.read, paths, self._disk.changed)

    async def check_out(self) -> Checkout | Refusal:
        """What is on the disk, with the unsaved text of open documents written into it."""
        checkout = await self._disk.check_out()
        if isinstance(checkout, Refusal):
            return checkout
        try:
            for file in await self._unsaved():
                refused = await checkout.write(file.path, file.text)
                if refused is not None and refused.code not in NOT_IN_COPIES:
                    await checkout.aclose()
                    return refused
        except BaseException:
            await checkout.aclose()
            raise
        return checkout

    def run(self, command: Command) -> AsyncGenerator[Output | Exit | Refusal]:
        return self._disk.run(command)

    async def _apply_open(self, change: Change, file: _File, document: OpenDocument) -> Applied | Refusal:
        for _ in range(ATTEMPTS):
            wanted = _carried(change, document.text)
            if isinstance(wanted, Refusal):
                return wanted
            if wanted == document.text:
                await self._note(change, file)
                return await self._applied(change, file, document)
            if not self._may_edit():
                return await self._by_hand(change, file)
            sent = await self._send(file, document, wanted)
            result = await self._sent(change, file, sent, (document.text, wanted))
            if not isinstance(result, OpenDocument):
                return result
            document = result
        return _conflict(file)

    async def _send(self, file: _File, document: OpenDocument, wanted: str) -> Sent:
        """Send an edit, with its intent written down before. Cancelling stops it; the intent tells what is so then."""
        intent = await self._prepare(file, document.text, wanted)
        try:
            return await send(self._editor, document, wanted, self._settle)
        finally:
            now = self._editor.document(file.absolute)
            made = now is not None and merge(document.text, minimal_edits(document.text, wanted), now.text) == now.text
            await self._settle_intent(intent, made)

    async def _prepare(self, file: _File, before: str | None, after: str) -> Intent | None:
        """Write down an edit before it is made; None where there is no journal."""
        if self._journal is None:
            return None
        intent = edit_intent(self._journal.session, self._journal.turn, file.relative, before, after)
        await self._journal.store.prepare(intent)
        return intent

    async def _settle_intent(self, intent: Intent | None, made: bool) -> None:
        if self._journal is not None and intent is not None:
            await to_its_end(self._journal.store.settle(intent.id, "done" if made else "failed"))

    async def _sent(
        self, change: Change, file: _File, sent: Sent, texts: tuple[str, str]
    ) -> Applied | Refusal | OpenDocument:
        """What came of an edit from the one text to the other; the document if the edit is to be planned anew."""
        document = self._editor.document(file.absolute)
        if document is None:
            return _refused(file, "the document was closed while the edit was under way")
        if sent.seen:
            return await self._applied(change, file, document)
        if not sent.changed:
            return _refused(file, sent.problem or "the editor or its user did not take the edit")
        again = _carried(change, document.text)
        if isinstance(again, Refusal):
            return again
        if again == document.text:
            return await self._applied(change, file, document)
        # Without versions the edit may have landed in the wrong place; and where it may have been made, and the user
        # typed inside of it since, a second one would double it.
        parts = place(texts[0], minimal_edits(*texts), document.text)
        missing = all(part.state == "pending" for part in parts)
        return document if missing and self._editor.profile.document_changes else _conflict(file)

    async def _by_hand(self, change: Change, file: _File) -> Applied | Refusal:
        """The user applies the change with a quick fix; what they left out is not made."""
        if self._hand is None:
            return _refused(file, "this editor takes no edits but those that its user asks for")
        await self._hand.offer(change)
        document = self._editor.document(file.absolute)
        if document is None or _carried(change, document.text) != document.text:
            return _refused(file, "the user did not apply it")
        await self._note(change, file)
        return await self._applied(change, file, document)

    async def _note(self, change: Change, file: _File) -> None:
        """Write down an edit that the user's own hand has made, a quick fix mostly, so that the turn can be undone."""
        intent = await self._prepare(file, None if change.creates else change.before, change.after)
        await self._settle_intent(intent, made=True)

    async def _applied(self, change: Change, file: _File, document: OpenDocument) -> Applied:
        on_disk = await self._disk.read(change.path)
        saved = isinstance(on_disk, Snapshot) and on_disk.exists and on_disk.text == document.text
        rebased = document.text != change.after
        return Applied(file.relative, _version(document), document.text, rebased=rebased, saved=saved)

    async def _apply_closed(self, change: Change, file: _File) -> Applied | Refusal:
        """Through the editor, which opens the file if it likes; what counts is the document, else the disk."""
        now = await self._disk.read(change.path)
        if isinstance(now, Refusal):
            return now
        if now.exists == change.creates and not (now.exists and now.text == change.after):
            what = "created" if now.exists else "deleted"
            return Refusal("conflict", f"{file.relative} was {what} meanwhile.", "Read it first.")
        wanted = merge(change.before, change.edits, now.text) if not change.creates else change.after
        if isinstance(wanted, Refusal):
            return wanted
        if now.exists and wanted == now.text:
            return Applied(file.relative, now.version, now.text, rebased=now.text != change.after)
        intent = await self._prepare(file, None if change.creates else now.text, wanted)
        result: Applied | Refusal | None = None
        try:
            result = await self._send_closed(file, now, wanted, change.creates)
            return result
        finally:
            await self._settle_intent(intent, isinstance(result, Applied))

    async def _send_closed(self, file: _File, now: Snapshot, wanted: str, creates: bool) -> Applied | Refusal:
        edit = closed_file_edit(self._editor, file.absolute, now.text, wanted, creates)
        sent = await send_and_watch(
            self._editor,
            file.absolute,
            edit,
            lambda texts: any(text is not None and same_text(text, wanted) for text in texts),
            self._settle,
        )
        return await self._closed_result(now, file, wanted, sent)

    async def _closed_result(self, before: Snapshot, file: _File, wanted: str, sent: Sent) -> Applied | Refusal:
        on_disk = await self._disk.read(file.relative)
        written = isinstance(on_disk, Snapshot) and on_disk.exists and same_text(on_disk.text, wanted)
        document = self._editor.document(file.absolute)
        if document is not None and same_text(document.text, wanted):
            return Applied(file.relative, _version(document), document.text, saved=written)
        if isinstance(on_disk, Snapshot) and written and on_disk.version != before.version:
            return Applied(file.relative, on_disk.version, on_disk.text)
        return _refused(file, sent.problem or "the editor did not make the edit")

    def _by_editor(self, change: Change) -> bool:
        """Whether a closed file's change goes through the editor."""
        profile = self._editor.profile
        able = self._may_edit() and (not change.creates or "create" in profile.resource_operations)
        if self.closed_files == "auto":
            return able and profile.saves_closed_files
        return able and self.closed_files == "workspaceEdit"

    def _may_edit(self) -> bool:
        return self._editor.profile.apply_edit and not self._editor.profile.apply_edit_only_after_action

    async def _unsaved(self) -> Sequence[_Unsaved]:
        different: list[_Unsaved] = []
        for document in self._editor.documents():
            file = self._file(document.path)
            on_disk = file if isinstance(file, Refusal) else await self._disk.read(file.relative)
            if isinstance(on_disk, Snapshot) and (on_disk.text != document.text or not on_disk.exists):
                different.append(_Unsaved(on_disk.path, document.text, on_disk.exists))
        return sorted(different, key=lambda file: file.path)

    def _file(self, path: str) -> _File | Refusal:
        resolved = self._roots.resolve(path)
        return resolved if isinstance(resolved, Refusal) else _File(resolved.relative, str(resolved.absolute))


def _carried(change: Change, now: str) -> str | Refusal:
    """The text that the document should get; a document that was new and empty may be filled."""
    if change.creates and now not in ("", change.after):
        return Refusal("conflict", f"{change.path} was created meanwhile.", "Read it first.")
    if now == change.after:
        return now
    wanted = merge(change.before, change.edits, now)
    if isinstance(wanted, Refusal):
        return Refusal("conflict", f"{change.path}: {wanted.message}", wanted.next_step)
    return wanted


def _version(document: OpenDocument) -> str:
    """The document's version and a part of its text's hash, for some clients count from anew."""
    return f"v{document.version}-{hashlib.sha256(document.text.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def _refused(file: _File, why: str) -> Refusal:
    return Refusal("rejected", f"The edit of {file.relative} was not made: {why}.", "Ask the user how to go on.")


def _conflict(file: _File) -> Refusal:
    return Refusal(
        "conflict",
        f"{file.relative} was changed while the edit was under way.",
        "Read the file again and edit what it holds now.",
    )
