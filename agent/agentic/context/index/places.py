"""From places on disk to workspace paths, and which of them the index holds."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from agentic.context.index.writer import Stamp
from agentic.ignore import Ignored, files
from agentic.text import is_nameable


class Places:
    """The files of the roots that are not ignored; what lies in `own`, the index's own folder, is none of them."""

    def __init__(self, roots: Sequence[tuple[str, Path]], own: Path) -> None:
        self._roots = [(prefix, Path(os.path.realpath(root))) for prefix, root in roots]
        self._own = Path(os.path.realpath(own))
        self.reload_rules()

    @property
    def folders(self) -> list[Path]:
        """The real roots that exist."""
        return [root for _, root in self._roots if root.is_dir()]

    def reload_rules(self) -> None:
        """Read every `.gitignore` anew."""
        self._ignored = [Ignored(root) for _, root in self._roots]

    def all(self) -> Iterator[tuple[str, str, Stamp]]:
        """Every file: its workspace path, its place, its stamp."""
        for index in range(len(self._roots)):
            yield from self._below(index, "")

    def below(self, folder: Path) -> Iterator[tuple[str, str, Stamp]]:
        """The same for the files below a folder; none when it is ignored or lies nowhere."""
        for index, inner in self._homes(folder):
            if not self._ignored[index](f"{inner}/"):
                yield from self._below(index, f"{inner}/" if inner else "")

    def paths(self, place: Path) -> list[str]:
        """The workspace paths of a place that may hold a file; none where it is ignored or reached through a link."""
        return [self._roots[index][0] + inner for index, inner in self._homes(place) if not self._ignored[index](inner)]

    def _homes(self, place: Path) -> Iterator[tuple[int, str]]:
        """The roots that hold a place, with its path below each."""
        if place.is_relative_to(self._own) or os.path.realpath(place.parent) != str(place.parent):
            return
        for index, (_, root) in enumerate(self._roots):
            if place.is_relative_to(root):
                inner = place.relative_to(root).as_posix()
                inner = "" if inner == "." else inner
                if is_nameable(inner) and ".git" not in inner.split("/"):
                    yield index, inner

    def _below(self, index: int, folder: str) -> Iterator[tuple[str, str, Stamp]]:
        prefix, root = self._roots[index]
        own = f"{self._own.relative_to(root).as_posix()}/" if self._own.is_relative_to(root) else None
        for path, entry in files(root, folder):
            if own is not None and path.startswith(own):
                continue
            try:
                found = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            yield prefix + path, entry.path, Stamp(found.st_mtime_ns, found.st_size)
