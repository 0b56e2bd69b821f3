"""A view of a workspace for one agent: what it changes stays in memory until somebody asks for its changes.

What the view does not hold is read from the workspace as it is at that moment. A file that was changed here stays on
the text that it had then, whatever the user types meanwhile. Commands run in a private copy on disk, made with the
first of them; what they do to files counts as changed here.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from agentic.change import ABSENT, Applied, Change, Snapshot, minimal_edits
from agentic.disk.glob import matcher
from agentic.disk.journal import to_its_end
from agentic.disk.problems import check_files
from agentic.disk.texts import search_with
from agentic.errors import Refusal
from agentic.merge import merge
from agentic.ports.problems import Problems
from agentic.ports.workspace import MAX_FILE_BYTES, Checkout, Command, Entry, Exit, Match, Output, Workspace
from agentic.safety.paths import refuse_git

_ANY_NAME = "any-name"
"""Put below a folder to have the workspace say how it names the folder."""


@dataclass(frozen=True, slots=True)
class _Layer:
    """A file that was changed here: `origin` is the workspace's file at that time, `text` what it holds now.

    `text` is None where a command has removed it.
    """

    origin: Snapshot
    text: str | None


class Overlay:
    """Implements `Workspace` over another one, which is never written to. Any number may lie over one workspace."""

    def __init__(self, base: Workspace) -> None:
        self._base = base
        self._layers: dict[str, _Layer] = {}
        self._writing = asyncio.Lock()
        self._checkout: Checkout | None = None
        self._checking_out = asyncio.Lock()
        self._behind: set[str] = set()
        """Files whose text the copy does not have yet."""
        self._unseen: set[str] = set()
        """Files whose text cannot be put into the copy."""
        self._closed = False

    def seed(self, changes: Iterable[Change], removed: Iterable[Snapshot] = ()) -> list[Change]:
        """Begin with the work of others, which then is a part of `changes` and of `removed`.

        Returns the changes that contradict what is here already; they are left out.
        """
        left_out: list[Change] = []
        for change in changes:
            layer = self._layers.get(change.path)
            origin = layer.origin if layer else Snapshot(change.path, change.before, change.version)
            now = change.before if layer is None or layer.text is None else layer.text
            text = merge(change.before, change.edits, now)
            if isinstance(text, Refusal):
                left_out.append(change)
            else:
                self._put(origin, text)
        for origin in removed:
            self._put(origin, None)
        return left_out

    def changes(self) -> list[Change]:
        """What was changed and created here, by path: each against the workspace's text when it was first changed."""
        changed = [layer for layer in self._layers.values() if layer.text is not None]
        return [
            Change(origin.path, origin.version, origin.text, minimal_edits(origin.text, layer.text or ""))
            for layer in sorted(changed, key=lambda layer: layer.origin.path)
            if (origin := layer.origin).text != layer.text or not origin.exists
        ]

    @property
    def removed(self) -> list[Snapshot]:
        """The workspace's files that commands have removed here, as they were; a `Change` cannot say so."""
        gone = [layer.origin for layer in self._layers.values() if layer.text is None and layer.origin.exists]
        return sorted(gone, key=lambda origin: origin.path)

    async def aclose(self) -> None:
        """Kill what runs and remove the copy. The changes can still be asked for; commands are refused."""
        self._closed = True
        async with self._checking_out:
            checkout, self._checkout = self._checkout, None
            if checkout is not None:
                await to_its_end(checkout.aclose())

    @property
    def roots(self) -> Sequence[str]:
        return self._base.roots

    async def read(self, path: str) -> Snapshot | Refusal:
        if path in self._layers:
            return self._own(path)
        found = await self._base.read(path)
        if isinstance(found, Refusal) or (found.exists and found.path not in self._layers):
            return found
        return self._own(found.path)

    async def apply(self, change: Change) -> Applied | Refusal:
        async with self._writing:
            now = await self.read(change.path)
            if isinstance(now, Refusal):
                return now
            text = _merged(change, now)
            if isinstance(text, Refusal):
                return text
            version = now.version
            if text != now.text or not now.exists:
                version = _version(text)
                origin = self._layers[now.path].origin if now.path in self._layers else now
                self._put(origin, text)
            return Applied(now.path, version, text, rebased=now.text != change.before)

    async def list(self, path: str) -> list[Entry] | Refusal:
        found = await self._base.list(path)
        if not self._layers or (isinstance(found, Refusal) and found.code != "not_found"):
            return found
        prefix = await self._prefix(path)
        if isinstance(prefix, Refusal):
            return found
        names = {
            p[len(prefix) :]: text for p, text in self._texts().items() if p.startswith(prefix) and text is not None
        }
        if isinstance(found, Refusal) and not names:
            return found
        below = [] if isinstance(found, Refusal) else [e for e in found if e.is_dir or e.path not in self._layers]
        entries = {entry.path: entry for entry in below}
        for name, text in names.items():
            first, is_below, _ = name.partition("/")
            size = 0 if is_below else len(text.encode())
            entries[prefix + first] = Entry(prefix + first, bool(is_below), size)
        return sorted(entries.values(), key=lambda entry: (not entry.is_dir, entry.path))

    async def find(self, pattern: str, limit: int) -> list[str]:
        found = await self._base.find(pattern, limit + len(self._layers))
        matches = matcher(pattern)
        here = [path for path, text in self._texts().items() if text is not None and matches(path)]
        return sorted([*here, *(path for path in found if path not in self._layers)])[:limit]

    async def search(self, pattern: str, glob: str, limit: int) -> list[Match] | Refusal:
        return await search_with(self._base.search, self._texts(), pattern, glob, limit)

    async def unsaved(self) -> list[str]:
        return sorted(self._unseen)

    async def problems(self, paths: Sequence[str]) -> Problems | Refusal:
        """Of what was changed here only a parser can tell; of the rest, whoever tells the workspace."""
        names = [await self._name(path) for path in paths]
        here = [name for name in names if name in self._layers]
        others = [name for name in names if name not in self._layers]
        changed = here if paths else [path for path, text in self._texts().items() if text is not None]
        own = await check_files(self.read, changed, wanted=bool(paths))
        below = await self._base.problems(others) if others or not paths else Problems()
        if isinstance(own, Refusal) or isinstance(below, Refusal):
            return own if isinstance(own, Refusal) else below
        return own + _without(below, self._layers)

    async def check_out(self) -> Checkout | Refusal:
        checkout = await self._base.check_out()
        if not isinstance(checkout, Refusal):
            try:
                for path, text in sorted(self._texts().items()):
                    if not checkout.came_with(path, text):
                        await self._give(checkout, path)
            except BaseException:
                await to_its_end(checkout.aclose())
                raise
        return checkout

    async def run(self, command: Command) -> AsyncGenerator[Output | Exit | Refusal]:
        checkout = await self._ready_checkout()
        if isinstance(checkout, Refusal):
            yield checkout
            return
        async with aclosing(checkout.run(command)) as said:
            async for piece in said:
                if isinstance(piece, Exit) and not self._closed:
                    for path in await to_its_end(self._take_up(checkout)):
                        yield Output("stderr", f"[{path} was changed by somebody else too: left as it is there]\n")
                yield piece

    async def _ready_checkout(self) -> Checkout | Refusal:
        """The copy, with all in it that was changed here; what a command that was cut off has left is taken up."""
        async with self._checking_out:
            if self._closed:
                return Refusal("cancelled", "The work on this part is over.", "Finish.")
            if self._checkout is None:
                self._behind.clear()
                checkout = await self.check_out()
                if isinstance(checkout, Refusal):
                    return checkout
                self._checkout = checkout
            else:
                await to_its_end(self._take_up(self._checkout))
            for path in sorted(self._behind):
                self._behind.discard(path)
                await self._give(self._checkout, path)
            return self._checkout

    async def _give(self, checkout: Checkout, path: str) -> None:
        """Put the file's text into a copy."""
        if await to_its_end(checkout.write(path, self._layers[path].text)) is None:
            self._unseen.discard(path)
        else:
            self._unseen.add(path)

    async def _take_up(self, checkout: Checkout) -> list[str]:
        """Count what commands did to files as changed here; returns the files where that is not possible.

        What was edited here meanwhile stays, and the copy gets it with the next command.
        """
        left_out: list[str] = []
        changed = await checkout.changes()
        async with self._writing:
            for path, text in changed.items():
                layer = self._layers.get(path)
                origin = layer.origin if layer else await self._origin(checkout, path)
                if origin is None:
                    left_out.append(path)
                elif path not in self._behind:
                    self._layers[path] = _Layer(origin, text)
        return sorted(left_out)

    async def _origin(self, checkout: Checkout, path: str) -> Snapshot | None:
        """The workspace's file from which a command has made another; None when that has changed since the copy."""
        found = await self._base.read(path)
        if isinstance(found, Refusal) and found.code == "not_a_file":
            found = Snapshot(path, "", ABSENT)
        if isinstance(found, Refusal) or not checkout.came_with(path, found.text if found.exists else None):
            return None
        return found

    def _put(self, origin: Snapshot, text: str | None) -> None:
        self._layers[origin.path] = _Layer(origin, text)
        self._behind.add(origin.path)

    def _texts(self) -> Mapping[str, str | None]:
        return {path: layer.text for path, layer in self._layers.items()}

    def _own(self, path: str) -> Snapshot | Refusal:
        """The file as it is here; where it is not there, files made here can make it a folder or lie in its way."""
        layer = self._layers.get(path)
        if layer is not None and layer.text is not None:
            return Snapshot(path, layer.text, _version(layer.text))
        for other, text in self._texts().items():
            if text is not None and other.startswith(f"{path}/"):
                return Refusal("not_a_file", f"{path} is a folder.", "List it instead.")
            if text is not None and path.startswith(f"{other}/"):
                return Refusal("not_a_file", f"{path} lies below a file.", "List the folder above it.")
        return Snapshot(path, "", ABSENT)

    async def _name(self, path: str) -> str:
        """The file's path as the workspace names it."""
        found = await self.read(path)
        return path if isinstance(found, Refusal) else found.path

    async def _prefix(self, folder: str) -> str | Refusal:
        """What the paths of files in a folder begin with."""
        if folder in ("", "."):
            return ""
        found = await self._base.read(f"{folder}/{_ANY_NAME}")
        return found if isinstance(found, Refusal) else found.path.removesuffix(_ANY_NAME)


