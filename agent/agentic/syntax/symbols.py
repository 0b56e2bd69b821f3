"""What a file defines."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, cast

from agentic.ports.code_index import Symbol, SymbolKind
from agentic.syntax.languages import MARKDOWN, UNREAD, language_of
from agentic.syntax.markdown import headings
from agentic.syntax.parsing import Matches, Parsed, matches, parse

if TYPE_CHECKING:
    from tree_sitter import Node

MAX_SYMBOLS = 2_000
"""More than these, the first ones, a file does not give."""
_MAX_NAME = 200
_HOLDS = ("class", "type", "module", "scope")
_HAS_METHODS = ("class", "type", "scope")
_WEAK = ("variable", "other")
_SPACE = re.compile(r"\s+")


class _Definition(NamedTuple):
    """A match of a definition query, by its bytes; sorts so that what is around comes first."""

    start: int
    minus_end: int
    weak: bool
    """Whether another definition of the same name at the same place says more."""
    name: str
    kind: str
    lines: tuple[int, int]
    container: str


def symbols(path: str, text: str) -> list[Symbol]:
    """Functions, classes, methods, types and top-level values of a file, Markdown's headings, in order of their lines.

    None where the language is not known or the file is too large. What stands beside broken syntax is found as well.
    """
    if language_of(path) == MARKDOWN:
        return headings(path, text)[:MAX_SYMBOLS]
    parsed = parse(path, text)
    return [] if parsed is None else symbols_in(parsed, matches(parsed))


def symbols_in(parsed: Parsed, found: Matches) -> list[Symbol]:
    """The same from the matches in a text that is parsed already."""
    around: list[_Definition] = []
    seen: set[tuple[str, int]] = set()
    defined: list[Symbol] = []
    for one in sorted(_definitions(parsed, found)):
        while around and around[-1].minus_end > -one.start - 1:
            around.pop()
        outer = around[-1] if around else None
        container = one.container or (outer.name if outer else "")
        if one.kind != "scope" and (one.name, one.start) not in seen:
            seen.add((one.name, one.start))
            defined.append(Symbol(one.name, _kind(one, outer), parsed.path, *one.lines, container))
        if one.kind in _HOLDS:
            around.append(one)
    return _without_repeats(defined)[:MAX_SYMBOLS]


def _definitions(parsed: Parsed, matched: Matches) -> list[_Definition]:
    found: list[_Definition] = []
    for captures in matched:
        if UNREAD in captures:
            continue
        names, kind = captures.get("name"), next((kind for kind in captures if kind not in ("name", "in", "key")), "")
        if names and kind:
            node = captures[kind][0]
            containers = captures.get("in")
            found.append(
                _Definition(
                    node.start_byte,
                    -node.end_byte,
                    kind in _WEAK,
                    _name(parsed, names[0]),
                    kind,
                    _lines(node),
                    _name(parsed, containers[0]) if containers else "",
                )
            )
    return [definition for definition in found if definition.name]


def _name(parsed: Parsed, node: Node) -> str:
    return _SPACE.sub(" ", parsed.text_of(node)).strip("\"'")[:_MAX_NAME]


def _lines(node: Node) -> tuple[int, int]:
    """First and last line, from 1. A node that ends with its line's end does not reach into the next."""
    first, (row, column) = node.start_point[0] + 1, node.end_point
    return first, max(first, row + 1 if column else row)


def _kind(definition: _Definition, outer: _Definition | None) -> SymbolKind:
    if definition.kind == "function" and outer and outer.kind in _HAS_METHODS:
        return "method"
    if definition.kind == "variable" and not outer and definition.name.isupper():
        return "constant"
    return cast("SymbolKind", definition.kind)


def _without_repeats(found: list[Symbol]) -> list[Symbol]:
    """A value that is assigned again is no other symbol."""
    seen: set[str] = set()
    kept: list[Symbol] = []
    for symbol in found:
        if symbol.kind in ("variable", "constant"):
            if symbol.name in seen:
                continue
            seen.add(symbol.name)
        kept.append(symbol)
    return kept
