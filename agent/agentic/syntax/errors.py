"""Where the syntax of a file is broken."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from agentic.ports.workspace import Problem
from agentic.syntax.parsing import Parsed, parse

if TYPE_CHECKING:
    from tree_sitter import Node

MAX_ERRORS = 20
_MAX_SHOWN = 60
_MAX_STEPS = 100_000
"""Nodes to look at; a file that is broken all over has its first errors near its beginning."""


def errors(path: str, text: str) -> list[Problem]:
    """What a parser stumbles over, at most 20 places in order of their lines.

    None where the language is not known or the file is too large. Grammars lag behind their languages and know no
    macros or templates: an error that was there before an edit says little, a new one much.
    """
    parsed = parse(path, text)
    return [] if parsed is None else errors_in(parsed)


def errors_in(parsed: Parsed) -> list[Problem]:
    """The same for a text that is parsed already."""
    if not parsed.tree.root_node.has_error:
        return []
    found: list[Problem] = []
    for node in _broken(parsed.tree.root_node):
        found.append(_problem(parsed, node))
        if len(found) == MAX_ERRORS:
            break
    return found


def _broken(root: Node) -> Iterator[Node]:
    """The outermost broken nodes, in order; what is whole is not walked through."""
    waiting = [root]
    for _ in range(_MAX_STEPS):
        if not waiting:
            return
        node = waiting.pop()
        inner = [child for child in node.children if child.has_error or child.is_missing]
        if node.is_missing or (node.is_error and (node.parent is not None or not inner)):
            yield node
        else:
            waiting += reversed(inner)


def _problem(parsed: Parsed, node: Node) -> Problem:
    row, column = node.start_point
    before = parsed.data[node.start_byte - column : node.start_byte].decode(errors="replace")
    return Problem(parsed.path, row + 1, _message(parsed, node), source="syntax", column=len(before) + 1)


def _message(parsed: Parsed, node: Node) -> str:
    if node.is_missing:
        return f"Syntax error: `{node.type}` is missing here."
    shown = parsed.data[node.start_byte : node.end_byte][: 4 * _MAX_SHOWN].decode(errors="replace").strip()
    line = shown.split("\n")[0].rstrip()[:_MAX_SHOWN]
    return f"Syntax error at `{line}`." if line else "Syntax error."
