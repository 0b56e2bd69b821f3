"""The workspace port on plain files and processes: headless runs and worktrees."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from weakref import WeakSet

from agentic.change import ABSENT, Applied, Change, Snapshot
from agentic.disk import tree
from agentic.disk.checkout import DiskCheckout, check_out
from agentic.disk.files import TextFile, read_text, remove_file, to_bytes, version_of, write_bytes
from agentic.disk.glob import matcher
from agentic.disk.journal import Journal, edit_intent, journalled, to_its_end
from agentic.disk.problems import check_files
from agentic.disk.process import Commands
from agentic.disk.search import search
from agentic.errors import Refusal
from agentic.merge import merge
from agentic.ports.problems import Problems
from agentic.ports.workspace import MAX_FILE_BYTES, Checkout, Command, Entry, Exit, Match, Output
from agentic.safety.paths import Resolved, Roots, check_again

_ATTEMPTS = 3
"""How often a write starts anew because the file changed between reading and replacing it."""


@dataclass(frozen=True, slots=True)
class _Planned:
    """A write that is about to be made."""

    resolved: Resolved
    now: TextFile
    text: str
    data: bytes
    rebased: bool


class DiskWorkspace:
    """Files under `roots`. Writes are journalled in views made by `for_turn`; `close` ends commands and copies."""

    def __init__(self, roots: Roots, commands: Commands | None = None) -> None:
        self._roots = roots
        self._commands = commands or Commands(roots)
        self._journal: Journal | None = None
        self._writing = asyncio.Lock()
        self._changed: dict[str, None] = {}
        self._checkouts: WeakSet[DiskCheckout] = WeakSet()

    def for_turn(self, journal: Journal) -> DiskWorkspace:
        """The same workspace, with its writes journalled under this turn."""
        view = DiskWorkspace(self._roots, self._commands)
        view._writing = self._writing
        view._checkouts = self._checkouts
        view._journal = journal
        return view

    async def close(self) -> None:
        """Kill every command that still runs, and all it started; remove the copies."""
        await self._commands.kill_all()
        for checkout in list(self._checkouts):
            await checkout.aclose()

    @property
    def roots(self) -> Sequence[str]:
        return self._roots.names

    @property
    def changed(self) -> Sequence[str]:
        """The files that were written through this view, in their order."""
        return list(self._changed)

    async def read(self, path: str) -> Snapshot | Refusal:
        return await asyncio.to_thread(self._read, path)

    async def apply(self, change: Change) -> Applied | Refusal:
        async with self._writing:
            for _ in range(_ATTEMPTS):
                plan = await asyncio.to_thread(self._plan, change)
                if not isinstance(plan, _Planned):
                    return plan
                result = await self._carry_out(plan)
                if isinstance(result, Applied):
                    self._changed[result.path] = None
                if not (isinstance(result, Refusal) and result.code == "stale"):
                    return result
        return Refusal("conflict", f"{change.path} changes all the time.", "Find out what else writes it.")

    async def remove(self, path: str, version: str) -> Refusal | None:
        """Remove a file that still has this version. Refuses: conflict, io_error, outside_workspace."""
        async with self._writing:
            return await to_its_end(asyncio.to_thread(self._remove, path, version))

    async def list(self, path: str) -> list[Entry] | Refusal:
        return await asyncio.to_thread(self._list, path)

    async def find(self, pattern: str, limit: int) -> list[str]:
        return await asyncio.to_thread(self._find, pattern, limit)

    async def search(self, pattern: str, glob: str, limit: int) -> list[Match] | Refusal:
        return await search(self._roots, pattern, glob, limit)

    async def unsaved(self) -> list[str]:
        return []

    async def problems(self, paths: Sequence[str]) -> Problems | Refusal:
        return await check_files(self.read, paths or self.changed, wanted=bool(paths))

    async def check_out(self) -> Checkout | Refusal:
        checkout = await check_out(self._roots)
        if isinstance(checkout, DiskCheckout):
            self._checkouts.add(checkout)
        return checkout

    async def run(self, command: Command) -> AsyncGenerator[Output | Exit | Refusal]:
        cwd = self._folder(command.cwd)
        if isinstance(cwd, Refusal):
            yield cwd
        else:
            async with aclosing(self._commands.run(command.text, cwd, command.seconds)) as said:
                async for piece in said:
                    yield piece

    def _remove(self, path: str, version: str) -> Refusal | None:
        resolved = self._roots.resolve_for_write(path)
        if isinstance(resolved, Refusal):
            return resolved
        try:
            gone = remove_file(resolved.absolute, version)
        except OSError as error:
            return Refusal("io_error", f"{path} cannot be removed: {error.strerror}.", "Look at its folder.")
        return None if gone else Refusal("conflict", f"{path} was changed meanwhile.", "Look at it first.")

    def _folder(self, path: str) -> Path | Refusal:
        """An existing folder to run a command in."""
        resolved = self._roots.resolve(path)
        if isinstance(resolved, Refusal):
            return resolved
        if not os.path.isdir(resolved.absolute):
            return Refusal("not_found", f"There is no folder {path!r}.", "Run the command in another folder.")
        return resolved.absolute

    def _read(self, path: str) -> Snapshot | Refusal:
        resolved = self._roots.resolve(path)
        if isinstance(resolved, Refusal):
            return resolved
        file = read_text(resolved.absolute, resolved.relative)
        return file if isinstance(file, Refusal) else Snapshot(resolved.relative, file.text, file.version)

    def _plan(self, change: Change) -> _Planned | Applied | Refusal:
        """What is to be written, against the file as it now is; `Applied` when it is there already."""
        resolved = self._roots.resolve_for_write(change.path)
        if isinstance(resolved, Refusal):
            return resolved
        now = read_text(resolved.absolute, resolved.relative)
        if isinstance(now, Refusal):
            return now
        merged = _merge(change, now)
        if isinstance(merged, Refusal):
            return merged
        rebased = now.text != change.before
        if merged == now.text and now.version != ABSENT:
            return Applied(resolved.relative, now.version, merged, rebased)
        try:
            data = to_bytes(merged, now.bom)
        except UnicodeEncodeError:
            return Refusal("not_text", "The new text holds half a character.", "Write whole characters.")
        if len(data) > MAX_FILE_BYTES:
            return Refusal("too_large", f"{change.path} would grow too large.", "Write several smaller files.")
        return _Planned(resolved, now, merged, data, rebased)

    async def _carry_out(self, plan: _Planned) -> Applied | Refusal:
        async def write() -> Applied | Refusal:
            return await asyncio.to_thread(_write, plan)

        if self._journal is None:
            return await to_its_end(write())
        before = plan.now.text if plan.now.version != ABSENT else None
        path, turn = plan.resolved.relative, (self._journal.session, self._journal.turn)
        return await journalled(self._journal.store, edit_intent(*turn, path, before, plan.text), write)

    def _list(self, path: str) -> list[Entry] | Refusal:
        resolved = self._roots.resolve(path)
        if isinstance(resolved, Refusal):
            return resolved
        if len(self._roots.names) > 1 and path in ("", "."):
            return [Entry(name, True) for name in self._roots.names]
        try:
            return tree.entries(self._roots, resolved.absolute, resolved.relative)
        except (FileNotFoundError, NotADirectoryError):
            return Refusal("not_found", f"There is no folder {path!r}.", "List the folder above it.")
        except OSError as error:
            return Refusal("io_error", f"{path!r} cannot be listed: {error.strerror}.", "Look at its permissions.")

    def _find(self, pattern: str, limit: int) -> list[str]:
        matches = matcher(pattern)
        paths = (path for prefix, root in self._roots.folders for path in tree.walk(root, prefix))
        return sorted(islice((path for path in paths if matches(path)), limit))


def _merge(change: Change, now: TextFile) -> str | Refusal:
    exists = now.version != ABSENT
    if change.creates and exists and now.text != change.after:
        return Refusal("conflict", f"{change.path} was created meanwhile.", "Read it first.")
    if not change.creates and not exists:
        return Refusal("conflict", f"{change.path} was deleted meanwhile.", "Write it anew if it is needed.")
    if change.creates and exists:
        return now.text
    return merge(change.before, change.edits, now.text)


def _write(plan: _Planned) -> Applied | Refusal:
    moved = check_again(plan.resolved)
    if moved is not None:
        return moved
    path = plan.resolved.relative
    try:
        if not write_bytes(plan.resolved.absolute, plan.data, plan.now.version):
            return Refusal("stale", f"{path} was changed meanwhile.", "Try again.")
    except OSError as error:
        return Refusal("io_error", f"{path} cannot be written: {error.strerror}.", "Look at its folder and the disk.")
    return Applied(path, version_of(plan.data), plan.text, plan.rebased)
