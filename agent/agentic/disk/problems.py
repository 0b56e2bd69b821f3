"""Problems without a language server: what parsers say of the text that the user sees."""

from __future__ import annotations

import ast
import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Sequence

from agentic.change import Snapshot
from agentic.errors import Refusal
from agentic.ports.problems import Problem, Problems

BY = "a syntax check"
MAX_CHARS = 1_000_000
"""A longer text is not parsed: it is data or generated, and takes seconds."""

Read = Callable[[str], Awaitable[Snapshot | Refusal]]


async def check_files(read: Read, paths: Sequence[str], *, wanted: bool = True) -> Problems | Refusal:
    """Check the syntax of these files. What cannot be read is left out unless it is `wanted`: then it is refused."""
    snapshots: list[Snapshot] = []
    for path in paths:
        snapshot = await read(path)
        if isinstance(snapshot, Snapshot) and snapshot.exists:
            snapshots.append(snapshot)
        elif wanted:
            return snapshot if isinstance(snapshot, Refusal) else _missing(path)
    return await asyncio.to_thread(check, snapshots)


def check(snapshots: Iterable[Snapshot]) -> Problems:
    """The syntax errors of these texts; a file whose language no parser knows is `unknown`."""
    found: list[Problem] = []
    checked: dict[str, str] = {}
    unknown: list[str] = []
    for snapshot in snapshots:
        parse = _PARSERS.get(snapshot.path.rpartition(".")[2].lower())
        if parse is None or len(snapshot.text) > MAX_CHARS:
            unknown.append(snapshot.path)
        else:
            checked[snapshot.path] = BY
            found += parse(snapshot.path, snapshot.text)
    return Problems(tuple(found), checked, tuple(unknown))


def _python(path: str, text: str) -> list[Problem]:
    try:
        ast.parse(text)
    except SyntaxError as error:
        return [Problem(path, error.lineno or 1, error.msg, source="syntax", column=max(1, error.offset or 1))]
    except (ValueError, RecursionError, MemoryError) as error:
        return [Problem(path, 1, f"cannot be parsed: {error}", source="syntax")]
    return []


def _json(path: str, text: str) -> list[Problem]:
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return [Problem(path, error.lineno, error.msg, source="syntax", column=error.colno)]
    except RecursionError:
        return [Problem(path, 1, "is nested too deep", source="syntax")]
    return []


_PARSERS: dict[str, Callable[[str, str], list[Problem]]] = {"py": _python, "pyi": _python, "json": _json}


def _missing(path: str) -> Refusal:
    return Refusal("not_found", f"There is no file {path}.", "Look for it with find_files or list_files.")
