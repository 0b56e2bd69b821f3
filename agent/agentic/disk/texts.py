"""Searching files of which some hold another text than the one that a search of them finds: it is not on the disk."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from agentic.disk.glob import matcher
from agentic.disk.search import search
from agentic.errors import Refusal
from agentic.ports.workspace import Match
from agentic.safety.paths import Roots

Search = Callable[[str, str, int], Awaitable[list[Match] | Refusal]]
"""A workspace's `search`."""


async def search_with(
    below: Search, texts: Mapping[str, str | None], pattern: str, glob: str, limit: int
) -> list[Match] | Refusal:
    """As `below`, but with these texts in place of what it finds in their files; None where there is no file."""
    if not texts:
        return await below(pattern, glob, limit)
    found = await _others(below, texts, pattern, glob, limit)
    if isinstance(found, Refusal):
        return found
    matches = matcher(glob or "**")
    wanted = [(path, text) for path, text in texts.items() if text is not None and matches(path)]
    in_texts = await _search_texts(wanted, pattern, limit)
    if isinstance(in_texts, Refusal):
        return in_texts
    return sorted(found + in_texts, key=lambda match: (match.path, match.line))[:limit]


async def _others(
    below: Search, hidden: Mapping[str, str | None], pattern: str, glob: str, limit: int
) -> list[Match] | Refusal:
    """The first matches that are not in the hidden files."""
    wanted = limit
    while True:
        found = await below(pattern, glob, wanted)
        if isinstance(found, Refusal):
            return found
        kept = [match for match in found if match.path not in hidden]
        if len(kept) >= limit or len(found) < wanted:
            return kept[:limit]
        wanted *= 4


async def _search_texts(texts: Sequence[tuple[str, str]], pattern: str, limit: int) -> list[Match] | Refusal:
    """Search texts as files are searched: in a process of its own, for a pattern may take for ever."""
    if not texts:
        return []
    with tempfile.TemporaryDirectory(prefix="agentic-") as folder:
        names = {f"{number:09}": path for number, (path, _) in enumerate(sorted(texts))}
        await asyncio.to_thread(_write_all, Path(folder), dict(texts), names)
        found = await search(Roots([folder]), pattern, "", limit)
    return found if isinstance(found, Refusal) else [replace(match, path=names[match.path]) for match in found]


def _write_all(folder: Path, texts: Mapping[str, str], names: Mapping[str, str]) -> None:
    for name, path in names.items():
        (folder / name).write_bytes(texts[path].encode("utf-8", "replace"))
