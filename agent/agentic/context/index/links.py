"""Which files use what others define: for each file the few that define most of the names it uses."""

from __future__ import annotations

import sqlite3
import zlib
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import groupby

MAX_DEFINERS = 4
"""A name that more files define links none of them."""
_MIN_NAME = 4
"""Shorter names link none either: everybody uses them."""
_LINKS_PER_FILE = 8
_FILES_AT_ONCE = 300
_ROWS_AT_ONCE = 20_000
_FILE_BITS = 32
_DEFINED_HERE = """SELECT DISTINCT file FROM symbols
    WHERE name = ?1 AND name = ?1 COLLATE BINARY AND kind NOT IN ('heading', 'other') LIMIT ?2"""


def telling_names(names: Iterable[str]) -> set[str]:
    """The names that can link files."""
    return {name for name in names if len(name) >= _MIN_NAME}


def pack(names: Iterable[str]) -> array[int]:
    """Names as 32 bits each: what a file uses is kept so."""
    return array("I", sorted(map(_hash, names)))


def link_file(connection: sqlite3.Connection, number: int, names: Iterable[str]) -> None:
    """Link one file that uses these names, within the transaction that is open."""
    counted: Counter[int] = Counter()
    for name in names:
        found = connection.execute(_DEFINED_HERE, (name, MAX_DEFINERS + 1)).fetchall()
        if len(found) <= MAX_DEFINERS:
            counted.update(file for (file,) in found)
    connection.executemany("INSERT OR REPLACE INTO links VALUES (?, ?, ?)", _best(number, counted))


def link_all(connection: sqlite3.Connection) -> Iterator[None]:
    """Link all files, some hundred for each step.

    :raises sqlite3.Error: when the database is damaged or the disk full.
    """
    pairs = array("Q")
    rows = connection.execute("SELECT name, file FROM symbols WHERE kind NOT IN ('heading', 'other')")
    while some := rows.fetchmany(_ROWS_AT_ONCE):
        pairs.extend(_hash(name) << _FILE_BITS | file for name, file in some if len(name) >= _MIN_NAME)
        yield
    definers = _Definers(pairs)
    numbers = [number for (number,) in connection.execute("SELECT file FROM uses")]
    for start in range(0, len(numbers), _FILES_AT_ONCE):
        links: list[tuple[int, int, int]] = []
        for number in numbers[start : start + _FILES_AT_ONCE]:
            links += _links_of(connection, definers, number)
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT OR REPLACE INTO links VALUES (?, ?, ?)", links)
        connection.execute("COMMIT")
        yield


class _Definers:
    """Which files define a name, from pairs of a name's hash and a file's number; 8 bytes for each."""

    def __init__(self, pairs: array[int]) -> None:
        self._pairs = array("Q", (pair for pair, _ in groupby(sorted(pairs))))

    def of(self, name: int) -> list[int]:
        """The files that define the name with this hash; none where there are too many."""
        start = bisect_left(self._pairs, name << _FILE_BITS)
        found: list[int] = []
        for pair in self._pairs[start : start + MAX_DEFINERS + 1]:
            if pair >> _FILE_BITS != name:
                return found
            found.append(pair & (1 << _FILE_BITS) - 1)
        return found if len(found) <= MAX_DEFINERS else []


def _links_of(connection: sqlite3.Connection, definers: _Definers, number: int) -> list[tuple[int, int, int]]:
    row = connection.execute("SELECT names FROM uses WHERE file = ?", (number,)).fetchone()
    counted: Counter[int] = Counter()
    for name in array("I", row[0]) if row else ():
        counted.update(definers.of(name))
    return _best(number, counted)


def _best(number: int, counted: Counter[int]) -> list[tuple[int, int, int]]:
    del counted[number]
    return [(number, definer, names) for definer, names in counted.most_common(_LINKS_PER_FILE)]


def _hash(name: str) -> int:
    return zlib.crc32(name.encode(errors="surrogatepass"))
