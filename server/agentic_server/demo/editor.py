"""A small editor without a screen: what a client of the daemon has to do, and no more.

It opens documents, keeps their unsaved text, applies the server's edits to them with a check of their version, and
tells the server of every change. What a person would do, read the events and answer the questions, is its `User`'s.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Protocol

from agentic_server.demo.connection import Connection, Json, MethodNotFound
from agentic_server.demo.document import Document, StaleEdit

CAPABILITIES: Json = {
    "general": {"positionEncodings": ["utf-16"]},
    "workspace": {
        "applyEdit": True,
        "workspaceFolders": True,
        "workspaceEdit": {"documentChanges": True, "failureHandling": "abort"},
        "executeCommand": {},
    },
    "textDocument": {"synchronization": {"didSave": True}},
    "window": {"workDoneProgress": True},
    "experimental": {"agentic": {"events": True, "ask": True}},
}


class User(Protocol):
    """Whoever sits before the editor."""

    def on_event(self, event: Json) -> None:
        """An `agentic/event` came: one flat object, see `agentic.events`."""
        ...

    def on_edit(self, document: Document, edits: list[Json], applied: bool) -> None:
        """The server's edits were applied to a document, or refused because they were stale."""
        ...

    async def answer(self, question: Json) -> str:
        """The id of the option to choose, of `agentic/ask`'s `options`; empty for none."""
        ...


class Editor:
    """One workspace folder, its open documents, and a connection to the daemon, which is set once there is one."""

    connection: Connection

    def __init__(self, folder: Path, user: User) -> None:
        self.folder = folder
        self.documents: dict[str, Document] = {}
        self._user = user

    async def initialize(self, settings: Json) -> Json:
        """Shake hands; gives the server's capabilities."""
        root = {"uri": self.folder.as_uri(), "name": self.folder.name}
        params = {
            "processId": os.getpid(),
            "clientInfo": {"name": "agentic-demo", "version": "1"},
            "rootUri": root["uri"],
            "workspaceFolders": [root],
            "capabilities": CAPABILITIES,
            "initializationOptions": settings,
        }
        result: Json = await self.connection.request("initialize", params)
        await self.connection.notify("initialized", {})
        return result["capabilities"]

    async def shut_down(self) -> None:
        await self.connection.request("shutdown", None)
        await self.connection.notify("exit", None)

    async def open(self, path: Path) -> Document:
        document = self.documents[path.as_uri()] = Document.open(path)
        item = {
            "uri": document.uri,
            "languageId": document.language,
            "version": document.version,
            "text": document.text,
        }
        await self.connection.notify("textDocument/didOpen", {"textDocument": item})
        return document

    async def type_at(self, document: Document, offset: int, text: str) -> None:
        """What the user types: a change of the document that nobody has saved."""
        place = document.position(offset)
        await self._change(document, [{"range": {"start": place, "end": place}, "newText": text}], document.version)

    async def save(self, document: Document) -> None:
        document.save()
        params = {"textDocument": {"uri": document.uri}, "text": document.text}
        await self.connection.notify("textDocument/didSave", params)

    async def execute(self, command: str, argument: Json) -> Any:
        return await self.connection.request("workspace/executeCommand", {"command": command, "arguments": [argument]})

    def on_notification(self, method: str, params: Any) -> None:
        if method == "agentic/event":
            self._user.on_event(params)

    async def on_request(self, method: str, params: Any) -> Any:
        match method:
            case "workspace/applyEdit":
                return await self._apply(params["edit"])
            case "agentic/ask":
                return {"option": await self._user.answer(params)}
            case "workspace/configuration":
                return [None for _ in params["items"]]
            case "window/workDoneProgress/create" | "client/registerCapability" | "client/unregisterCapability":
                return None
            case _:
                raise MethodNotFound(method)

    async def _apply(self, edit: Json) -> Json:
        """Apply a workspace edit to open documents, each only at the version that it was made for."""
        changes: list[Json] = edit.get("documentChanges") or []
        for change in changes:
            document = self.documents.get(change.get("textDocument", {}).get("uri", ""))
            if document is None:
                return {"applied": False, "failureReason": "Only open documents are edited here."}
            try:
                await self._change(document, change["edits"], change["textDocument"].get("version"))
            except StaleEdit as error:
                self._user.on_edit(document, change["edits"], applied=False)
                return {"applied": False, "failureReason": str(error)}
            self._user.on_edit(document, change["edits"], applied=True)
        return {"applied": bool(changes)}

    async def _change(self, document: Document, edits: list[Json], version: int | None) -> None:
        """Edit a document and tell the server, which gets the whole text."""
        document.apply(edits, version)
        identifier = {"uri": document.uri, "version": document.version}
        changes = [{"text": document.text}]
        await self.connection.notify("textDocument/didChange", {"textDocument": identifier, "contentChanges": changes})
