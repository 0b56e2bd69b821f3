"""A private copy of a workspace's files, in which commands run without touching the workspace."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from pathlib import Path

from agentic.disk.copying import (
    CopiedRoot,
    CopyLimits,
    CopyStopped,
    carry_out,
    changed_since,
    copy_file,
    note_written,
    plan_copy,
)
from agentic.disk.editable import python_path
from agentic.disk.files import BOM, read_text, to_bytes, version_of
from agentic.disk.git_copy import copy_repository, ignored_but_tracked
from agentic.disk.journal import to_its_end
from agentic.disk.private_folder import PrivateFolder, parent_outside, remove_leftovers
from agentic.disk.process import Commands
from agentic.errors import Refusal
from agentic.ports.workspace import Command, Exit, Output
from agentic.safety.paths import Resolved, Roots

_CLOSED = Refusal("cancelled", "The copy of the workspace has been removed.", "Finish.")


@dataclass(frozen=True, slots=True)
class _Made:
    """A copy: its folder, its roots, and the workspace paths that are not in it because they cannot be read."""

    private: PrivateFolder
    roots: Sequence[CopiedRoot]
    left_out: Sequence[str]
    environment: Mapping[str, str]


async def check_out(
    roots: Roots, limits: CopyLimits | None = None, parent: Path | None = None
) -> DiskCheckout | Refusal:
    """Copy these folders to a private one below `parent`, by default the system's place for temporary files.

    Cancelling stops the copying, and removes what is there of it. Refuses: too_large, io_error.
    """
    stop = threading.Event()
    making = asyncio.ensure_future(asyncio.to_thread(_make, roots, limits or CopyLimits(), parent, stop))
    try:
        made = await asyncio.shield(making)
    except asyncio.CancelledError:
        stop.set()
        await to_its_end(_discard(making))
        raise
    return made if isinstance(made, Refusal) else DiskCheckout(roots, made)


class DiskCheckout:
    """Implements `Checkout`. Closing it kills what runs in it and removes it."""

    def __init__(self, workspace: Roots, made: _Made) -> None:
        self._workspace = workspace
        self._made = made
        self._roots = Roots([root.copy for root in made.roots])
        folders = [*(root.copy for root in made.roots), *(root.source for root in made.roots)]
        self._commands = Commands(Roots(folders), made.environment)
        self._looking = asyncio.Lock()
        self._closed = False

    @property
    def left_out(self) -> Sequence[str]:
        """Files and folders of the workspace that could not be read."""
        return self._made.left_out

    @property
    def folder(self) -> Path:
        """The private folder."""
        return self._made.private.path

    async def write(self, path: str, text: str | None) -> Refusal | None:
        resolved = self._roots.resolve_for_write(path)
        if isinstance(resolved, Refusal):
            return resolved
        async with self._looking:
            return _CLOSED if self._closed else await to_its_end(asyncio.to_thread(self._write, resolved, text))

    async def run(self, command: Command) -> AsyncGenerator[Output | Exit | Refusal]:
        cwd = _CLOSED if self._closed else self._folder(command.cwd)
        if isinstance(cwd, Refusal):
            yield cwd
        else:
            async with aclosing(self._commands.run(command.text, cwd, command.seconds)) as said:
                async for piece in said:
                    yield piece

    async def changes(self) -> dict[str, str | None]:
        async with self._looking:
            return {} if self._closed else await to_its_end(asyncio.to_thread(self._changes))

    def came_with(self, path: str, text: str | None) -> bool:
        place = self._place(path)
        known = place[0].files.get(place[1]) if place else None
        if known is None or known.given is None or text is None:
            return text is None and (known is None or known.given is None)
        data = text.encode("utf-8", "surrogatepass")
        return known.given in {version_of(mark + data) for mark in (b"", BOM)}

    async def aclose(self) -> None:
        await to_its_end(self._close())

    async def _close(self) -> None:
        self._closed = True
        await self._commands.kill_all()
        async with self._looking:
            await asyncio.to_thread(self._made.private.remove)

    def _folder(self, path: str) -> Path | Refusal:
        """The copy of an existing folder to run a command in; the workspace's own name for it is understood too."""
        named = self._workspace.resolve(path)
        resolved = named if isinstance(named, Refusal) else self._roots.resolve(named.relative)
        if isinstance(resolved, Refusal):
            return resolved
        if not os.path.isdir(resolved.absolute):
            return Refusal("not_found", f"There is no folder {path!r}.", "Run the command in another folder.")
        return resolved.absolute

    def _write(self, resolved: Resolved, text: str | None) -> Refusal | None:
        try:
            _put(resolved.absolute, resolved.relative, text)
        except UnicodeEncodeError:
            return Refusal("not_text", f"{resolved.relative} holds half a character.", "Write whole characters.")
        except OSError as error:
            return Refusal("io_error", f"{resolved.relative} cannot be copied: {error.strerror}.", "Do without it.")
        name = self._roots.relative(resolved.absolute)
        place = self._place(name) if name else None
        if place:
            note_written(*place)
        return None

    def _changes(self) -> dict[str, str | None]:
        changed: dict[str, str | None] = {}
        for root in self._made.roots:
            changed |= changed_since(root)
        return changed

    def _place(self, path: str) -> tuple[CopiedRoot, str] | None:
        """The root of a workspace path, and the path below it."""
        root = next((root for root in self._made.roots if path.startswith(root.prefix)), None)
        return (root, path.removeprefix(root.prefix)) if root else None


