"""The editor at the other end of an LSP connection."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager

from lsprotocol import types

from agentic_server.client_profile import ClientProfile
from agentic_server.documents import Document
from agentic_server.editor_port import EditorError, OpenDocument
from agentic_server.from_lsp import path_of
from agentic_server.hardened import HardenedServer
from agentic_server.json_rpc import ClientError
from agentic_server.to_lsp import uri_of

EDIT_SECONDS = 60.0
SHOW_SECONDS = 5.0
DIAGNOSTICS_SECONDS = 2.0
POLL_SECONDS = 3600.0
"""How long one wait for a change lasts before the next one begins."""


class LspEditorClient:
    """Implements `EditorClient` over a server whose `initialize` has been answered."""

    def __init__(self, server: HardenedServer) -> None:
        self._server = server
        self._gone = asyncio.Event()
        server.on_stop.append(self._on_stop)

    @property
    def profile(self) -> ClientProfile:
        return self._server.profile

    @property
    def code_actions(self) -> bool:
        offered = self._server.client_capabilities.text_document
        return offered is not None and offered.code_action is not None and offered.publish_diagnostics is not None

    def document(self, path: str) -> OpenDocument | None:
        document = self._server.documents.at(path)
        if document is None:
            return next((one for one in self.documents() if one.path == path), None)
        return _open(path, document)

    def documents(self) -> list[OpenDocument]:
        found: list[OpenDocument] = []
        for uri in list(self._server.documents.text_documents):
            document, path = self._server.documents.find(uri), _path(uri)
            if document is not None and path is not None:
                found.append(_open(path, document))
        return found

    @contextmanager
    def watch(self, path: str) -> Generator[_Watch]:
        yield _Watch(self, self._server, path)

    async def apply_edit(self, label: str, edit: types.WorkspaceEdit) -> bool:
        params = types.ApplyWorkspaceEditParams(edit=edit, label=label)
        result = await self._request(types.WORKSPACE_APPLY_EDIT, params, EDIT_SECONDS)
        return isinstance(result, types.ApplyWorkspaceEditResult) and result.applied

    def publish_diagnostics(self, path: str, diagnostics: Sequence[types.Diagnostic]) -> None:
        document = self.document(path)
        uri = uri_of(path) if document is None else document.uri
        params = types.PublishDiagnosticsParams(uri=uri, diagnostics=list(diagnostics))
        self._server.text_document_publish_diagnostics(params)

    async def show_message_request(self, message: str, titles: Sequence[str]) -> str | None:
        actions = [types.MessageActionItem(title=title) for title in titles]
        params = types.ShowMessageRequestParams(type=types.MessageType.Info, message=message, actions=actions)
        result = await self._request(types.WINDOW_SHOW_MESSAGE_REQUEST, params, None)
        return result.title if isinstance(result, types.MessageActionItem) else None

    async def show_document(self, path: str) -> bool:
        params = types.ShowDocumentParams(uri=uri_of(path), take_focus=False)
        result = await self._request(types.WINDOW_SHOW_DOCUMENT, params, SHOW_SECONDS)
        return isinstance(result, types.ShowDocumentResult) and result.success

    async def ask(self, question: Mapping[str, object]) -> object:
        return await self._request("agentic/ask", dict(question), None)

    async def read_diagnostics(self, uris: Sequence[str]) -> object:
        return await self._request("agentic/diagnostics", {"uris": list(uris)}, DIAGNOSTICS_SECONDS)

    async def gone(self) -> None:
        await self._gone.wait()

    async def _request(self, method: str, params: object, timeout: float | None) -> object:
        try:
            return await self._server.request(method, params, timeout)
        except ClientError as error:
            raise EditorError(str(error)) from error
        except TimeoutError:
            raise EditorError(f"the editor gave no answer to {method}") from None

    async def _on_stop(self) -> None:
        self._gone.set()


class _Watch:
    """Sees each text that the document has while `changed` is awaited, and the last one of those before."""

    def __init__(self, client: LspEditorClient, server: HardenedServer, path: str) -> None:
        self._client = client
        self._server = server
        self._path = path
        self._last = client.document(path)
        self._texts: list[str | None] = []
        self._seen = 0

    @property
    def texts(self) -> Sequence[str | None]:
        self._look()
        return self._texts

    async def changed(self) -> None:
        while len(self.texts) == self._seen:
            uri = self._last.uri if self._last is not None else uri_of(self._path)
            await self._server.documents.wait_for_change(uri, POLL_SECONDS)
        self._seen = len(self._texts)

    def _look(self) -> None:
        now = self._client.document(self._path)
        if now != self._last:
            self._last = now
            self._texts.append(None if now is None else now.text)


def _open(path: str, document: Document) -> OpenDocument:
    return OpenDocument(path, document.uri, document.source, document.version or 0)


def _path(uri: str) -> str | None:
    try:
        return os.path.realpath(path_of(uri))
    except ValueError:
        return None
