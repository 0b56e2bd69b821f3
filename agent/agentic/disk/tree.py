"""Folders without what git ignores. Blocking; links are listed where they lead, and never walked through."""

from __future__ import annotations

import os
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path

from pathspec import GitIgnoreSpec

from agentic.ports.workspace import MAX_FILE_BYTES, Entry
from agentic.safety.paths import Roots, is_nameable


@dataclass(frozen=True, slots=True)
class _Rules:
    """The `.gitignore` of one folder; `depth` is the length of that folder's path with its slash."""

    depth: int
    spec: GitIgnoreSpec


def walk(root: Path, prefix: str = "") -> Iterator[str]:
    """The workspace paths of all regular files below a root, in the order of their components."""
    waiting: list[tuple[str, tuple[_Rules, ...]]] = [("", ())]
    while waiting:
        path, outer = waiting.pop()
        if path and not path.endswith("/"):
            yield prefix + path
            continue
        rules = (*outer, *_rules_of(root, path))
        found = [
            (f"{path}{entry.name}/" if entry.is_dir(follow_symlinks=False) else f"{path}{entry.name}", rules)
            for entry in _scan(root / path)
            if not entry.is_symlink() and (entry.is_dir() or entry.is_file()) and not _ignored(path, entry, rules)
        ]
        waiting += sorted(found, key=lambda item: item[0].rstrip("/").encode(), reverse=True)


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
    waiting: list[tuple[str, tuple[_Rules, ...]]] = [("", ())]
    while waiting:
        folder, outer = waiting.pop()
        rules = (*outer, *_rules_of(root, folder))
        for entry in _scan(root / folder):
            is_folder = entry.is_dir(follow_symlinks=False)
            path = f"{folder}{entry.name}/" if is_folder else f"{folder}{entry.name}"
            ignored = path not in known and (entry.name in names or _ignored(folder, entry, rules))
            yield Found(path, entry, ignored)
            if is_folder and not ignored:
                waiting.append((path, rules))


class Ignored:
    """Tells which files of a root `walk` leaves out; it reads each `.gitignore` once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._rules: dict[str, tuple[_Rules, ...]] = {}

    def __call__(self, path: str) -> bool:
        """Whether the file, or a folder above it, is ignored."""
        rules: tuple[_Rules, ...] = ()
        start = 0
        while True:
            folder = path[:start]
            if folder not in self._rules:
                self._rules[folder] = _rules_of(self._root, folder)
            rules = (*rules, *self._rules[folder])
            slash = path.find("/", start)
            if _excluded(path[: slash + 1] if slash >= 0 else path, rules):
                return True
            if slash < 0:
                return False
            start = slash + 1


def entries(roots: Roots, folder: Path, relative: str) -> list[Entry]:
    """What lies in one folder, folders first. Links that lead outside or nowhere are left out.

    :raises OSError: when the folder cannot be read.
    """
    root, inner = _place(roots, folder)
    rules = _rules_down_to(root, inner)
    prefix = "" if relative == "." else f"{relative}/"
    found = [
        _entry(entry, prefix)
        for entry in _scan(folder, strict=True)
        if not _ignored(inner, entry, rules) and _leads_inside(roots, entry)
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


def _rules_down_to(root: Path, inner: str) -> tuple[_Rules, ...]:
    steps = ["", *(inner[: i + 1] for i, character in enumerate(inner) if character == "/")]
    return tuple(rules for step in steps for rules in _rules_of(root, step))


def _rules_of(root: Path, path: str) -> tuple[_Rules, ...]:
    """The rules that a folder adds. `x/**` means `x/*`, which unlike the first does not match `x` itself."""
    text = _gitignore(root / path / ".gitignore")
    lines = [line.rstrip("\r") for line in text.split("\n")]
    lines = [line[:-1] if line.endswith("/**") else line for line in lines if _is_rule(line)]
    return (_Rules(len(path), GitIgnoreSpec.from_lines(lines)),) if lines else ()


def _gitignore(file: Path) -> str:
    """Its text; empty for what is no such file, or cannot be read."""
    try:
        if file.is_symlink() or not file.is_file() or file.stat().st_size > MAX_FILE_BYTES:
            return ""
        return file.read_text("utf-8-sig", errors="replace")
    except OSError:
        return ""


def _is_rule(line: str) -> bool:
    if not line.strip() or line.startswith("#"):
        return False
    try:
        GitIgnoreSpec.from_lines([line])
    except ValueError:
        return False
    return True


def _ignored(folder: str, entry: os.DirEntry[str], rules: tuple[_Rules, ...]) -> bool:
    """Whether the innermost `.gitignore` that says anything about the entry excludes it; `.git` always is."""
    if entry.name == ".git" or not is_nameable(entry.name):
        return True
    suffix = "/" if entry.is_dir(follow_symlinks=False) else ""
    return _excluded(f"{folder}{entry.name}{suffix}", rules)


def _excluded(path: str, rules: tuple[_Rules, ...]) -> bool:
    for rule in reversed(rules):
        verdict = rule.spec.check_file(path[rule.depth :]).include
        if verdict is not None:
            return verdict
    return False


def _scan(folder: Path, *, strict: bool = False) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return list(found)
    except OSError:
        if strict:
            raise
        return []
