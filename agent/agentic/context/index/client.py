"""The index as the agent sees it: a `CodeIndex` that keeps its worker alive and asks the database."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import sqlite3
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from agentic.context.index.queries import SECONDS, Queries
from agentic.context.index.schema import database_path
from agentic.ports.code_index import Found, IndexState, Symbol

log = logging.getLogger(__name__)

MAX_STARTS = 20
"""So often a worker is started that ends by itself, then the index stays as it is."""
_BACKOFF_SECONDS = (0.1, 0.5, 2.0, 10.0)
_END_SECONDS = 0.5
_PATIENCE = 1.0
"""Seconds beyond a query's own deadline, until the caller gets nothing."""
_KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "TMP", "TEMP", "SYSTEMROOT", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH")

T = TypeVar("T")


def open_index(roots: Sequence[tuple[str, Path]], folder: Path) -> Index:
    """The index of a workspace: `roots` are prefixes of workspace paths with their places, `folder` the state folder.

    Nothing happens before `start`. The same roots have the same database, which outlives the process.
    """
    return Index(roots, folder / "index")


class Index:
    """Implements the port `CodeIndex`; `message` tells a person what is wrong, and is empty otherwise."""

    def __init__(self, roots: Sequence[tuple[str, Path]], folder: Path) -> None:
        self._database = database_path(roots, folder)
        self._request = {"roots": [[prefix, str(root)] for prefix, root in roots], "database": str(self._database)}
        self._queries = Queries(self._database, roots)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="index")
        self._keeping: asyncio.Task[None] | None = None
        self._closed = False
        self.state = IndexState()
        self.message = ""

    async def start(self) -> None:
        """Begin to build and to watch. Returns at once; never raises."""
        if self._keeping is None and not self._closed:
            self._keeping = asyncio.create_task(self._keep())

    async def text(self, words: Sequence[str], limit: int) -> list[Found]:
        """Where most of the words stand, the best first."""
        return await self._ask(lambda: self._queries.text(words, limit))

    async def symbols(self, names: Sequence[str], limit: int) -> list[Symbol]:
        """What defines one of the names."""
        return await self._ask(lambda: self._queries.symbols(names, limit))

    async def outline(self, path: str) -> list[Symbol]:
        """What one file defines, in the order of its lines."""
        return await self._ask(lambda: self._queries.outline(path))

    async def references(self, limit: int) -> list[tuple[str, str, int]]:
        """(path that uses names, path that defines them, how many different names), the most first."""
        return await self._ask(lambda: self._queries.references(limit))

    async def aclose(self) -> None:
        """End the worker, within a second."""
        self._closed = True
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
        with contextlib.suppress(RuntimeError):
            self._thread.submit(self._queries.close)
        self._thread.shutdown(wait=False)

    async def _ask(self, question: Callable[[], list[T]]) -> list[T]:
        if self._closed:
            return []
        try:
            async with asyncio.timeout(SECONDS + _PATIENCE):
                return await asyncio.get_running_loop().run_in_executor(self._thread, question)
        except (sqlite3.Error, UnicodeEncodeError, TimeoutError) as error:
            log.info("The index does not answer: %s", error or "it takes too long")
            return []

    async def _keep(self) -> None:
        """Start the worker, and again when it ends by itself."""
        for start in range(MAX_STARTS):
            try:
                await self._run_worker()
            except OSError as error:
                self.message = f"There is no index, for its worker cannot be started: {error}."
                return
            await asyncio.sleep(_BACKOFF_SECONDS[min(start, len(_BACKOFF_SECONDS) - 1)])
        self.message = "The index is no longer kept fresh, for its worker ended too often."

    async def _run_worker(self) -> None:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-X", "utf8", "-m", "agentic.context.index.worker"),
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            env=_environment(os.environ),
            start_new_session=True,
        )
        try:
            await self._listen(process)
        finally:
            await _end(process)

    async def _listen(self, process: Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(ConnectionError):
            process.stdin.write(json.dumps(self._request).encode() + b"\n")
            await process.stdin.drain()
        async for line in process.stdout:
            said = json.loads(line)
            self.state = IndexState(said["files"], said["total"], said["complete"])
            if said["message"] != self.message:
                self.message = said["message"]
                log.warning("%s", self.message)


async def _end(process: Process) -> None:
    """End the worker: it goes when its input is closed, and is killed where it does not."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        async with asyncio.timeout(_END_SECONDS):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _environment(parent: Mapping[str, str]) -> dict[str, str]:
    """What Python needs, and no secrets."""
    return {name: value for name, value in parent.items() if name in _KEPT}
