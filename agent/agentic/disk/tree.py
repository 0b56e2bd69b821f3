"""Folders without what git ignores. Blocking; links are listed where they lead, and never walked through."""

from __future__ import annotations

import os
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path

from agentic.ignore import Ignored, Rules, files, is_folder, is_ignored, rules_above, rules_of, scan
from agentic.ports.workspace import Entry
from agentic.safety.paths import Roots

__all__ = ["Found", "Ignored", "entries", "everything", "walk"]


def walk(root: Path, prefix: str = "") -> Iterator[str]:
    """The workspace paths of all regular files below a root, in the order of their components."""
    return (prefix + path for path, _ in files(root))


@dataclass(frozen=True, slots=True)
class Found:
    """Something below a root; a folder's path has a slash at its end."""

    path: str
    entry: os.DirEntry[str]
    ignored: bool


def everything(root: Path, known: Container[str] = (), names: Container[str] = ()) -> Iterator[Found]:
    """Whatever lies below a root, each folder before what is in it; links and ignored folders are not walked through.

    Paths in `known` are not ignored, and cost no look at the rules; other entries with one of the `names` are.
    """
    waiting: list[tuple[str, tuple[Rules, ...]]] = [("", ())]
    while waiting:
        folder, outer = waiting.pop()
        rules = (*outer, *rules_of(root, folder))
        for entry in scan(root / folder):
            path = f"{folder}{entry.name}/" if is_folder(entry) else f"{folder}{entry.name}"
            ignored = path not in known and (entry.name in names or is_ignored(folder, entry, rules))
            yield Found(path, entry, ignored)
            if is_folder(entry) and not ignored:
                waiting.append((path, rules))


def entries(roots: Roots, folder: Path, relative: str) -> list[Entry]:
    """What lies in one folder, folders first. Links that lead outside or nowhere are left out.

    :raises OSError: when the folder cannot be read.
    """
    root, inner = _place(roots, folder)
    rules = (*rules_above(root, inner), *rules_of(root, inner))
    prefix = "" if relative == "." else f"{relative}/"
    with os.scandir(folder) as lying:
        found = [
            _entry(entry, prefix)
            for entry in lying
            if not is_ignored(inner, entry, rules) and _leads_inside(roots, entry)
        ]
    return sorted(found, key=lambda entry: (not entry.is_dir, entry.path))


def _entry(entry: os.DirEntry[str], prefix: str) -> Entry:
    is_dir = entry.is_dir()
    return Entry(prefix + entry.name, is_dir, 0 if is_dir else entry.stat().st_size)


def _leads_inside(roots: Roots, entry: os.DirEntry[str]) -> bool:
    if not entry.is_symlink():
        return True
    target = Path(os.path.realpath(entry.path))
    return target.exists() and roots.relative(target) is not None


def _place(roots: Roots, folder: Path) -> tuple[Path, str]:
    """The root that holds a folder, and the folder's path below it, with a slash at its end unless it is empty."""
    root = next(real for _, real in roots.folders if folder.is_relative_to(real))
    inner = folder.relative_to(root).as_posix()
    return root, "" if inner == "." else f"{inner}/"
