"""What the edge needs of the editor at the other end of the connection, as one narrow interface.

`LspEditorClient` binds it to a real connection; tests bind it to an editor in memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from lsprotocol import types

from agentic_server.client_profile import ClientProfile


class EditorError(Exception):
    """The editor did not answer: it refused the request, or the connection is gone."""


@dataclass(frozen=True, slots=True)
class OpenDocument:
    """A document that the editor holds, as our mirror of it stands."""

    path: str
    """Absolute, symbolic links resolved."""
    uri: str
    """As the client spells it."""
    text: str
    version: int


class Watch(Protocol):
    """The texts that a document has had since the watch began."""

    @property
    def texts(self) -> Sequence[str | None]:
        """One for each change, in order; None for a close."""
        ...

    async def changed(self) -> None:
        """Wait until there are more than when the last call returned; cancelling loses none."""
        ...


class EditorClient(Protocol):
    """The editor. Paths are absolute, symbolic links resolved."""

    @property
    def profile(self) -> ClientProfile:
        """What it really does."""
        ...

    @property
    def code_actions(self) -> bool:
        """Whether its user sees diagnostics and can choose among code actions."""
        ...

    def document(self, path: str) -> OpenDocument | None:
        """The open document at the path."""
        ...

    def documents(self) -> list[OpenDocument]:
        """All open documents."""
        ...

    def watch(self, path: str) -> AbstractContextManager[Watch]:
        """Note every change of the document at the path, opening and closing included."""
        ...

    async def apply_edit(self, label: str, edit: types.WorkspaceEdit) -> bool:
        """Ask the editor to apply an edit; what it answers. :raises EditorError:"""
        ...

    def publish_diagnostics(self, path: str, diagnostics: Sequence[types.Diagnostic]) -> None:
        """Show these diagnostics for a file, and no others of ours."""
        ...

    async def show_message_request(self, message: str, titles: Sequence[str]) -> str | None:
        """Ask the user; the title they chose, None when they dismissed it. Waits as long as they take.

        :raises EditorError:
        """
        ...

    async def show_document(self, path: str) -> bool:
        """Bring a file to the user's eyes, without taking the focus. :raises EditorError:"""
        ...

    async def ask(self, question: Mapping[str, object]) -> object:
        """Send an `agentic/ask`; the raw answer. Waits as long as the user takes. :raises EditorError:"""
        ...

    async def read_diagnostics(self, uris: Sequence[str]) -> object:
        """Send an `agentic/diagnostics`; the raw answer. :raises EditorError: none within 2 s, too"""
        ...

    async def gone(self) -> None:
        """Wait until the connection is closed."""
        ...
