"""The workspace port: the user's files and commands, wherever they live.

Tools know only this. The editor, the disk and a dict in memory implement it, and one contract test suite runs over all
of them. Paths that go in are the model's own words; paths that come out are workspace-relative with forward slashes.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from agentic.change import ABSENT, Applied, Change, Snapshot
from agentic.errors import Refusal
from agentic.merge import merge
from agentic.ports.problems import Problem, Problems

MAX_FILE_BYTES = 5_000_000
"""Files above this are refused as too_large."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or folder. `size` in bytes, 0 for folders."""

    path: str
    is_dir: bool
    size: int = 0


@dataclass(frozen=True, slots=True)
class Match:
    """A line that a search found; `line` counts from 1."""

    path: str
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Command:
    """A shell command; `cwd` is a workspace path, `seconds` its time limit."""

    text: str
    cwd: str = "."
    seconds: float = 120.0


@dataclass(frozen=True, slots=True)
class Output:
    """Something a command printed."""

    stream: Literal["stdout", "stderr"]
    text: str


@dataclass(frozen=True, slots=True)
class Exit:
    """A command ended. `code` is its exit code, negative for a signal; `timed_out` when the time limit killed it."""

    code: int
    timed_out: bool = False


class Checkout(Protocol):
    """A private copy of the workspace's files on disk, in which commands run without touching the workspace.

    Close it in the end: the copy is removed, and what still runs in it is killed.
    """

    async def write(self, path: str, text: str | None) -> Refusal | None:
        """Put this text into the copy's file; None removes it."""
        ...

    def run(self, command: Command) -> AsyncGenerator[Output | Exit | Refusal]:
        """Run a command in the copy; as `Workspace.run`."""
        ...

    async def changes(self) -> dict[str, str | None]:
        """The text files that commands have changed, made or removed (None) since they were last asked for."""
        ...

    def came_with(self, path: str, text: str | None) -> bool:
        """Whether this is the file's text as it was copied, or written last, before commands; None for no file."""
        ...

    async def aclose(self) -> None: ...


class Workspace(Protocol):
    """The user's files and commands."""

    @property
    def roots(self) -> Sequence[str]:
        """The names of the workspace folders; one means that paths carry no prefix."""
        ...

    async def read(self, path: str) -> Snapshot | Refusal:
        """The file as the user sees it, unsaved text included; a snapshot with version `ABSENT` when there is none.

        Refuses: outside_workspace, not_text (binary, or not UTF-8), too_large, not_a_file.
        """
        ...

    async def apply(self, change: Change) -> Applied | Refusal:
        """Make the change, all of it or nothing.

        Made against an older text it is rebased where its spans are untouched. Applying what is already there is
        `Applied`, so it can be repeated. Refuses: conflict (spans touched, created or deleted meanwhile), rejected
        (the user or the editor said no), outside_workspace, not_text, io_error. A refusal left everything as it was.
        """
        ...

    async def list(self, path: str) -> list[Entry] | Refusal:
        """The entries of a folder, folders first, ignored ones left out. Refuses: not_found, outside_workspace."""
        ...

    async def find(self, pattern: str, limit: int) -> list[str]:
        """Paths that match a glob (`**/*.py`, `test_*`), ignored ones left out, sorted; at most `limit`."""
        ...

    async def search(self, pattern: str, glob: str, limit: int) -> list[Match] | Refusal:
        """Lines that match a regular expression, in files matching `glob` (empty: all), in the text the user sees.

        Refuses: bad_arguments (the pattern is no regular expression).
        """
        ...

    async def unsaved(self) -> list[str]:
        """Paths whose text, as the user sees it, a command does not see: it is not saved."""
        ...

    async def problems(self, paths: Sequence[str]) -> Problems | Refusal:
        """What is wrong in these files (none given: in all that are open or were changed), by the best source there is.

        Refuses as `read` does, and not_found.
        """
        ...

    async def check_out(self) -> Checkout | Refusal:
        """A private copy of the files as the user sees them. Refuses: io_error, too_large."""
        ...

    def run(self, command: Command) -> AsyncGenerator[Output | Exit | Refusal]:
        """Run a command and stream what it prints; `Exit` comes last, or a single `Refusal`.

        Closing the generator, or cancelling its task, kills the command and everything it started.
        """
        ...


class MemoryCheckout:
    """The double of a copy: a workspace of its own. `effects` maps a command's text to the files that it writes."""

    def __init__(self, workspace: MemoryWorkspace, effects: dict[str, dict[str, str | None]] | None = None) -> None:
        self.workspace = workspace
        self.effects = effects or {}
        self._given: dict[str, str | None] = dict(workspace.files)
        self._changed: dict[str, str | None] = {}
        self.closed = False

    async def write(self, path: str, text: str | None) -> Refusal | None:
        self._given[path] = text
        self._put(path, text)
        return None

    async def run(self, command: Command) -> AsyncGenerator[Output | Exit | Refusal]:
        for path, text in self.effects.get(command.text, {}).items():
            self._put(path, text)
            self._changed[path] = text
        async for output in self.workspace.run(command):
            yield output

    async def changes(self) -> dict[str, str | None]:
        changed, self._changed = self._changed, {}
        return changed

    def came_with(self, path: str, text: str | None) -> bool:
        return self._given.get(path) == text

    async def aclose(self) -> None:
        self.closed = True

    def _put(self, path: str, text: str | None) -> None:
        if text is None:
            self.workspace.files.pop(path, None)
        else:
            self.workspace.files[path] = text
            self.workspace.versions.setdefault(path, 1)