def _make(roots: Roots, limits: CopyLimits, parent: Path | None, stop: threading.Event) -> _Made | Refusal:
    """Make the copy, or leave nothing. Blocking. :raises CopyStopped: when `stop` is set."""
    sources = [folder for _, folder in roots.folders]
    place = parent or parent_outside(sources)
    if sys.platform == "win32" or place is None:
        return _not_made("there is no place for it outside of the workspace")
    remove_leftovers([place])
    try:
        private = PrivateFolder.make(place)
    except OSError as error:
        return _not_made(error.strerror)
    try:
        made = _fill(private, roots, limits, stop)
    except OSError as error:
        private.remove()
        return _not_made(error.strerror)
    except BaseException:
        private.remove()
        raise
    if isinstance(made, Refusal):
        private.remove()
    return made


def _fill(private: PrivateFolder, roots: Roots, limits: CopyLimits, stop: threading.Event) -> _Made | Refusal:
    plans = plan_copy(roots, private.path, limits, stop)
    if isinstance(plans, Refusal):
        return plans
    sources = [plan.root.source for plan in plans]
    for plan in plans:
        carry_out(plan, stop)
        root = plan.root
        if copy_repository(root.source, root.copy):
            for path in ignored_but_tracked(root.copy, [*sources, root.copy]):
                _copy_tracked(root, path, stop)
    copied = [plan.root for plan in plans]
    left_out = [plan.root.prefix + path for plan in plans for path in plan.left_out]
    path = python_path(copied, os.environ)
    return _Made(private, copied, left_out, {"PYTHONPATH": path} if path else {})


def _copy_tracked(root: CopiedRoot, path: str, stop: threading.Event) -> None:
    """Copy a file that is ignored and yet a part of the repository."""
    source, copy = root.source / path, root.copy / path
    inside = Path(os.path.realpath(copy.parent)).is_relative_to(root.copy)
    if inside and not os.path.lexists(copy) and source.is_file() and not source.is_symlink():
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy_file(root, path, source, stop)


def _put(place: Path, name: str, text: str | None) -> None:
    """Give a file this text, keeping its mode and its byte order mark; None removes it.

    Its time is always another whole second than before: Python, and make, take a file of the same size and second for
    the one that they have compiled.
    """
    if text is None:
        with suppress(FileNotFoundError, NotADirectoryError):
            place.unlink()
        return
    now = read_text(place, name)
    bom = not isinstance(now, Refusal) and now.bom
    place.parent.mkdir(parents=True, exist_ok=True)
    new = place.parent / f".agentic-{os.urandom(8).hex()}.tmp"
    try:
        new.write_bytes(to_bytes(text, bom))
        if place.exists():
            before = place.stat()
            new.chmod(before.st_mode & 0o777)
            later = max(int(before.st_mtime) + 1, int(new.stat().st_mtime))
            os.utime(new, (later, later))
        os.replace(new, place)
    finally:
        new.unlink(missing_ok=True)


def _not_made(why: str | None) -> Refusal:
    return Refusal("io_error", f"The workspace cannot be copied: {why}.", "Do without commands.")


async def _discard(making: asyncio.Future[_Made | Refusal]) -> None:
    """Wait until the copying has stopped; remove what it made all the same."""
    with suppress(CopyStopped):
        made = await making
        if not isinstance(made, Refusal):
            await asyncio.to_thread(made.private.remove)
