"""The one path resolver: what a model calls a path becomes a real place inside the workspace, or a refusal.

A path is first made lexical (`.` and `..` folded away), then every symbolic link on the way is followed, in the parents
of a file that does not exist yet too, and the place that comes out must lie inside a root, component by component.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from agentic.errors import Refusal
from agentic.text import is_nameable

MAX_CHARACTERS = 8192
"""A longer path is no path: to follow one takes time that grows with the square of its length."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """A place inside the workspace. `absolute` has no symbolic link in it when it is made."""

    absolute: Path
    relative: str
    """As the workspace names it: forward slashes, with the root's name in front when there are several roots."""
    root: Path
    lexical: Path
    """The same place before links were followed."""


class Roots:
    """The folders of a workspace. `windows` lets a backslash part components and keeps colons out of them."""

    def __init__(self, folders: Sequence[str | Path], *, windows: bool = os.name == "nt") -> None:
        if not folders:
            raise ValueError("a workspace has at least one folder")
        if not all(Path(folder).is_absolute() for folder in folders):
            raise ValueError("workspace folders are absolute paths")
        self._windows = windows
        self.given = [str(folder) for folder in folders]
        """The folders as they were given."""
        self._given = [Path(os.path.normpath(folder)) for folder in folders]
        self._real = [Path(os.path.realpath(folder)) for folder in folders]
        self.names: tuple[str, ...] = _unique([folder.name or "root" for folder in self._given])

    @property
    def folders(self) -> tuple[tuple[str, Path], ...]:
        """Each root's prefix in workspace paths (empty when it is the only one) and its real place."""
        if len(self._real) == 1:
            return (("", self._real[0]),)
        return tuple((f"{name}/", real) for name, real in zip(self.names, self._real, strict=True))

    def resolve(self, path: str) -> Resolved | Refusal:
        """The place that `path` means, whether or not there is something. Refuses: outside_workspace, denied.

        Takes workspace-relative paths, absolute paths inside a root, and `file://` URIs. The top of a workspace with
        several folders is its first folder.
        """
        text = _plain(path, self._windows)
        if isinstance(text, Refusal):
            return text
        found = self._from_absolute(text) if os.path.isabs(text) else self._from_relative(text)
        if found is None:
            return self._outside(path)
        index, parts = found
        root = self._real[index]
        lexical = root.joinpath(*parts)
        real = Path(os.path.realpath(lexical))
        if os.path.islink(real):
            return Refusal("denied", f"{path!r} is a symbolic link that leads in a circle.", "Use another path.")
        if not any(real.is_relative_to(folder) for folder in self._real):
            return self._outside(path)
        return Resolved(real, self._name(index, parts), root, lexical)

    def resolve_for_write(self, path: str) -> Resolved | Refusal:
        """As `resolve`, and refuses (denied) whatever lies in a `.git`, under any spelling and through any link."""
        resolved = self.resolve(path)
        if isinstance(resolved, Refusal):
            return resolved
        inner = [resolved.lexical.relative_to(resolved.root), *self._inside(resolved.absolute)]
        return refuse_git(path, [part for place in inner for part in place.parts]) or resolved

    def relative(self, place: Path) -> str | None:
        """The workspace path of a real place, or None outside the workspace."""
        found = self._from_absolute(str(place))
        return None if found is None else self._name(*found)

    def _inside(self, place: Path) -> list[Path]:
        return [place.relative_to(folder) for folder in self._real if place.is_relative_to(folder)]

    def _from_absolute(self, text: str) -> tuple[int, tuple[str, ...]] | None:
        place = Path(os.path.normpath(text))
        candidates = [*enumerate(self._given), *enumerate(self._real)]
        holding = [(len(folder.parts), i, folder) for i, folder in candidates if place.is_relative_to(folder)]
        if not holding:
            return None
        _, index, folder = max(holding, key=lambda item: item[0])
        return index, place.relative_to(folder).parts

    def _from_relative(self, text: str) -> tuple[int, tuple[str, ...]] | None:
        parts = _fold(text)
        if parts is None:
            return None
        if len(self._real) == 1:
            return 0, parts
        if not parts:
            return 0, ()
        return (self.names.index(parts[0]), parts[1:]) if parts[0] in self.names else None

    def _name(self, index: int, parts: tuple[str, ...]) -> str:
        prefix = () if len(self._real) == 1 else (self.names[index],)
        return "/".join((*prefix, *parts)) or "."

    def _outside(self, path: str) -> Refusal:
        several = len(self._real) > 1
        step = f"Begin it with one of: {', '.join(self.names)}." if several else "Use a path inside it."
        return Refusal("outside_workspace", f"{path!r} lies outside the workspace.", step)


