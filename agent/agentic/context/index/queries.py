"""Asking the database. Blocking, within a deadline; every answer comes from what is committed at the moment."""

from __future__ import annotations

import math
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from agentic.context.index.contents import read_contents
from agentic.context.index.excerpt import best_lines
from agentic.context.index.schema import LINES_PER_PIECE, open_for_reading
from agentic.context.index.words import query_words, words_of
from agentic.ports.code_index import Found, Symbol
from agentic.text import split_lines

SECONDS = 1.0
"""How long one answer may take; what took longer is broken off, and nothing is found."""
_MAX_WORDS = 32
_COMMON = 4_000
"""A word in more rows than this tells little, and only orders what other words have found."""
_PART = 0.5
"""What a part of an identifier is worth, for the whole."""
_LOOKED_AT = 2
"""So many times as many places as are wanted are read and compared."""
_STEPS = 20_000

_SYMBOL = """SELECT s.name, s.kind, f.path, s.line, s.end_line, s.container
    FROM symbols s JOIN files f ON f.id = s.file"""


class _Place(NamedTuple):
    """A row of the words: a piece of a file, or with line 0 its path."""

    path: str
    line: int


class Queries:
    """The questions to one database, from one thread at a time.

    :raises sqlite3.Error: from every question, when it takes too long or the database is damaged or was thrown away.
    """

    def __init__(self, database: Path, roots: Sequence[tuple[str, Path]]) -> None:
        self._database = database
        self._roots = sorted(roots, key=lambda root: -len(root[0]))
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._deadline = 0.0

    def text(self, words: Sequence[str], limit: int) -> list[Found]:
        """The port's `text`."""
        connection = self._open()
        wanted = dict(list(query_words(words).items())[:_MAX_WORDS])
        if connection is None or not wanted or limit <= 0:
            return []
        rows, weights = _candidates(connection, wanted)
        best = sorted(rows, key=lambda row: (-rows[row], row))
        places = _places(connection, best, _LOOKED_AT * limit + 10)
        found = self._read(places, weights)
        return sorted(found, key=lambda one: (-one.score, one.path, one.line))[:limit]

    def symbols(self, names: Sequence[str], limit: int) -> list[Symbol]:
        """The port's `symbols`."""
        connection = self._open()
        if connection is None:
            return []
        found: dict[Symbol, None] = {}
        for condition in ("s.name = ?1", "s.name > ?1 AND s.name < ?1 || char(1114111)"):
            for name in dict.fromkeys(names):
                if name and len(found) < limit:
                    query = f"{_SYMBOL} WHERE {condition} ORDER BY s.name, length(f.path), f.path LIMIT ?2"
                    found.update((Symbol(row[0], *row[1:]), None) for row in connection.execute(query, (name, limit)))
        wanted = set(names)
        exact_first = sorted(found, key=lambda symbol: symbol.name not in wanted)
        return exact_first[:limit]

    def outline(self, path: str) -> list[Symbol]:
        """The port's `outline`."""
        connection = self._open()
        if connection is None:
            return []
        rows = connection.execute(f"{_SYMBOL} WHERE f.path = ? ORDER BY s.line, s.position", (path,))
        return [Symbol(*row) for row in rows]

    def references(self, limit: int) -> list[tuple[str, str, int]]:
        """The port's `references`; how many means how many different names."""
        connection = self._open()
        if connection is None:
            return []
        return connection.execute(
            """SELECT u.path, d.path, l.names FROM links l
            JOIN files u ON u.id = l.user JOIN files d ON d.id = l.definer
            ORDER BY l.names DESC LIMIT ?""",
            (limit,),
        ).fetchall()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> sqlite3.Connection | None:
        """The database as it is now, which may have been thrown away and built anew; starts the deadline."""
        try:
            found = os.stat(self._database)
        except OSError:
            return None
        if (found.st_dev, found.st_ino) != self._file:
            self.close()
        if self._connection is None:
            self._connection = open_for_reading(self._database)
            self._file = (found.st_dev, found.st_ino)
            if self._connection is not None:
                self._connection.set_progress_handler(lambda: time.monotonic() > self._deadline, _STEPS)
        self._deadline = time.monotonic() + SECONDS
        return self._connection

    def _read(self, places: Iterable[_Place], weights: dict[str, float]) -> list[Found]:
        """The best lines of each place as they are on disk now; a path counts for all the places in its file."""
        texts: dict[str, list[str]] = {}
        named: dict[str, float] = {}
        found: list[Found] = []
        for path, line in places:
            if time.monotonic() > self._deadline:
                break
            if not line:
                named[path] = sum(weights[word] for word in weights.keys() & words_of(path))
            else:
                if path not in texts:
                    texts[path] = self._lines(path)
                piece = texts[path][line - 1 : line - 1 + LINES_PER_PIECE]
                if excerpt := best_lines(piece, weights):
                    first, last, score = excerpt
                    text = "".join(piece[first : last + 1])
                    found.append(Found(path, line + first, line + last, score, text))
        inside = {one.path for one in found}
        scored = [Found(o.path, o.line, o.end_line, o.score + named.get(o.path, 0.0) / 2, o.text) for o in found]
        return scored + [Found(path, 1, 1, score / 2) for path, score in named.items() if path not in inside]

    def _lines(self, path: str) -> list[str]:
        """A file's lines; none when it is gone or holds no text."""
        for prefix, root in self._roots:
            if path.startswith(prefix):
                contents = read_contents(root / path[len(prefix) :])
                return split_lines(contents.text) if contents else []
        return []