class MemoryWorkspace:
    """Files in a dict; the double. Commands answer from `commands`, which maps a command's text to its output."""

    def __init__(self, files: dict[str, str], commands: dict[str, tuple[int, str]] | None = None) -> None:
        self.files = dict(files)
        self.commands = commands or {}
        self.versions = dict.fromkeys(files, 1)
        self.found: list[Problem] = []
        """What `problems` answers, for any files."""
        self.effects: dict[str, dict[str, str | None]] = {}
        """What commands write into a copy."""
        self.checkouts: list[MemoryCheckout] = []

    @property
    def roots(self) -> Sequence[str]:
        return ["workspace"]

    async def read(self, path: str) -> Snapshot | Refusal:
        clean = _clean(path)
        if isinstance(clean, Refusal):
            return clean
        if clean not in self.files:
            if any(name.startswith(f"{clean}/") for name in self.files):
                return Refusal("not_a_file", f"{path} is a folder.", "List it instead.")
            return Snapshot(clean, "", ABSENT)
        return Snapshot(clean, self.files[clean], str(self.versions[clean]))

    async def apply(self, change: Change) -> Applied | Refusal:
        now = await self.read(change.path)
        if isinstance(now, Refusal):
            return now
        if change.creates and now.exists and now.text != change.after:
            return Refusal("conflict", f"{change.path} was created meanwhile.", "Read it first.")
        if not change.creates and not now.exists:
            return Refusal("conflict", f"{change.path} was deleted meanwhile.", "Write it anew if it is needed.")
        merged = merge(change.before, change.edits, now.text)
        if isinstance(merged, Refusal):
            return merged
        if merged != now.text or not now.exists:
            self.files[now.path] = merged
            self.versions[now.path] = self.versions.get(now.path, 0) + 1
        return Applied(now.path, str(self.versions[now.path]), merged, rebased=now.text != change.before)

    async def list(self, path: str) -> list[Entry] | Refusal:
        clean = _clean(path)
        if isinstance(clean, Refusal):
            return clean
        prefix = "" if clean == "." else f"{clean}/"
        names = {name[len(prefix) :] for name in self.files if name.startswith(prefix)}
        if not names and prefix:
            return Refusal("not_found", f"There is no folder {path}.", "List the folder above it.")
        folders = sorted({name.split("/")[0] for name in names if "/" in name})
        files = sorted(name for name in names if "/" not in name)
        sizes = {name: len(self.files[prefix + name].encode()) for name in files}
        return [Entry(prefix + f, True) for f in folders] + [Entry(prefix + f, False, sizes[f]) for f in files]

    async def find(self, pattern: str, limit: int) -> list[str]:
        wanted = [pattern, pattern.removeprefix("**/")]
        names = sorted(self.files)
        hits = [n for n in names if any(fnmatch.fnmatch(n, w) or fnmatch.fnmatch(n.split("/")[-1], w) for w in wanted)]
        return hits[:limit]

    async def search(self, pattern: str, glob: str, limit: int) -> list[Match] | Refusal:
        try:
            regex = re.compile(pattern)
        except re.error as error:
            return Refusal(
                "bad_arguments", f"The pattern is no regular expression: {error}.", "Escape its special characters."
            )
        paths = await self.find(glob or "*", 100_000)
        lines = ((path, n, line) for path in paths for n, line in enumerate(self.files[path].split("\n"), 1))
        return [Match(path, n, line) for path, n, line in lines if regex.search(line)][:limit]

    async def unsaved(self) -> list[str]:
        return []

    async def problems(self, paths: Sequence[str]) -> Problems | Refusal:
        wanted = paths or list(self.files)
        checked = dict.fromkeys(wanted, "the double")
        return Problems([problem for problem in self.found if problem.path in wanted], checked)

    async def check_out(self) -> Checkout | Refusal:
        self.checkouts.append(MemoryCheckout(MemoryWorkspace(self.files, self.commands), self.effects))
        return self.checkouts[-1]

    async def run(self, command: Command) -> AsyncGenerator[Output | Exit | Refusal]:
        if command.text not in self.commands:
            raise AssertionError(f"no scripted output for the command {command.text!r}")
        code, text = self.commands[command.text]
        yield Output("stdout", text)
        yield Exit(code)


def _clean(path: str) -> str | Refusal:
    parts: list[str] = []
    for part in path.replace("\\", "/").split("/"):
        if part == "..":
            if not parts:
                return Refusal("outside_workspace", f"{path} lies outside the workspace.", "Use a path inside it.")
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    if path.startswith("/"):
        return Refusal("outside_workspace", f"{path} lies outside the workspace.", "Use a path inside it.")
    return "/".join(parts) or "."
