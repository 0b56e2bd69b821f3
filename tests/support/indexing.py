"""Real indexes over small trees of files."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import psutil

from agentic.context.index.client import Index, open_index

PATIENCE = 20.0


def write(root: Path, files: Mapping[str, str | bytes]) -> None:
    for path, content in files.items():
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content if isinstance(content, bytes) else content.encode())


@asynccontextmanager
async def indexed(*roots: tuple[str, Path], state: Path) -> AsyncIterator[Index]:
    """An index that holds all files."""
    index = open_index(roots, state)
    await index.start()
    try:
        await until(lambda: index.state.complete)
        yield index
    finally:
        await index.aclose()


async def until(condition: Callable[[], bool | Awaitable[bool]]) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        met = condition()
        if met if isinstance(met, bool) else await met:
            return
        assert time.monotonic() < end, "it never comes true"
        await asyncio.sleep(0.02)


async def paths(index: Index, *words: str, limit: int = 50) -> list[str]:
    return sorted({found.path for found in await index.text(words, limit)})


async def finds(index: Index, word: str, expected: Sequence[str]) -> None:
    """Wait until the word stands in exactly these files."""

    async def agrees() -> bool:
        return await paths(index, word) == sorted(expected)

    await until(agrees)


def workers() -> list[psutil.Process]:
    """The workers that this process has started and that still live."""
    children = psutil.Process().children()
    return [one for one in children if one.is_running() and "agentic.context.index.worker" in " ".join(one.cmdline())]
