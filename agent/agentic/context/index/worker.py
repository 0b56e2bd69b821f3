"""The worker: a process that writes the index of one workspace, and ends with the one that started it.

It reads a line of JSON from its standard input, `{"roots": [[prefix, folder], ...], "database": path}`, and then only
waits for the end of that stream, at which it ends. On its standard output it says how far it is, a line of JSON each:
`{"files", "total", "complete", "message"}`. While another worker holds the lock it writes nothing, and waits.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import sys
import threading
import time
from pathlib import Path
from typing import NoReturn

from agentic.context.index.builder import Builder
from agentic.context.index.lock import Lock
from agentic.context.index.places import Places
from agentic.context.index.schema import open_for_reading, open_for_writing, throw_away

_NICE = 10
_MAX_MEMORY = 2_000_000_000
"""Bytes of address space: a parser that takes more ends the process, and the file is spared by the next."""
_FOLLOW_SECONDS = 1.0
_ATTEMPTS = 3
"""How often a database that turns out to be damaged is built anew."""


def main() -> None:
    line = sys.stdin.buffer.readline()
    if not line:
        return
    request = json.loads(line)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _be_modest()
    database = Path(request["database"])
    places = Places([(prefix, Path(folder)) for prefix, folder in request["roots"]], database.parent)
    Worker(database, places).run()


class Worker:
    """The life of the process."""

    def __init__(self, database: Path, places: Places) -> None:
        self._database = database
        self._places = places
        self._lock = Lock(database.with_suffix(".lock"))
        self._said: dict[str, object] = {}
        self._message = ""

    def run(self) -> NoReturn:
        """Never returns: without a database it waits for its end, and says why."""
        for _ in range(_ATTEMPTS):
            try:
                self._wait_for_turn()
                self._build()
            except (sqlite3.OperationalError, OSError) as error:
                self._message = f"There is no index: {error}."
                break
            except sqlite3.DatabaseError as error:
                self._message = f"The index is built anew, for its database is damaged: {error}."
                with contextlib.suppress(OSError):
                    throw_away(self._database)
        self._say(0, None, False)
        while True:
            time.sleep(3_600)

    def _build(self) -> NoReturn:
        connection = open_for_writing(self._database)
        builder = Builder(connection, self._places, self._database.with_suffix(".reading"), self._say)
        if builder.is_worn:
            connection.close()
            throw_away(self._database)
            return self._build()
        builder.start()
        while True:
            builder.step()
            if builder.failure and not self._message:
                self._message = f"Files are compared now and then, for they cannot be watched: {builder.failure}."

    def _wait_for_turn(self) -> None:
        while not self._lock.take():
            self._follow()
            time.sleep(_FOLLOW_SECONDS)

    def _follow(self) -> None:
        """Say how far the other worker is."""
        connection = open_for_reading(self._database)
        if connection is None:
            return
        with contextlib.closing(connection), contextlib.suppress(sqlite3.Error):
            files, complete = connection.execute("SELECT (SELECT count(*) FROM files), complete FROM state").fetchone()
            self._say(files, files if complete else None, bool(complete))

    def _say(self, files: int, total: int | None, complete: bool) -> None:
        said: dict[str, object] = {"files": files, "total": total, "complete": complete, "message": self._message}
        if said != self._said:
            self._said = said
            try:
                sys.stdout.write(json.dumps(said) + "\n")
                sys.stdout.flush()
            except OSError:
                os._exit(0)


def _be_modest() -> None:
    """Leave the processor to others, and do not take the machine's memory for one file, where the system allows it."""
    with contextlib.suppress(OSError, AttributeError):
        os.nice(_NICE)
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MAX_MEMORY, _MAX_MEMORY))


def _end_with_parent() -> None:
    """The stream ends when the client closes it or dies. What was not committed is done again by the next worker."""
    while os.read(0, 65_536):
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