def check_again(resolved: Resolved) -> Refusal | None:
    """Whether the place still is where it was when it was resolved: to be called right before it is changed."""
    if Path(os.path.realpath(resolved.lexical)) == resolved.absolute and not os.path.islink(resolved.absolute):
        return None
    return Refusal(
        "outside_workspace",
        f"A symbolic link on the way to {resolved.relative!r} was changed meanwhile.",
        "Look at the folder again.",
    )


def refuse_git(path: str, components: Iterable[str]) -> Refusal | None:
    """A refusal (denied) where one of the path's components is a `.git`, under any spelling."""
    if not any(_is_git(component) for component in components):
        return None
    return Refusal(
        "denied",
        f"{path!r} belongs to git's own files, which can run programs.",
        "Use a git command instead, which the user is asked about.",
    )


def _plain(path: str, windows: bool) -> str | Refusal:
    """The path as the operating system would take it: no URI, no backslashes on Windows, nothing that hides."""
    if len(path) > MAX_CHARACTERS:
        return Refusal("denied", f"The path {path[:40]!r}… is too long.", "Use a path of the workspace.")
    text = _from_uri(path, windows) if path.lower().startswith("file:") else path
    if text is None or re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", text):
        return Refusal("outside_workspace", f"{path!r} is no file of this workspace.", "Use a path inside it.")
    if windows:
        text = text.replace("\\", "/")
    if not is_nameable(text):
        return Refusal("denied", f"{path!r} holds control characters.", "Use the file's plain name.")
    if text.startswith("~"):
        return Refusal("outside_workspace", f"{path!r} lies in a home folder.", "Use a path inside the workspace.")
    if windows and ":" in os.path.splitdrive(text)[1]:
        return Refusal("denied", f"{path!r} names a stream of a file.", "Use the file's plain name.")
    return text


def _from_uri(uri: str, windows: bool) -> str | None:
    """The path of a `file:` URI on this machine."""
    match = re.fullmatch(r"file:(?://(?:localhost)?)?(/.*)", uri, re.IGNORECASE | re.DOTALL)
    if match is None:
        return None
    text = unquote(match[1], errors="surrogateescape")
    return text[1:] if windows and re.match(r"/[A-Za-z]:", text) else text


def _fold(text: str) -> tuple[str, ...] | None:
    """The components without `.` and `..`, or None where they leave."""
    parts: list[str] = []
    for part in text.split("/"):
        if part == "..":
            if not parts:
                return None
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return tuple(parts)


def _is_git(component: str) -> bool:
    """Whether some file system takes this component for `.git`."""
    visible = "".join(c for c in component if unicodedata.category(c) != "Cf")
    name = unicodedata.normalize("NFKC", visible).casefold().split(":")[0].rstrip(". ")
    return name in (".git", "git~1")


def _unique(names: Sequence[str]) -> tuple[str, ...]:
    taken: list[str] = []
    for name in names:
        candidate, number = name, 2
        while candidate in taken:
            candidate, number = f"{name}-{number}", number + 1
        taken.append(candidate)
    return tuple(taken)
