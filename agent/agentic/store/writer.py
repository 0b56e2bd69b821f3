"""The one thread that writes: statements that nobody waits for are batched, jobs that somebody waits for are not."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from typing import TypeVar

from agentic.errors import StoreError
from agentic.store.schema import failure

Statement = tuple[str, tuple[object, ...]]
Result = TypeVar("Result")

_RETRY_SECONDS = 1.0
# What is wrong with one statement, not with the disk: writing it again can't help.
_HOPELESS = (sqlite3.IntegrityError, sqlite3.DataError, ValueError, OverflowError)


class Writer:
    """Writes statements and jobs in the order in which they came, away from the event loop.

    When the disk fails, what was put is kept in memory and written later, in order; until then every job is refused.
    All methods are called from one event loop's thread.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._thread = ThreadPoolExecutor(1, "agentic-store")
        self._arrived: deque[Statement] = deque()
        self._awake = False
        self._closed = False
        # Only the writer's thread touches these three.
        self._unwritten: list[Statement] = []
        self._lost: StoreError | None = None
        self._retry_at = 0.0

    def put(self, sql: str, *parameters: object) -> None:
        """Write this soon. Never blocks and never fails."""
        self._arrived.append((sql, parameters))
        if not self._awake and not self._closed:
            self._awake = True
            self._thread.submit(self._write_when_due)

    async def run(self, job: Callable[[sqlite3.Connection], Result], durable: bool = False) -> Result:
        """Do this in a transaction of its own, after all that was put; `durable`: it is on the disk at return.

        The job is done even when its caller is cancelled.

        :raises StoreError: neither the job nor anything of it was written.
        """
        if self._closed:
            raise StoreError(f"The session log {self._path} is closed.")
        loop = asyncio.get_running_loop()
        return await asyncio.shield(loop.run_in_executor(self._thread, self._do, job, durable))

    async def flush(self) -> None:
        """Wait until all that was put is written. :raises StoreError: if it could not be."""
        if self._closed:
            raise StoreError(f"The session log {self._path} is closed.")
        await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, self._write))

    async def aclose(self) -> None:
        """Write what is left and close the file. :raises StoreError: if something was left that can't be written."""
        if self._closed:
            return
        self._closed = True
        try:
            await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, self._write_and_close))
        finally:
            self._thread.shutdown(wait=False)

    def _do(self, job: Callable[[sqlite3.Connection], Result], durable: bool) -> Result:
        self._write()
        try:
            if durable:
                self._connection.execute("PRAGMA synchronous = FULL")
            return self._transact(job)
        except (sqlite3.Error, OSError, ValueError) as error:
            raise failure(self._path, error) from error
        finally:
            self._connection.execute("PRAGMA synchronous = NORMAL")

    def _write_and_close(self) -> None:
        try:
            self._write()
        finally:
            self._connection.close()

    def _write_when_due(self) -> None:
        """Write, but not at every event while the disk is failing. The next flush or job tells of the failure."""
        self._awake = False
        if time.monotonic() < self._retry_at:
            return
        try:
            self._write_all()
        except sqlite3.Error:
            self._retry_at = time.monotonic() + _RETRY_SECONDS

    def _write(self) -> None:
        try:
            self._write_all()
        except sqlite3.Error as error:
            raise failure(self._path, error) from error
        self._retry_at = 0.0
        if self._lost is not None:
            lost, self._lost = self._lost, None
            raise lost

    def _write_all(self) -> None:
        while self._arrived:
            self._unwritten.append(self._arrived.popleft())
        if not self._unwritten:
            return
        batch = self._unwritten
        try:
            self._transact(lambda connection: _execute(connection, batch))
        except _HOPELESS:
            self._write_one_by_one(batch)
        self._unwritten = []

    def _write_one_by_one(self, batch: list[Statement]) -> None:
        while batch:
            try:
                self._transact(lambda connection: _execute(connection, batch[:1]))
            except _HOPELESS as error:
                self._lost = failure(self._path, error)
            batch.pop(0)

    def _transact(self, job: Callable[[sqlite3.Connection], Result]) -> Result:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            result = job(self._connection)
            self._connection.execute("COMMIT")
        except BaseException:
            # SQLite has already rolled back by itself after some failures.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        return result


def _execute(connection: sqlite3.Connection, batch: list[Statement]) -> None:
    for sql, statements in groupby(batch, key=lambda statement: statement[0]):
        connection.executemany(sql, [parameters for _, parameters in statements])
