"""The workspace index on a large tree: how fast it is built, answers, begins again and sees a change, beside ripgrep.

The tree is generated: `AGENTIC_BENCH_FILES` files (100,000 unless it says otherwise) of about 40 lines in three
languages, twenty in a folder, their words drawn by Zipf's law. Then, over this project's own code, how often what is
offered and found holds the right file (`retrieval_tasks.jsonl`), and what a map of 2,000 files costs.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from agentic.context.index.client import open_index
from agentic.context.repo_map import repo_map
from agentic.context.retrieval import find, offer
from agentic.disk.workspace import DiskWorkspace
from agentic.ports.code_index import CodeIndex
from agentic.safety.paths import Roots
from agentic.task import Task
from benchmarks.processes import pss
from benchmarks.report import Row, median, percentile

FILES = int(os.environ.get("AGENTIC_BENCH_FILES", "100000"))
QUERIES, CHANGES, RESTARTS, SEARCHES = 300, 10, 3, 15
MAP_FILES = 2_000
AMONG = 5
ENDINGS = ("py", "ts", "go")
SYNTAX = (("#", "def {}(a, b):", ""), ("//", "function {}(a, b) {{", "}"), ("//", "func {}(a int, b int) {{", "}"))
ROOT = Path(__file__).parents[1]
PATIENCE = 3_600.0

Search = Callable[[], Awaitable[bool]]


def measure() -> list[Row]:
    return asyncio.run(_measure())


async def _measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        tree = Tree(Path(folder) / "tree", FILES)
        rows = await _large_tree(tree, Path(folder) / "state")
    with tempfile.TemporaryDirectory() as folder:
        rows += await _map(Tree(Path(folder) / "tree", MAP_FILES), Path(folder) / "state")
    return rows + await _quality()


class Tree:
    """Files of made-up code. Every word `only<n>` stands in one file, `marker` in every hundredth."""

    def __init__(self, root: Path, files: int) -> None:
        self.root = root
        chance = random.Random(1)
        letters = ["".join(pair) for pair in itertools.product("bdfgklmnprst", "aeiou")]
        self.words = ["".join(chance.choices(letters, k=chance.randint(2, 4))) for _ in range(20_000)]
        self.weights = list(itertools.accumulate(1 / (rank + 10) for rank in range(len(self.words))))
        self.paths = [
            f"pkg{n // 1000}/mod{n // 20 % 50}/{self.words[n % 20_000]}_{n}.{ENDINGS[n % 3]}" for n in range(files)
        ]
        self.defined: list[str] = []
        for number, path in enumerate(self.paths):
            self.write(path, self._text(number, chance))

    def write(self, path: str, text: str) -> None:
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    def query(self, chance: random.Random) -> list[str]:
        return chance.choices(self.words, cum_weights=self.weights, k=3)

    def _text(self, number: int, chance: random.Random) -> str:
        """A comment and eight functions. Each calls one that was defined before, most often one of the first."""
        word = iter(chance.choices(self.words, cum_weights=self.weights, k=120)).__next__
        comment, define, end = SYNTAX[number % 3]
        mark = " marker" if number % 100 == 0 else ""
        lines = [f"{comment} {word()} {word()} {word()} only{number}{mark}"]
        for part in range(8):
            called = self.defined[int(chance.random() ** 3 * len(self.defined))] if self.defined else word()
            self.defined.append(f"{word()}_{number}_{part}")
            lines += [define.format(self.defined[-1]), f"    {word()} = {called}({word()}, {word()}.{word()})"]
            lines += [f"    return {word()}({word()})", end, ""]
        return "\n".join(lines)


async def _large_tree(tree: Tree, state: Path) -> list[Row]:
    count = len(tree.paths)
    index = open_index([("", tree.root)], state)
    begun = time.perf_counter()
    await index.start()
    first = await _until(lambda: _knows(index, "marker"))
    most = [0.0]
    await _until(lambda: _is_complete(index, most))
    built = time.perf_counter() - begun
    rows = [
        Row("index", f"{count:,} files indexed", count / built, "files/s", beside=f"{built:.1f} s"),
        Row("index", "the worker's memory at most while it builds", most[0], "MB", None, "PSS"),
        Row("index", "from the start to the first search that finds something", first, "s", 1.0),
    ]
    rows += await _queries(tree, index)
    rows += [await _changes(tree, index)]
    await index.aclose()
    return [*rows, *await _restarts(tree, state)]


async def _queries(tree: Tree, index: CodeIndex) -> list[Row]:
    """Three words each, half of them as full text, half as names; then single words beside ripgrep."""
    chance = random.Random(2)
    taken: list[float] = []
    for number in range(QUERIES):
        words = tree.query(chance)
        begun = time.perf_counter()
        await (index.text(words, 50) if number % 2 else index.symbols(words, 50))
        taken.append((time.perf_counter() - begun) * 1e3)
    ours, theirs = await _beside_ripgrep(tree, index)
    beside = f"p50 {median(taken):.1f} ms, {QUERIES} queries of three words"
    ratio = f"{ours:.1f} ms and {theirs:.0f} ms, medians of {SEARCHES}"
    return [
        Row("index", "a query, p99", percentile(taken, 0.99), "ms", 50.0, beside),
        Row("index", "one rare word: ripgrep / the index", theirs / ours, "×", beside=ratio),
    ]


async def _beside_ripgrep(tree: Tree, index: CodeIndex) -> tuple[float, float]:
    """Milliseconds for the same words, in turns."""
    ours: list[float] = []
    theirs: list[float] = []
    for number in range(SEARCHES):
        word = f"only{number * 61 % len(tree.paths)}"
        begun = time.perf_counter()
        found = await index.text([word], 10)
        ours.append((time.perf_counter() - begun) * 1e3)
        begun = time.perf_counter()
        said = _said(["rg", "-l", "-w", word], tree.root)
        theirs.append((time.perf_counter() - begun) * 1e3)
        if [place.path for place in found[:1]] != said.split():
            raise RuntimeError(f"the index and ripgrep do not agree on {word}: {found} and {said}")
    return median(ours), median(theirs)


async def _changes(tree: Tree, index: CodeIndex) -> Row:
    taken: list[float] = []
    for number in range(CHANGES):
        path, word = tree.paths[number * 37 % len(tree.paths)], f"changed{number}"
        tree.write(path, f"# {word}\n")
        taken.append(await _until(lambda word=word: _knows(index, word)))
    return Row("index", "a changed file can be found", max(taken), "s", 0.5, f"the slowest of {CHANGES}")


async def _restarts(tree: Tree, state: Path) -> list[Row]:
    """To the first answer, and until it is sure that it holds every file."""
    times = [await _restart(tree, state) for _ in range(RESTARTS)]
    answered, complete = (max(column) for column in zip(*times, strict=True))
    beside = f"the slowest of {RESTARTS}; every file looked at after {complete:.1f} s"
    return [Row("index", "from a restart to the first answer", answered, "s", 2.0, beside)]


async def _restart(tree: Tree, state: Path) -> tuple[float, float]:
    begun = time.perf_counter()
    index = open_index([("", tree.root)], state)
    await index.start()
    await _until(lambda: _knows(index, "marker"))
    answered = time.perf_counter() - begun
    await _until(lambda: _is_complete(index, [0.0]))
    complete = time.perf_counter() - begun
    await index.aclose()
    return answered, complete


async def _map(tree: Tree, state: Path) -> list[Row]:
    index = await _built([("", tree.root)], state)
    await _until(lambda: _has_references(index))
    begun = time.perf_counter()
    made = await repo_map(index)
    taken = (time.perf_counter() - begun) * 1e3
    await index.aclose()
    beside = f"{made.tokens} tokens, {len(made.paths)} files named"
    return [Row("index", f"the map of {MAP_FILES:,} files", taken, "ms", None, beside)]


async def _quality() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "project"
        _copy_project(root)
        index, workspace = await _built([("", root)], Path(folder) / "state"), DiskWorkspace(Roots([root]))
        rows = await _hits(workspace, index)
        await index.aclose()
        await workspace.close()
    return rows


async def _hits(workspace: DiskWorkspace, index: CodeIndex) -> list[Row]:
    lines = (ROOT / "benchmarks/retrieval_tasks.jsonl").read_bytes().splitlines()
    labelled = [msgspec.json.decode(line, type=dict[str, Any]) for line in lines]
    offers, finds, taken = 0, 0, list[float]()
    for one in labelled:
        begun = time.perf_counter()
        offered = await offer(Task(one["task"], "s", "t"), workspace, index)
        taken.append((time.perf_counter() - begun) * 1e3)
        found = dict.fromkeys(region.path for region in await find(one["query"], workspace, index, 20, 5.0))
        offers += bool({*offered.paths[:AMONG]} & {*one["files"]})
        finds += bool({*list(found)[:AMONG]} & {*one["files"]})
    beside = f"of {len(labelled)} labelled tasks over this project; an offer takes {median(taken):.0f} ms, p50"
    return [
        Row(
            "index",
            f"the right file among the first {AMONG} offered",
            offers / len(labelled),
            "",
            None,
            beside,
            least=0.8,
        ),
        Row(
            "index",
            f"the right file among the first {AMONG} of search_code",
            finds / len(labelled),
            "",
            None,
            "",
            least=0.9,
        ),
    ]


async def _built(roots: list[tuple[str, Path]], state: Path) -> Any:
    index = open_index(roots, state)
    await index.start()
    await _until(lambda: _is_complete(index, [0.0]))
    return index


async def _until(holds: Search) -> float:
    """Seconds until it holds."""
    begun = time.perf_counter()
    async with asyncio.timeout(PATIENCE):
        while True:
            if await holds():
                return time.perf_counter() - begun
            await asyncio.sleep(0.005)


async def _knows(index: CodeIndex, word: str) -> bool:
    return bool(await index.text([word], 5))


async def _has_references(index: CodeIndex) -> bool:
    return bool(await index.references(1))


async def _is_complete(index: CodeIndex, most: list[float]) -> bool:
    """Whether it is; `most` keeps the highest memory of the processes that this one has started."""
    most[0] = max(most[0], _memory_of_children())
    await asyncio.sleep(0.05)
    return index.state.complete


def _memory_of_children() -> float:
    children = [pid for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()]
    return sum(_pss(int(pid)) for pid in children)


def _pss(pid: int) -> float:
    """0 for a process that has just ended."""
    try:
        return pss(pid)
    except (OSError, ValueError):
        return 0.0


def _said(command: list[str], folder: Path) -> str:
    return subprocess.run(command, cwd=folder, capture_output=True, check=True, text=True).stdout


def _copy_project(root: Path) -> None:
    """What git keeps, without what holds the very sentences that are searched for."""
    for path in _said(["git", "ls-files"], ROOT).split("\n"):
        if (ROOT / path).is_file() and "retrieval" not in path and "prose" not in path:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / path, root / path)
