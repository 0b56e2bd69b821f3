"""Workspaces to test against: one factory for each implementation of the port.

A factory gets an empty folder and the files it shall hold (bytes are for what is no text), and gives the workspace
together with the means to change files behind its back. To put another implementation under the contract, add its
factory to `FACTORIES`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from support.fake_editor import FakeEditor

from agentic.change import Applied, Change, Edit, Snapshot
from agentic.disk.workspace import DiskWorkspace
from agentic.ports.workspace import MemoryWorkspace, Workspace
from agentic.safety.paths import Roots
from agentic.team.overlay import Overlay
from agentic_server.editor_workspace import EditorWorkspace

Content = str | bytes
BOM = "\ufeff"


@dataclass(frozen=True)
class Bench:
    """A workspace under test. `put` writes a file behind its back (None deletes it), `peek` gives what it holds."""

    name: str
    workspace: Workspace
    put: Callable[[str, str | None], None]
    peek: Callable[[str], str | None]
    close: Callable[[], Awaitable[None]]
    holds_bytes: bool = True
    """Whether files are bytes; a dict of texts knows no binary files and no byte order marks."""


Factory = Callable[[Path, Mapping[str, Content]], Awaitable[Bench]]


async def memory(_: Path, files: Mapping[str, Content]) -> Bench:
    workspace = MemoryWorkspace({path: text for path, text in files.items() if isinstance(text, str)})

    def put(path: str, text: str | None) -> None:
        if text is None:
            del workspace.files[path]
        else:
            workspace.files[path] = text
            workspace.versions[path] = workspace.versions.get(path, 0) + 1

    async def close() -> None:
        return None

    return Bench("memory", workspace, put, workspace.files.get, close, holds_bytes=False)


async def disk(folder: Path, files: Mapping[str, Content]) -> Bench:
    root = folder / "workspace"
    root.mkdir()
    for path, text in files.items():
        write(root / path, text)
    workspace = DiskWorkspace(Roots([root]))

    def put(path: str, text: str | None) -> None:
        if text is None:
            (root / path).unlink()
        else:
            write(root / path, text)

    def peek(path: str) -> str | None:
        return (root / path).read_bytes().decode() if (root / path).exists() else None

    return Bench("disk", workspace, put, peek, workspace.close)


async def editor(folder: Path, files: Mapping[str, Content]) -> Bench:
    """Every text is open in an editor, and saved."""
    return await _editor("editor", folder, files, files)


async def editor_unsaved(folder: Path, files: Mapping[str, Content]) -> Bench:
    """Every text is open in an editor, and the disk holds another one."""
    return await _editor("editor_unsaved", folder, files, dict.fromkeys(files, "not what the user sees\n"))


async def _editor(name: str, folder: Path, files: Mapping[str, Content], on_disk: Mapping[str, Content]) -> Bench:
    texts = {path: text for path, text in files.items() if isinstance(text, str) and "\0" not in text}
    bench = await disk(folder, {path: on_disk[path] if path in texts else files[path] for path in files})
    root, client = folder / "workspace", FakeEditor()
    for path, text in texts.items():
        client.open(root / path, text.removeprefix(BOM))

    def put(path: str, text: str | None) -> None:
        if text is not None and str(root / path) in client.buffers:
            client.type(root / path, 0, text, erase=len(client.text(root / path)))
            return client.report()
        if str(root / path) in client.buffers:
            client.close(root / path)
        bench.put(path, text)
        return None

    def peek(path: str) -> str | None:
        if str(root / path) not in client.buffers:
            return bench.peek(path)
        mark = BOM if texts.get(path, "").startswith(BOM) else ""
        return mark + client.text(root / path)

    roots = Roots([root])
    workspace = EditorWorkspace(DiskWorkspace(roots), roots, client, settle=0.05)
    return Bench(name, workspace, put, peek, bench.close)


async def overlay(folder: Path, files: Mapping[str, Content]) -> Bench:
    """An agent's view of files on the disk, in which nothing was changed yet."""
    return _overlay("overlay", await disk(folder, files))


async def overlay_memory(folder: Path, files: Mapping[str, Content]) -> Bench:
    """A view whose every file was changed in the view itself; the workspace below holds other texts."""
    texts = {path: text for path, text in files.items() if isinstance(text, str)}
    below = dict.fromkeys(texts, "not what the agent sees\n")
    bench = _overlay("overlay_memory", await memory(folder, below))
    for path, text in texts.items():
        now = await bench.workspace.read(path)
        assert isinstance(now, Snapshot)
        edit = Edit(0, len(now.text), text)
        assert isinstance(await bench.workspace.apply(Change(path, now.version, now.text, (edit,))), Applied)
    return bench


async def overlay_editor(folder: Path, files: Mapping[str, Content]) -> Bench:
    """A view of unsaved documents."""
    return _overlay("overlay_editor", await editor_unsaved(folder, files))


def _overlay(name: str, below: Bench) -> Bench:
    view = Overlay(below.workspace)

    def put(path: str, text: str | None) -> None:
        """In the view itself, as its commands do, where the file was changed there; else in the workspace."""
        change = _change_of(view, path)
        if change is None:
            return below.put(path, text)
        view.seed([], [Snapshot(path, change.before, change.version)])
        if text is not None:
            edit = Edit(0, len(change.before), text)
            view.seed([Change(path, change.version, change.before, (edit,))])
        return None

    def peek(path: str) -> str | None:
        change, under = _change_of(view, path), below.peek(path)
        if change is None:
            return None if path in {origin.path for origin in view.removed} else under
        marked = under is not None and under.startswith(BOM) and not change.after.startswith(BOM)
        return BOM + change.after if marked else change.after

    async def close() -> None:
        await view.aclose()
        await below.close()

    return Bench(name, view, put, peek, close, below.holds_bytes)


def _change_of(view: Overlay, path: str) -> Change | None:
    return next((change for change in view.changes() if change.path == path), None)


FACTORIES: dict[str, Factory] = {
    "memory": memory,
    "disk": disk,
    "editor": editor,
    "editor_unsaved": editor_unsaved,
    "overlay": overlay,
    "overlay_memory": overlay_memory,
    "overlay_editor": overlay_editor,
}


def write(place: Path, content: Content) -> None:
    """Put a file on the disk, byte for byte."""
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content if isinstance(content, bytes) else content.encode())
