"""Which files use what others define: for each file the few that define most of the names it uses."""

from __future__ import annotations

import sqlite3
from array import array
from bisect import bisect_left
from collections import Counter

from agentic.context.index.writer import MIN_NAME, name_hash

MAX_DEFINERS = 4
"""A name that more files define links none of them."""
_LINKS_PER_FILE = 8
_FILES_BITS = 32


class Definers:
    """Which files define a name; 8 bytes for each definition."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        names = connection.execute(
            "SELECT DISTINCT name COLLATE BINARY, file FROM symbols WHERE kind != 'heading' AND kind != 'other'"
        )
        pairs = (name_hash(name) << _FILES_BITS | file for name, file in names if len(name) >= MIN_NAME)
        self._pairs = array("Q", sorted(array("Q", pairs)))

    def of(self, name: int) -> list[int]:
        """The files that define the name with this hash; none where there are too many."""
        start = bisect_left(self._pairs, name << _FILES_BITS)
        found: list[int] = []
        for pair in self._pairs[start : start + MAX_DEFINERS + 1]:
            if pair >> _FILES_BITS != name:
                return found
            found.append(pair & 0xFFFFFFFF)
        return found if len(found) <= MAX_DEFINERS else []


def link(connection: sqlite3.Connection, files: list[int] | None = None) -> None:
    """Find the links of some files, or of all. Blocking, some seconds for 100,000 files.

    :raises sqlite3.Error: when the database is damaged or the disk full.
    """
    definers = Definers(connection)
    wanted = [number for (number,) in connection.execute("SELECT file FROM uses")] if files is None else files
    for start in range(0, len(wanted), 1_000):
        rows: list[tuple[int, int, int]] = []
        for number in wanted[start : start + 1_000]:
            rows += _links_of(connection, definers, number)
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT OR REPLACE INTO links VALUES (?, ?, ?)", rows)
        connection.execute("COMMIT")


def _links_of(connection: sqlite3.Connection, definers: Definers, number: int) -> list[tuple[int, int, int]]:
    row = connection.execute("SELECT names FROM uses WHERE file = ?", (number,)).fetchone()
    counted: Counter[int] = Counter()
    for name in array("I", row[0]) if row else ():
        counted.update(definers.of(name))
    del counted[number]
    return [(number, definer, names) for definer, names in counted.most_common(_LINKS_PER_FILE)]
