"""The code index port: where in the workspace words and names stand, kept fresh while files change.

What it finds are places, with the text as it was on disk when it was indexed; whoever shows a place reads it anew
through the workspace, so that unsaved text is seen. The double, `NoIndex`, knows nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

SymbolKind = Literal["function", "class", "method", "type", "constant", "variable", "module", "heading", "other"]


@dataclass(frozen=True, slots=True)
class Symbol:
    """A name that a file defines. Lines count from 1; `end_line` is inclusive. `container`: the class around it."""

    name: str
    kind: SymbolKind
    path: str
    line: int
    end_line: int
    container: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """Lines of a file that hold some of the words; the greater `score`, the better (in one answer only)."""

    path: str
    line: int
    end_line: int
    score: float
    text: str = ""


@dataclass(frozen=True, slots=True)
class IndexState:
    """How far the index is. `total` is None while files are still being found; `complete`: it holds all of them."""

    files: int = 0
    total: int | None = None
    complete: bool = False


class CodeIndex(Protocol):
    """An index over the workspace folders. Paths are workspace-relative, as the workspace port gives them."""

    @property
    def state(self) -> IndexState: ...

    async def start(self) -> None:
        """Begin to build and to watch, in the background; returns at once and can be repeated. Never raises."""
        ...

    async def text(self, words: Sequence[str], limit: int) -> list[Found]:
        """Where most of the words stand, the best first; from what is indexed so far. Never raises."""
        ...

    async def symbols(self, names: Sequence[str], limit: int) -> list[Symbol]:
        """What defines one of the names (whole, whatever the case; then as a prefix), the best first. Never raises."""
        ...

    async def outline(self, path: str) -> list[Symbol]:
        """What one file defines, in the order of its lines."""
        ...

    async def references(self, limit: int) -> list[tuple[str, str, int]]:
        """For the map: (path that uses names, path that defines them, how many), the most first."""
        ...

    async def aclose(self) -> None:
        """Stop watching; what was found stays for the next time. Can be repeated."""
        ...


class NoIndex:
    """The double: an index that holds nothing."""

    state = IndexState(complete=True)

    async def start(self) -> None:
        return None

    async def text(self, words: Sequence[str], limit: int) -> list[Found]:
        return []

    async def symbols(self, names: Sequence[str], limit: int) -> list[Symbol]:
        return []

    async def outline(self, path: str) -> list[Symbol]:
        return []

    async def references(self, limit: int) -> list[tuple[str, str, int]]:
        return []

    async def aclose(self) -> None:
        return None
