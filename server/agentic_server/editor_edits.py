"""Sending an edit to the editor, and finding out what became of it.

What the editor answers is not believed: some say yes to an edit that they refused, or that their user declined. What
counts is the text that the editor reports afterwards.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lsprotocol import types

from agentic.change import Edit, minimal_edits
from agentic.text import with_eol
from agentic_server.editor_port import EditorClient, EditorError, OpenDocument, Watch
from agentic_server.to_lsp import text_edits, uri_of

ANSWER_SECONDS = 60.0
"""How long an editor may take to answer an edit; some put it to their user first."""
SETTLE_SECONDS = 3.0
"""How long after the answer the changed text may take to reach us; some editors hold changes back for a while."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What an edit led to: what the editor said, whether its text was ever the wanted one, whether it was changed."""

    answer: bool
    seen: bool
    changed: bool
    problem: str = ""


def document_edit(editor: EditorClient, document: OpenDocument, edits: Sequence[Edit]) -> types.WorkspaceEdit:
    """Edits to an open document, against its version where the client says that it knows versions."""
    converted = text_edits(document.text, edits, editor.profile.encoding)
    if not editor.profile.document_changes:
        return types.WorkspaceEdit(changes={document.uri: converted})
    identifier = types.OptionalVersionedTextDocumentIdentifier(uri=document.uri, version=document.version)
    return types.WorkspaceEdit(document_changes=[types.TextDocumentEdit(identifier, list(converted))])


def closed_file_edit(editor: EditorClient, path: str, before: str, after: str, creates: bool) -> types.WorkspaceEdit:
    """Edits to a file that is not open, its creation included."""
    uri = uri_of(path)
    converted = text_edits(before, minimal_edits(before, after), editor.profile.encoding)
    if not editor.profile.document_changes:
        return types.WorkspaceEdit(changes={uri: converted})
    identifier = types.OptionalVersionedTextDocumentIdentifier(uri=uri, version=None)
    edit = types.TextDocumentEdit(identifier, list(converted))
    return types.WorkspaceEdit(document_changes=[types.CreateFile(uri=uri), edit] if creates else [edit])


async def send(editor: EditorClient, document: OpenDocument, after: str, settle: float) -> Sent:
    """Ask the editor to turn the document into `after`; returns when it is clear what became of it."""
    edit = document_edit(editor, document, minimal_edits(document.text, after))

    def reached(texts: Sequence[str | None]) -> bool:
        return any(text is None or (text != document.text and same_text(text, after)) for text in texts)

    return await send_and_watch(editor, document.path, edit, reached, settle)


async def send_and_watch(
    editor: EditorClient,
    path: str,
    edit: types.WorkspaceEdit,
    reached: Callable[[Sequence[str | None]], bool],
    settle: float,
) -> Sent:
    """Send an edit of one file and watch its document until `reached` holds for the texts that it has had since."""
    with editor.watch(path) as watch:
        async with asyncio.TaskGroup() as group:
            answer = group.create_task(_answer(editor, path, edit))
            seen = group.create_task(_until(watch, reached))
            await asyncio.wait((answer, seen), return_when=asyncio.FIRST_COMPLETED)
            if not seen.done() and not (watch.texts and editor.profile.document_changes):
                await asyncio.wait((seen,), timeout=settle)
            said, problem = answer.result() if answer.done() else (True, "")
            seen.cancel()
            answer.cancel()
        return Sent(said, reached(watch.texts), bool(watch.texts), problem)


def same_text(text: str, wanted: str) -> bool:
    """Whether they are the same but for line ends and a final line end, which editors settle by their own rules."""
    return with_eol(text, "\n").removesuffix("\n") == with_eol(wanted, "\n").removesuffix("\n")


async def _answer(editor: EditorClient, path: str, edit: types.WorkspaceEdit) -> tuple[bool, str]:
    label = f"Agentic: edit {path.rsplit('/', 1)[-1]}"
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await editor.apply_edit(label, edit), ""
    except TimeoutError:
        return False, f"no answer within {ANSWER_SECONDS:.0f} s"
    except EditorError as error:
        return False, str(error)


async def _until(watch: Watch, reached: Callable[[Sequence[str | None]], bool]) -> None:
    while not reached(watch.texts):
        await watch.changed()
