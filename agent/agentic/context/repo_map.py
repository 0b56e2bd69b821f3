"""A map of the repository: its most referred-to files with what they define, within a budget of tokens.

Files are ranked by personalised PageRank over who refers to whom: a file matters when files that matter use what it
defines, and what the user has before their eyes matters to begin with. The method is that of Page, Brin, Motwani and
Winograd, "The PageRank Citation Ranking: Bringing Order to the Web" (Stanford, 1999), section 6 for the
personalisation; that it does for source code was shown by the repository map of aider.
"""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from agentic.context.in_time import in_time
from agentic.ports.code_index import CodeIndex, Symbol

BUDGET_TOKENS = 1000
MAX_EDGES = 20_000
MAX_NODES = 3_000
DAMPING = 0.85
ROUNDS = 30
SETTLED = 1e-6
"""The ranks are used as they are when a round changes them by no more than this in sum."""
MAX_FILES = 60
MAX_NAMES = 10
"""Of one file."""
SECONDS = 0.5
"""For the files' outlines."""

_HEADER = "Map of the workspace (its most used files and what they define; not complete):"
_BYTES_A_TOKEN = 3
_SHOWN = ("class", "type", "function", "method", "module")

Edge = tuple[str, str, int]
"""The path that uses names, the path that defines them, how many."""


@dataclass(frozen=True, slots=True)
class RepoMap:
    """Lines `path: Class, Class.method, function, …`, the most important first; empty where nothing is known."""

    text: str = ""
    paths: tuple[str, ...] = ()
    tokens: int = 0


async def repo_map(index: CodeIndex, budget_tokens: int = BUDGET_TOKENS, focus: Collection[str] = ()) -> RepoMap:
    """The map of what is indexed so far, `focus` being the files that the user has open or named."""
    edges = await index.references(MAX_EDGES)
    ranks = await asyncio.to_thread(page_rank, edges, focus)
    paths = sorted(ranks, key=lambda path: (-ranks[path], path))[:MAX_FILES]
    lines = await in_time([_line(path, index) for path in paths], SECONDS)
    return _fill(lines, budget_tokens)


def page_rank(edges: Sequence[Edge], focus: Collection[str] = ()) -> dict[str, float]:
    """The ranks of the files, which add up to 1. Pure; the files with the most references, at most `MAX_NODES`.

    An edge counts by the root of its number, so that one long file does not decide alone.
    """
    nodes = _nodes(edges)
    out: defaultdict[str, list[tuple[str, float]]] = defaultdict(list)
    for user, definer, count in edges:
        if user in nodes and definer in nodes and user != definer and count > 0:
            out[user].append((definer, math.sqrt(count)))
    shares = {user: _shares(targets) for user, targets in out.items()}
    begin = _begin(nodes, focus)
    ranks = dict(begin)
    for _ in range(ROUNDS if nodes else 0):
        after = _round(ranks, shares, begin)
        change = sum(abs(after[node] - ranks[node]) for node in nodes)
        ranks = after
        if change <= SETTLED:
            break
    return ranks


def _nodes(edges: Sequence[Edge]) -> dict[str, None]:
    """In a fixed order, so that sums of floats are the same each time."""
    degrees: defaultdict[str, int] = defaultdict(int)
    for user, definer, count in edges:
        degrees[user] += count
        degrees[definer] += count
    return dict.fromkeys(sorted(degrees, key=lambda node: (-degrees[node], node))[:MAX_NODES])


def _shares(targets: Sequence[tuple[str, float]]) -> list[tuple[str, float]]:
    every = sum(weight for _, weight in targets)
    return [(target, weight / every) for target, weight in targets]


def _begin(nodes: Mapping[str, None], focus: Collection[str]) -> dict[str, float]:
    """Where a reader starts: at the files in focus if there are such, else anywhere."""
    chosen = {node for node in nodes if node in focus} or nodes.keys()
    return {node: 1 / len(chosen) if node in chosen else 0.0 for node in nodes}


def _round(
    ranks: Mapping[str, float], shares: Mapping[str, Sequence[tuple[str, float]]], begin: Mapping[str, float]
) -> dict[str, float]:
    """One step of the power iteration. What refers to nothing sends its reader back to the beginning."""
    lost = sum(rank for node, rank in ranks.items() if node not in shares)
    back = 1 - DAMPING + DAMPING * lost
    after = {node: back * share for node, share in begin.items()}
    for node, targets in shares.items():
        given = DAMPING * ranks[node]
        for target, share in targets:
            after[target] += given * share
    return after


async def _line(path: str, index: CodeIndex) -> list[tuple[str, str]]:
    names = list(dict.fromkeys(_name(symbol) for symbol in await index.outline(path) if _is_shown(symbol)))
    more = ", …" if len(names) > MAX_NAMES else ""
    return [(path, f"{path}: {', '.join(names[:MAX_NAMES])}{more}")] if names else []


def _is_shown(symbol: Symbol) -> bool:
    return symbol.kind in _SHOWN and not symbol.name.startswith("_")


def _name(symbol: Symbol) -> str:
    return f"{symbol.container}.{symbol.name}" if symbol.container else symbol.name


def _fill(lines: Sequence[tuple[str, str]], budget: int) -> RepoMap:
    text, paths = _HEADER, list[str]()
    for path, line in lines:
        if _tokens(f"{text}\n{line}") <= budget:
            text = f"{text}\n{line}"
            paths.append(path)
    return RepoMap(text, tuple(paths), _tokens(text)) if paths else RepoMap()


def _tokens(text: str) -> int:
    return math.ceil(len(text.encode("utf-8", "replace")) / _BYTES_A_TOKEN)
