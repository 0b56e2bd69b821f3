"""What git ignores below a folder, by its `.gitignore` files. Blocking; links are never walked through."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pathspec import GitIgnoreSpec

from agentic.ports.workspace import MAX_FILE_BYTES
from agentic.text import is_nameable

RULES = ".gitignore"


@dataclass(frozen=True, slots=True)
class Rules:
    """The `.gitignore` of one folder; `depth` is the length of that folder's path with its slash."""

    depth: int
    spec: GitIgnoreSpec


def files(root: Path, folder: str = "") -> Iterator[tuple[str, os.DirEntry[str]]]:
    """All regular files below a folder of a root, with their paths below the root, in the order of their components.

    `folder` is empty or ends with a slash, and is not ignored itself. Folders that cannot be read are empty.
    """
    waiting: list[tuple[str, os.DirEntry[str] | None, tuple[Rules, ...]]] = [(folder, None, rules_above(root, folder))]
    while waiting:
        path, file, outer = waiting.pop()
        if file is not None:
            yield path, file
            continue
        lying = scan(root / path)
        rules = (*outer, *rules_of(root, path)) if any(entry.name == RULES for entry in lying) else outer
        found = [
            (f"{path}{entry.name}/", None, rules) if is_folder(entry) else (f"{path}{entry.name}", entry, rules)
            for entry in lying
            if not entry.is_symlink() and (is_folder(entry) or entry.is_file()) and not is_ignored(path, entry, rules)
        ]
        waiting += sorted(found, key=lambda item: item[0].rstrip("/").encode(), reverse=True)


class Ignored:
    """Tells which files of a root `files` leaves out; it reads each `.gitignore` once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._rules: dict[str, tuple[Rules, ...]] = {}

    def __call__(self, path: str) -> bool:
        """Whether the file, or a folder above it, is ignored."""
        rules: tuple[Rules, ...] = ()
        start = 0
        while True:
            folder = path[:start]
            if folder not in self._rules:
                self._rules[folder] = rules_of(self._root, folder)
            rules = (*rules, *self._rules[folder])
            slash = path.find("/", start)
            if _excluded(path[: slash + 1] if slash >= 0 else path, rules):
                return True
            if slash < 0:
                return False
            start = slash + 1


def rules_above(root: Path, folder: str) -> tuple[Rules, ...]:
    """The rules that the folders above a folder make for it, outermost first; none for the root, which is empty."""
    above = [folder[:start] for start in (0, *(i + 1 for i, character in enumerate(folder) if character == "/"))]
    return tuple(rules for outer in above if outer != folder for rules in rules_of(root, outer))


def rules_of(root: Path, folder: str) -> tuple[Rules, ...]:
    """The rules that a folder adds. `x/**` means `x/*`, which unlike the first does not match `x` itself."""
    text = _gitignore(root / folder / RULES)
    lines = [line.rstrip("\r") for line in text.split("\n")]
    lines = [line[:-1] if line.endswith("/**") else line for line in lines if _is_rule(line)]
    return (Rules(len(folder), GitIgnoreSpec.from_lines(lines)),) if lines else ()


def is_ignored(folder: str, entry: os.DirEntry[str], rules: tuple[Rules, ...]) -> bool:
    """Whether the innermost `.gitignore` that says anything about the entry excludes it; `.git` always is."""
    if entry.name == ".git" or not is_nameable(entry.name):
        return True
    return bool(rules) and _excluded(f"{folder}{entry.name}{'/' if is_folder(entry) else ''}", rules)


def is_folder(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False)


def scan(folder: Path) -> list[os.DirEntry[str]]:
    """What lies in a folder; nothing when it cannot be read."""
    try:
        with os.scandir(folder) as found:
            return list(found)
    except OSError:
        return []


def _excluded(path: str, rules: tuple[Rules, ...]) -> bool:
    for rule in reversed(rules):
        verdict = rule.spec.check_file(path[rule.depth :]).include
        if verdict is not None:
            return verdict
    return False


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
