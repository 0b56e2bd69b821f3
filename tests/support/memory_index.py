"""A code index over a dict of texts, the double for tests: blocks of lines ranked by BM25, symbols of Python alone."""

from __future__ import annotations

import ast
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from agentic.context.terms import split_name, stem
from agentic.ports.code_index import Found, IndexState, Symbol, SymbolKind

BLOCK = 40
"""Lines that are found together."""


class MemoryIndex:
    """Implements `CodeIndex`; it is complete at once, and `files` can be changed for `state` alone."""

    def __init__(self, files: Mapping[str, str], *, complete: bool = True, total: int | None = None) -> None:
        self.state = IndexState(len(files), total if total is not None else len(files), complete)
        self.asked: list[list[str]] = []
        self._outlines = {path: list(_symbols(path, text)) for path, text in files.items()}
        self._texts = files
        self._blocks = [
            (Found(path, n + 1, n + len(lines), 0.0, "\n".join(lines)), Counter(_stems(path + " " + "\n".join(lines))))
            for path, text in sorted(files.items())
            for n, lines in _blocks(text)
        ]
        self._holding = Counter(word for _, words in self._blocks for word in words)

    async def start(self) -> None:
        return None

    async def text(self, words: Sequence[str], limit: int) -> list[Found]:
        self.asked.append(list(words))
        wanted = {stem(part) for word in words for part in split_name(word)}
        scored = [(self._score(wanted, counts), found) for found, counts in self._blocks]
        best = sorted(((s, f) for s, f in scored if s > 0), key=lambda pair: -pair[0])[:limit]
        return [Found(f.path, f.line, f.end_line, s, f.text) for s, f in best]

    async def symbols(self, names: Sequence[str], limit: int) -> list[Symbol]:
        wanted = [name.lower() for name in names]
        every = [symbol for outline in self._outlines.values() for symbol in outline]
        whole = [symbol for symbol in every if symbol.name.lower() in wanted]
        begun = [symbol for symbol in every if symbol not in whole and symbol.name.lower().startswith(tuple(wanted))]
        return [*whole, *begun][:limit]

    async def outline(self, path: str) -> list[Symbol]:
        return self._outlines.get(path, [])

    async def references(self, limit: int) -> list[tuple[str, str, int]]:
        defines = {symbol.name: path for path, outline in self._outlines.items() for symbol in outline}
        counts: Counter[tuple[str, str]] = Counter()
        for path, text in self._texts.items():
            counts.update((path, defines[n]) for n in re.findall(r"\w+", text) if defines.get(n, path) != path)
        return [(user, definer, count) for (user, definer), count in counts.most_common(limit)]

    def _score(self, wanted: set[str], counts: Counter[str]) -> float:
        every = len(self._blocks)
        shares = ((counts[w] / (counts[w] + 1.2), self._holding[w]) for w in wanted if counts[w])
        return sum(share * math.log(1 + (every - holding + 0.5) / (holding + 0.5)) for share, holding in shares)


def _stems(text: str) -> Iterator[str]:
    return (stem(part) for word in re.findall(r"\w+", text) for part in split_name(word))


def _blocks(text: str) -> Iterator[tuple[int, list[str]]]:
    lines = text.split("\n")
    return ((n, lines[n : n + BLOCK]) for n in range(0, len(lines), BLOCK))


def _symbols(path: str, text: str) -> Iterator[Symbol]:
    """None of what does not parse."""
    try:
        tree = ast.parse(text if path.endswith(".py") else "")
    except SyntaxError:
        return
    kinds: dict[type[ast.AST], SymbolKind] = {ast.ClassDef: "class", ast.Assign: "constant", ast.AnnAssign: "constant"}
    pending = [("", node) for node in reversed(tree.body)]
    while pending:
        container, node = pending.pop()
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            kind = kinds.get(type(node), "method" if container else "function")
            yield Symbol(node.name, kind, path, node.lineno, node.end_lineno or node.lineno, container)
            if isinstance(node, ast.ClassDef):
                pending += [(node.name, child) for child in reversed(node.body)]
        elif not container and isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
            if isinstance(target, ast.Name):
                yield Symbol(target.id, kinds[type(node)], path, node.lineno, node.end_lineno or node.lineno)
