"""Mirrors of the editor's open documents: the text as the user sees it, unsaved changes included.

Disk is never read here: a document that the editor has not opened does not exist here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from lsprotocol import types
from pygls.workspace import TextDocument, Workspace

from agentic.text import line_starts
from agentic_server.from_lsp import Encoding, offset_at, path_of

log = logging.getLogger(__name__)


class Document(TextDocument):
    """One open document. Changes are applied as the protocol says: positions are clamped, lines end where it says."""

    def __init__(self, item: types.TextDocumentItem, encoding: Encoding) -> None:
        super().__init__(item.uri, item.text, item.version, item.language_id)
        self._text = item.text
        self._encoding: Encoding = encoding
        self._starts: list[int] | None = None

    @property
    def source(self) -> str:
        """The text, with the line ends that the editor sent."""
        return self._text

    @property
    def starts(self) -> list[int]:
        """`agentic.text.line_starts` of the text, computed once for each text."""
        if self._starts is None:
            self._starts = line_starts(self._text)
        return self._starts

    @property
    def lines(self) -> Sequence[str]:
        """The lines with their ends, as the protocol counts them."""
        return [self._text[start:end] for start, end in zip(self.starts, [*self.starts[1:], None], strict=True)]

    def offset_of(self, position: types.Position) -> int:
        """The offset in code points of a position as the client counts it, always inside the text."""
        return offset_at(self._text, self.starts, position.line, position.character, self._encoding)

    def apply_change(self, change: types.TextDocumentContentChangeEvent) -> None:
        """One content change, to the text as the changes before it left it."""
        if isinstance(change, types.TextDocumentContentChangePartial):
            start, end = sorted((self.offset_of(change.range.start), self.offset_of(change.range.end)))
            self._text = self._text[:start] + change.text + self._text[end:]
        else:
            self._text = change.text
        self._starts = None


class Watch:
    """The texts that a document has had since the watch began."""

    def __init__(self) -> None:
        self.texts: list[str | None] = []
        """One for each change, in order; None for a close."""
        self._changed = asyncio.Event()

    async def changed(self) -> None:
        """Waits until there are more texts than at the last call."""
        await self._changed.wait()
        self._changed.clear()

    def note(self, text: str | None) -> None:
        """The document has become this."""
        self.texts.append(text)
        self._changed.set()


class Documents(Workspace):
    """All open documents. `text_documents` maps each URI, as the client spelled it when opening, to its `Document`."""

    def __init__(
        self, root_uri: str | None, folders: Sequence[types.WorkspaceFolder], encoding: Encoding = "utf-16"
    ) -> None:
        super().__init__(root_uri, types.TextDocumentSyncKind.Incremental, folders, encoding)
        self._encoding: Encoding = encoding
        self._open: dict[str, Document] = {}
        self._watches: dict[str, list[Watch]] = {}

    def find(self, uri: str) -> Document | None:
        """The open document, however the URI is percent-encoded; None when it is not open."""
        return self._open.get(_key(uri))

    @property
    def opened(self) -> Sequence[Document]:
        """All open documents, in the order of their opening."""
        return list(self._open.values())

    def at(self, path: str) -> Document | None:
        """The open document of an absolute path; None when it is not open."""
        return self._open.get(path)

    @contextmanager
    def watch(self, uri: str) -> Generator[Watch]:
        """Notes every change of the document from here on, opening and closing included."""
        watch = Watch()
        self._watches.setdefault(_key(uri), []).append(watch)
        try:
            yield watch
        finally:
            watches = self._watches[_key(uri)]
            watches.remove(watch)
            if not watches:
                del self._watches[_key(uri)]

    async def wait_for_change(self, uri: str, timeout: float) -> bool:
        """Whether the document is opened, changed or closed within `timeout` seconds from now.

        Nothing can change between a caller's look at the document and the start of the wait, so the loop "look, wait,
        look again" misses no change.
        """
        with self.watch(uri) as watch:
            try:
                async with asyncio.timeout(timeout):
                    await watch.changed()
            except TimeoutError:
                return False
        return True

    def get_text_document(self, doc_uri: str) -> Document:
        """The open document; KeyError when it is not open."""
        document = self.find(doc_uri)
        if document is None:
            raise KeyError(f"not open in the editor: {doc_uri}")
        return document

    def put_text_document(self, text_document: types.TextDocumentItem, notebook_uri: str | None = None) -> None:
        """didOpen. Opening twice replaces the text."""
        key = _key(text_document.uri)
        self._forget(key)
        self._open[key] = self._text_documents[text_document.uri] = Document(text_document, self._encoding)
        self._note(text_document.uri, text_document.text)

    def change_text_document(self, params: types.DidChangeTextDocumentParams) -> None:
        """didChange: all its changes as one. A change to a document that is not open is logged and dropped."""
        document = self.find(params.text_document.uri)
        if document is None:
            log.warning("a change to %s, which is not open", params.text_document.uri)
            return
        for change in params.content_changes:
            document.apply_change(change)
        document.version = params.text_document.version
        self._note(document.uri, document.source)

    def update_text_document(
        self, text_doc: types.VersionedTextDocumentIdentifier, change: types.TextDocumentContentChangeEvent
    ) -> None:
        """One change alone; the cells of notebooks come this way."""
        self.change_text_document(types.DidChangeTextDocumentParams(text_doc, [change]))

    def remove_text_document(self, doc_uri: str) -> None:
        """didClose."""
        self._forget(_key(doc_uri))
        self._note(doc_uri, None)

    def _forget(self, key: str) -> None:
        document = self._open.pop(key, None)
        if document is not None:
            self._text_documents.pop(document.uri, None)

    def _note(self, uri: str, text: str | None) -> None:
        for watch in self._watches.get(_key(uri), ()):
            watch.note(text)


def _key(uri: str) -> str:
    """What makes two spellings of a URI the same document: the path of a file, else the URI itself."""
    try:
        return path_of(uri)
    except ValueError:
        return uri
