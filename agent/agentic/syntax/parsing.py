"""Parsing a text, within bounds: a file that is too large or nested too deep has no tree.

The library's own time limit is of no use, for its callbacks crash it. With both bounds a text takes 0.5 s at most.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from agentic.syntax.languages import MARKDOWN, grammar, language_of, query

if TYPE_CHECKING:
    from tree_sitter import Node, Tree

MAX_BYTES = 256_000
"""A larger text is not parsed."""
_MAX_DEPTH = 500
"""Nor is one whose brackets or elements are nested deeper: the parsers' time grows with the square of the depth."""
_MAX_OPEN = 1_000
"""How many matches a query may have under way, which bounds what deep nesting costs."""
Matches: TypeAlias = "list[dict[str, list[Node]]]"
"""What a query has found: the nodes of each capture, match by match."""
_BRACKETS = re.compile(rb"[(\[{]|([)\]}])")
_TAGS = re.compile(rb"<[^/!]|(</|/>)")
_LONE_RETURN = re.compile(r"\r(?!\n)")


@dataclass(frozen=True, slots=True)
class Parsed:
    """A text as bytes (`\\r` alone is a `\\n`), and its tree."""

    path: str
    language: str
    data: bytes
    tree: Tree

    def text_of(self, node: Node) -> str:
        return self.data[node.start_byte : node.end_byte].decode(errors="replace")


def parse(path: str, text: str) -> Parsed | None:
    """The tree of a file; None when its language is not known, or when it is too large or too deep."""
    if not may_parse(path, text):
        return None
    language = language_of(path)
    data = _LONE_RETURN.sub("\n", text).encode(errors="replace")
    loaded = grammar(language) if len(data) <= MAX_BYTES and not _is_deep(data, language) else None
    if loaded is None:
        return None
    from tree_sitter import Parser

    return Parsed(path, language, data, Parser(loaded).parse(data))


def may_parse(path: str, text: str) -> bool:
    """Whether the file has a language with a grammar, and is not too large at first sight."""
    return language_of(path) not in ("", MARKDOWN) and len(text) <= MAX_BYTES


def matches(parsed: Parsed) -> Matches:
    """What the language's query finds in the tree."""
    from tree_sitter import QueryCursor

    cursor = QueryCursor(query(parsed.language), match_limit=_MAX_OPEN)
    return [captures for _, captures in cursor.matches(parsed.tree.root_node)]


def _is_deep(data: bytes, language: str) -> bool:
    """Whether more is open somewhere than is closed again, by more than any honest file has."""
    marks = _TAGS if language == "html" else _BRACKETS
    opening = (b"<",) if language == "html" else (b"(", b"[", b"{")
    if sum(map(data.count, opening)) <= _MAX_DEPTH:
        return False
    depth = 0
    for mark in marks.finditer(data):
        depth = max(0, depth - 1) if mark[1] else depth + 1
        if depth > _MAX_DEPTH:
            return True
    return False