def _candidates(
    connection: sqlite3.Connection, wanted: Mapping[str, tuple[str, ...]]
) -> tuple[dict[int, float], dict[str, float]]:
    """The rows that hold telling words, scored, and each word's weight by how rare it is."""
    everything = max(2, connection.execute("SELECT next_row FROM state").fetchone()[0])
    scores: dict[int, float] = {}
    weights: dict[str, float] = {}
    common: list[str] = []
    for word, rows, share in _word_rows(connection, wanted):
        weight = weights[word] = share * math.log(1 + everything / (len(rows) + 1))
        if len(rows) > _COMMON:
            common.append(word)
        else:
            for row in rows:
                scores[row] = scores.get(row, 0.0) + weight
    return scores or _common_rows(connection, common), weights


def _word_rows(
    connection: sqlite3.Connection, wanted: Mapping[str, tuple[str, ...]]
) -> Iterator[tuple[str, list[int], float]]:
    """(word, rows, share) of what stands somewhere: each word whole, else its parts for a smaller share."""
    for word, parts in wanted.items():
        if rows := _rows(connection, f'"{word}"', _COMMON + 1):
            yield word, rows, 1.0
        else:
            found = ((part, _rows(connection, f'"{part}"', _COMMON + 1)) for part in parts if part not in wanted)
            yield from ((part, rows, _PART) for part, rows in found if rows)


def _common_rows(connection: sqlite3.Connection, words: Sequence[str]) -> dict[int, float]:
    """The first rows that hold all of the words, or else any."""
    for operator in (" AND ", " OR ") if words else ():
        if rows := _rows(connection, operator.join(f'"{word}"' for word in words), _COMMON):
            return dict.fromkeys(rows, 1.0)
    return {}


def _places(connection: sqlite3.Connection, rows: Iterable[int], limit: int) -> dict[_Place, None]:
    """The places of the first rows that are not dead, in their order."""
    found: dict[_Place, None] = {}
    for row in rows:
        file = connection.execute(
            "SELECT path, first, rows FROM files WHERE first <= ? ORDER BY first DESC LIMIT 1", (row,)
        ).fetchone()
        if file and row < file[1] + file[2]:
            found[_Place(file[0], (row - file[1] - 1) * LINES_PER_PIECE + 1 if row > file[1] else 0)] = None
            if len(found) >= limit:
                break
    return found


def _rows(connection: sqlite3.Connection, match: str, limit: int) -> list[int]:
    rows = connection.execute("SELECT rowid FROM words WHERE words MATCH ? LIMIT ?", (match, limit))
    return [row for (row,) in rows]
