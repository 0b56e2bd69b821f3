"""Problems without a language server: what parsers say of the text that the user sees."""

from __future__ import annotations

import ast
import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from agentic.change import Snapshot
from agentic.errors import Refusal
from agentic.ports.problems import Problem, Problems
from agentic.syntax.apart import errors_apart

BY = "a syntax check"
MAX_CHARS = 1_000_000
"""A longer text is not parsed: it is data or generated, and takes seconds."""

_SYNTAX = "syntax"
_PYTHON_ENDINGS = ("py", "pyi")
_PYTHON = f"syntax of Python {sys.version_info.major}.{sys.version_info.minor}"

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
    """The syntax errors of these texts; a file whose language no parser knows is `unknown`, and so is a huge one."""
    found: list[Problem] = []
    checked: dict[str, str] = {}
    unknown: list[str] = []
    texts = {snapshot.path: snapshot.text for snapshot in snapshots}
    by_grammar = _by_grammar(texts)
    for path, text in texts.items():
        wrong = _errors(path, text, by_grammar.get(path))
        if wrong is None:
            unknown.append(path)
        else:
            checked[path] = BY
            found += wrong
    return Problems(tuple(found), checked, tuple(unknown))


def _errors(path: str, text: str, by_grammar: list[Problem] | None) -> list[Problem] | None:
    ending = _ending(path)
    if ending in _PYTHON_ENDINGS:
        return _python(path, text) if len(text) <= MAX_CHARS else None
    if ending == "json":
        return _json(path, text, by_grammar) if len(text) <= MAX_CHARS else None
    return by_grammar


def _by_grammar(texts: Mapping[str, str]) -> dict[str, list[Problem] | None]:
    """What the grammars say of the other files; None where there is no grammar, or its parser fails."""
    asked = [(path, text) for path, text in texts.items() if not _is_python_or_json(path, text)]
    return dict(zip((path for path, _ in asked), errors_apart(asked), strict=True))


def _is_python_or_json(path: str, text: str) -> bool:
    """A file with comments that calls itself JSON is none."""
    ending = _ending(path)
    if ending != "json" or len(text) > MAX_CHARS:
        return ending in (*_PYTHON_ENDINGS, "json")
    try:
        json.loads(text)
    except RecursionError:
        return True
    except json.JSONDecodeError:
        return False
    return True


def _ending(path: str) -> str:
    return path.rpartition(".")[2].lower()


def _python(path: str, text: str) -> list[Problem]:
    """What this interpreter's own parser says, which is more than a grammar knows; its version is named."""
    try:
        ast.parse(text)
    except SyntaxError as error:
        message, place = error.msg, (error.lineno or 1, max(1, error.offset or 1))
    except (ValueError, RecursionError, MemoryError) as error:
        message, place = f"cannot be parsed: {error}", (1, 1)
    else:
        return []
    return [Problem(path, place[0], message, source=_PYTHON, column=place[1])]


def _json(path: str, text: str, by_grammar: list[Problem] | None) -> list[Problem]:
    """What the strict parser says, but for files that have comments in them."""
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return [] if by_grammar == [] else [Problem(path, error.lineno, error.msg, source=_SYNTAX, column=error.colno)]
    except RecursionError:
        return [Problem(path, 1, "is nested too deep", source=_SYNTAX)]
    return []


def _missing(path: str) -> Refusal:
    return Refusal("not_found", f"There is no file {path}.", "Look for it with find_files or list_files.")
