"""Text as the model reads it: numbered lines, names that are near."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from agentic.errors import Refusal
from agentic.ports.workspace import Workspace
from agentic.text import line_of, line_starts, split_lines, strip_eol

AROUND = 3
"""Lines shown before and after a changed place."""
MAX_EXCERPT_LINES = 60
MAX_LINE_CHARS = 2000


def numbered(lines: Sequence[str], first: int) -> str:
    """Each line after its number and a tab; long ones are cut."""
    return "\n".join(f"{number}\t{cut(strip_eol(line))}" for number, line in enumerate(lines, first))


def cut(line: str, limit: int = MAX_LINE_CHARS) -> str:
    """The line, at most `limit` characters of it."""
    return line if len(line) <= limit else f"{line[:limit]}… ({len(line) - limit} more characters)"


def excerpt(text: str, spans: Iterable[tuple[int, int]]) -> str:
    """The lines around these spans of characters, numbered; gaps are marked, and it is bounded."""
    lines, starts = split_lines(text), line_starts(text)
    wanted: set[int] = set()
    for start, end in spans:
        wanted.update(range(max(0, line_of(starts, start) - AROUND), line_of(starts, end) + AROUND + 1))
    shown = sorted(number for number in wanted if number < len(lines))
    parts: list[str] = []
    for position, number in enumerate(shown[:MAX_EXCERPT_LINES]):
        if position and shown[position - 1] != number - 1:
            parts.append("…")
        parts.append(numbered([lines[number]], number + 1))
    if len(shown) > MAX_EXCERPT_LINES:
        parts.append(f"… ({len(shown) - MAX_EXCERPT_LINES} more lines)")
    return "\n".join(parts) or "(the file is empty)"


async def absent(workspace: Workspace, path: str) -> Refusal:
    """That there is no such file, with the names that are near."""
    folder, _, name = path.replace("\\", "/").rpartition("/")
    same_name = await workspace.find(f"**/{name}", 5) if name and not set(name) & set("*?[") else []
    entries = await workspace.list(folder or ".")
    beside = [] if isinstance(entries, Refusal) else [entry.path for entry in entries if not entry.is_dir]
    near = list(dict.fromkeys([*same_name, *difflib.get_close_matches(path, beside, 5, 0.6)]))[:5]
    step = f"Near names: {', '.join(near)}." if near else "Look for it with find_files or list_files."
    return Refusal("not_found", f"There is no file {path}.", step)
