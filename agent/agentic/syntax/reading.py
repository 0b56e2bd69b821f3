"""Everything the index wants to know of a file, from one parse."""

from __future__ import annotations

from dataclasses import dataclass

from agentic.ports.code_index import Symbol
from agentic.syntax.languages import MARKDOWN, language_of
from agentic.syntax.parsing import matches, parse
from agentic.syntax.references import references_in
from agentic.syntax.symbols import symbols, symbols_in


@dataclass(frozen=True, slots=True)
class Reading:
    """What a file defines and which names it uses."""

    symbols: list[Symbol]
    references: list[str]


def read(path: str, text: str) -> Reading:
    """The same as `symbols` and `references`, in half the time."""
    if language_of(path) == MARKDOWN:
        return Reading(symbols(path, text), [])
    parsed = parse(path, text)
    if parsed is None:
        return Reading([], [])
    found = matches(parsed)
    return Reading(symbols_in(parsed, found), references_in(parsed, found))
