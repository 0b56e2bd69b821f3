"""An editor in memory, with a user at its keyboard. It has its own documents, and reports their changes as editors do.

`FakeEditor` is honest: it applies edits to the version that they were made against, or refuses. Its variants lie.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

from lsprotocol import types

from agentic.change import Edit, apply_edits
from agentic.text import line_starts
from agentic_server.client_profile import ClientProfile
from agentic_server.editor_port import EditorError, OpenDocument
from agentic_server.from_lsp import offset_at, path_of
from agentic_server.to_lsp import uri_of

FULL = ClientProfile(
    name="fake",
    document_changes=True,
    apply_edit=True,
    resource_operations=frozenset({"create"}),
    show_document=True,
)


@dataclass(eq=False)
class FakeWatch:
    texts: list[str | None] = field(default_factory=list[str | None])
    more: asyncio.Event = field(default_factory=asyncio.Event)
    seen: int = 0

    def add(self, text: str | None) -> None:
        self.texts.append(text)
        self.more.set()

    async def changed(self) -> None:
        while len(self.texts) == self.seen:
            self.more.clear()
            await self.more.wait()
        self.seen = len(self.texts)


class FakeEditor:
    """Implements `EditorClient`. `buffers` is what the user sees; `document` is what was reported of it.

    `before_edit` and `after_edit` are what the user does, one at a time, while edits are on their way: before one
    arrives, and after it was applied but before that is reported. `answers` are the user's answers to questions.
    """

    def __init__(self, profile: ClientProfile = FULL, code_actions: bool = True) -> None:
        self.profile = profile
        self.code_actions = code_actions
        self.buffers: dict[str, OpenDocument] = {}
        self.mirror: dict[str, OpenDocument] = {}
        self.before_edit: list[Callable[[], None]] = []
        self.after_edit: list[Callable[[], None]] = []
        self.answers: list[object] = []
        self.edits: list[types.WorkspaceEdit] = []
        self.diagnostics: dict[str, list[types.Diagnostic]] = {}
        self.questions: list[object] = []
        self.withdrawn: list[object] = []
        self.documents_shown: list[str] = []
        self.told: Callable[[Sequence[str]], object] = lambda _: {"items": []}
        """What its language servers say of the documents with these URIs."""
        self.asked = asyncio.Event()
        self.closed = asyncio.Event()
        self.watches: list[tuple[str, FakeWatch]] = []

    def open(self, path: Path, text: str | None = None) -> None:
        """The user opens a file; with a text, one that they have not saved."""
        content = path.read_bytes().decode() if text is None else text
        self._set(str(path), content)
        self.report()

    def close(self, path: Path) -> None:
        del self.buffers[str(path)]
        self.report()

    def text(self, path: Path) -> str:
        return self.buffers[str(path)].text

    def type(self, path: Path, offset: int, text: str, erase: int = 0) -> None:
        """The user types; nothing is reported yet."""
        before = self.buffers[str(path)].text
        offset = min(offset, len(before))
        self._set(str(path), before[:offset] + text + before[offset + erase :])

    def report(self) -> None:
        """Send didOpen, didChange and didClose for what has changed."""
        for path in {*self.buffers, *self.mirror}:
            now = self.buffers.get(path)
            if now == self.mirror.get(path):
                continue
            if now is None:
                del self.mirror[path]
            else:
                self.mirror[path] = now
            for watched, watch in self.watches:
                if watched == path:
                    watch.add(None if now is None else now.text)

    def choose(self, action: types.CodeAction) -> None:
        """The user chooses a quick fix: its edit is applied; the caller runs its command."""
        assert action.edit is not None
        assert self.apply_now(action.edit)
        self.report()

    # What the daemon asks of it.

    def document(self, path: str) -> OpenDocument | None:
        return self.mirror.get(path)

    def documents(self) -> list[OpenDocument]:
        return list(self.mirror.values())

    @contextmanager
    def watch(self, path: str) -> Generator[FakeWatch]:
        entry = (path, FakeWatch())
        self.watches.append(entry)
        try:
            yield entry[1]
        finally:
            self.watches.remove(entry)

    async def apply_edit(self, label: str, edit: types.WorkspaceEdit) -> bool:
        self.edits.append(edit)
        await self._users_turn(self.before_edit)
        applied = self.apply_now(edit)
        await self._users_turn(self.after_edit)
        self.report()
        return applied

    def publish_diagnostics(self, path: str, diagnostics: Sequence[types.Diagnostic]) -> None:
        self.diagnostics[path] = list(diagnostics)
        self.asked.set()

    async def show_message_request(self, message: str, titles: Sequence[str]) -> str | None:
        answer = await self._answer((message, list(titles)))
        assert answer is None or isinstance(answer, str)
        return answer

    async def show_document(self, path: str) -> bool:
        self.documents_shown.append(_text_of(path))
        return True

    async def ask(self, question: Mapping[str, object]) -> object:
        return await self._answer(dict(question))

    async def read_diagnostics(self, uris: Sequence[str]) -> object:
        answer = self.told(uris)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def gone(self) -> None:
        await self.closed.wait()

    def apply_now(self, edit: types.WorkspaceEdit) -> bool:
        """Apply it as an honest editor does: against the right version, or not at all."""
        done = False
        for uri, changes in (edit.changes or {}).items():
            done = self._apply_to(path_of(uri), changes)
        for operation in edit.document_changes or ():
            if isinstance(operation, types.CreateFile):
                done = self._create(path_of(operation.uri))
            if isinstance(operation, types.TextDocumentEdit):
                path, version = path_of(operation.text_document.uri), operation.text_document.version
                if version is not None and version != self.buffers[path].version:
                    return False
                done = self._apply_to(path, operation.edits)
        return done

    def _create(self, path: str) -> bool:
        if path not in self.buffers:
            self._set(path, "")
        return True

    def _apply_to(self, path: str, edits: Sequence[object]) -> bool:
        if path not in self.buffers:
            self._set(path, Path(path).read_bytes().decode())
        text = self.buffers[path].text
        starts = line_starts(text)
        ours: list[Edit] = []
        for edit in edits:
            assert isinstance(edit, types.TextEdit)
            places = (edit.range.start, edit.range.end)
            start, end = (offset_at(text, starts, p.line, p.character, self.profile.encoding) for p in places)
            ours.append(Edit(start, end, edit.new_text))
        assert all(a.end <= b.start for a, b in pairwise(ours)), "edits overlap"
        self._set(path, apply_edits(text, ours))
        return True

    def _set(self, path: str, text: str) -> None:
        known = self.buffers.get(path)
        self.buffers[path] = (
            OpenDocument(path, uri_of(path), text, 1)
            if known is None
            else replace(known, text=text, version=known.version + 1)
        )

    async def _users_turn(self, script: list[Callable[[], None]]) -> None:
        if script:
            script.pop(0)()
        await asyncio.sleep(0)

    async def _answer(self, question: object) -> object:
        self.questions.append(question)
        self.asked.set()
        if self.answers:
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        try:
            await asyncio.Event().wait()
        finally:
            self.withdrawn.append(question)


class Yes(FakeEditor):
    """Says that it applied what it did not."""

    async def apply_edit(self, label: str, edit: types.WorkspaceEdit) -> bool:
        self.edits.append(edit)
        await self._users_turn(self.before_edit)
        self.report()
        return True


class No(FakeEditor):
    """Says that it did not apply what it did."""

    async def apply_edit(self, label: str, edit: types.WorkspaceEdit) -> bool:
        await super().apply_edit(label, edit)
        return False


class Late(FakeEditor):
    """Answers first, then applies the edit and reports it; `due` does so."""

    def __init__(self, profile: ClientProfile = FULL, code_actions: bool = True) -> None:
        super().__init__(profile, code_actions)
        self.due = asyncio.Event()
        self.arrived = asyncio.Event()
        self.tasks: set[asyncio.Task[None]] = set()

    async def apply_edit(self, label: str, edit: types.WorkspaceEdit) -> bool:
        self.edits.append(edit)
        self.tasks.add(asyncio.create_task(self._later(edit)))
        self.arrived.set()
        return True

    async def _later(self, edit: types.WorkspaceEdit) -> None:
        await self.due.wait()
        self.apply_now(edit)
        self.report()


class Mangling(FakeEditor):
    """Applies something else than it was asked to, and says that all is well."""

    async def apply_edit(self, label: str, edit: types.WorkspaceEdit) -> bool:
        self.edits.append(edit)
        path = next(iter(self.buffers))
        self._set(path, self.buffers[path].text + "mangled")
        self.report()
        return True


class Broken(FakeEditor):
    """Answers every request with an error."""

    async def apply_edit(self, label: str, edit: types.WorkspaceEdit) -> bool:
        raise EditorError("method not found")


def _text_of(path: str) -> str:
    return Path(path).read_text()