def _merged(change: Change, now: Snapshot) -> str | Refusal:
    """The text that the file gets."""
    if change.creates and now.exists and now.text != change.after:
        return Refusal("conflict", f"{change.path} was created meanwhile.", "Read it first.")
    if not change.creates and not now.exists:
        return Refusal("conflict", f"{change.path} was deleted meanwhile.", "Write it anew if it is needed.")
    text = now.text if change.creates and now.exists else merge(change.before, change.edits, now.text)
    if isinstance(text, Refusal):
        return text
    return refuse_git(change.path, now.path.split("/")) or _refuse_text(change.path, text) or text


def _refuse_text(path: str, text: str) -> Refusal | None:
    """What no file can hold, or none should."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return Refusal("not_text", "The new text holds half a character.", "Write whole characters.")
    if size > MAX_FILE_BYTES:
        return Refusal("too_large", f"{path} would grow too large.", "Write several smaller files.")
    return None


def _without(problems: Problems, paths: Iterable[str]) -> Problems:
    """The problems without what is told of these files."""
    left_out = set(paths)
    found = [problem for problem in problems.found if problem.path not in left_out]
    checked = {path: who for path, who in problems.checked.items() if path not in left_out}
    return Problems(found, checked, [path for path in problems.unknown if path not in left_out])


def _version(text: str) -> str:
    """A version that only a view gives, so that it is never taken for the workspace's."""
    return "view:" + hashlib.sha256(text.encode()).hexdigest()
