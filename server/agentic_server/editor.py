"""The editor as the agent's workspace and as the one who answers, made of its parts.

Imported with the first task: what reads and changes files is not needed to answer `initialize`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agentic.disk.journal import Journal
from agentic.disk.private_folder import remove_leftovers_meanwhile
from agentic.disk.workspace import DiskWorkspace
from agentic.ports.code_index import CodeIndex, NoIndex
from agentic.ports.store import Store
from agentic.safety.paths import Roots
from agentic.task import Task
from agentic_server.documents import Documents
from agentic_server.editor_asker import EditorAsker
from agentic_server.editor_client import LspEditorClient
from agentic_server.editor_workspace import EditorWorkspace
from agentic_server.hardened import HardenedServer
from agentic_server.review import Reviews
from agentic_server.settings import Settings


@dataclass(frozen=True, slots=True)
class Editor:
    """What turns work on."""

    roots: Roots
    documents: Documents
    disk: DiskWorkspace
    workspace: EditorWorkspace
    reviews: Reviews
    asker: EditorAsker
    index: CodeIndex

    def for_turn(self, store: Store, task: Task) -> EditorWorkspace:
        """The workspace of one turn, which writes down what it is about to change."""
        return self.workspace.for_turn(Journal(store, task.session, task.turn))

    async def close(self) -> None:
        """Kill the commands that run, and stop watching the files."""
        await self.disk.close()
        await self.index.aclose()


def open_editor(server: HardenedServer, folders: Sequence[str], settings: Settings | None) -> Editor:
    """The parts, on the folders that are open now; without settings they stand at their defaults."""
    roots = Roots(folders)
    client = LspEditorClient(server)
    reviews = Reviews(client, roots)
    disk = DiskWorkspace(roots)
    remove_leftovers_meanwhile()
    closed = settings.closed_files if settings else "auto"
    workspace = EditorWorkspace(disk, roots, client, closed, reviews)
    index = settings.code_index(roots) if settings else NoIndex()
    return Editor(roots, server.documents, disk, workspace, reviews, EditorAsker(client, reviews), index)
