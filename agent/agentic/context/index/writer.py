"""Writing the index: files in, files out."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from agentic.context.index.links import link_file, pack, telling_names
from agentic.context.index.schema import LINES_PER_PIECE
from agentic.context.index.words import words_of
from agentic.ports.code_index import Symbol
from agentic.syntax.reading import Reading
from agentic.text import split_lines

_MAX_PIECE = 200_000
"""Characters of a piece that are indexed; lines this long are data."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """When a file was changed and how large it is: what tells without reading whether it is as it was."""

    mtime_ns: int
    size: int


class Writer:
    """The one who writes. Nothing is seen by readers before `commit`.

    :raises sqlite3.Error: everything here, when the database is damaged or the disk full.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self._next, self._dead, complete, linked = connection.execute("SELECT * FROM state").fetchone()
        self.complete = bool(complete)
        """Whether the index has held all files once; what it then lacks are only late changes."""
        self.linked = bool(linked)
        """Whether all files are linked. Then a file that changes is linked at once, else all of them later."""
        self.count: int = connection.execute("SELECT count(*) FROM files").fetchone()[0]

    @property
    def is_worn(self) -> bool:
        """Whether more of it is dead than alive, so that building it anew is worth its time."""
        return self._dead > 50_000 and self._dead * 2 > self._next

    def stamps(self) -> dict[str, Stamp]:
        """All files that are known."""
        rows = self._db.execute("SELECT path, mtime_ns, size FROM files")
        return {path: Stamp(mtime_ns, size) for path, mtime_ns, size in rows}

    def stamp(self, path: str) -> Stamp | None:
        row = self._db.execute("SELECT mtime_ns, size FROM files WHERE path = ?", (path,)).fetchone()
        return Stamp(*row) if row else None

    def is_same(self, path: str, stamp: Stamp, data: bytes | None) -> bool:
        """Whether the file holds what it held; then only its stamp is taken."""
        row = self._db.execute("SELECT id, hash FROM files WHERE path = ?", (path,)).fetchone()
        if row is None or row[1] != _digest(data):
            return False
        self._begin()
        self._db.execute("UPDATE files SET mtime_ns = ?, size = ? WHERE id = ?", (stamp.mtime_ns, stamp.size, row[0]))
        return True

    def put(self, path: str, stamp: Stamp, data: bytes | None, text: str, reading: Reading) -> None:
        """Index a file anew. Without `data` (binary, too large) only its path is."""
        self._begin()
        number = self._forget(path)
        pieces = _pieces(text)
        row = (path, stamp.mtime_ns, stamp.size, _digest(data), self._next, len(pieces) + 1)
        cursor = self._db.execute(
            "INSERT INTO files (id, path, mtime_ns, size, hash, first, rows) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (number, *row),
        )
        rows = [words_of(path), *map(words_of, pieces)]
        self._db.executemany(
            "INSERT INTO words (rowid, body) VALUES (?, ?)",
            [(self._next + index, " ".join(words)) for index, words in enumerate(rows) if words],
        )
        self._next += len(rows)
        self.count += number is None
        self._describe(cursor.lastrowid or 0, reading)

    def remove(self, path: str) -> None:
        """Forget a file, or all that lies in a folder."""
        inside = self._db.execute(
            "SELECT path FROM files WHERE path = ? OR (path > ? AND path < ?)", (path, f"{path}/", f"{path}0")
        ).fetchall()
        for (each,) in inside:
            self._begin()
            if self._forget(each) is not None:
                self.count -= 1

    def commit(self) -> None:
        """Let readers see what was written."""
        if self._db.in_transaction:
            self._db.execute(
                "UPDATE state SET next_row = ?, dead_rows = ?, complete = ?, linked = ?",
                (self._next, self._dead, self.complete, self.linked),
            )
            self._db.execute("COMMIT")

    def mark_complete(self) -> None:
        """All files are in it."""
        self._begin()
        self.complete = True
        self.commit()

    def mark_linked(self, linked: bool) -> None:
        """The links are found, or are to be found anew."""
        self._begin()
        self.linked = linked
        self.commit()

    def _begin(self) -> None:
        if not self._db.in_transaction:
            self._db.execute("BEGIN IMMEDIATE")

    def _forget(self, path: str) -> int | None:
        """Drop what is known of a file, but the words, which stay behind as dead rows; returns the file's number."""
        found = self._db.execute("SELECT id, rows FROM files WHERE path = ?", (path,)).fetchone()
        if found is None:
            return None
        self._dead += found[1]
        for table, column in (("files", "id"), ("symbols", "file"), ("uses", "file"), ("links", "user")):
            self._db.execute(f"DELETE FROM {table} WHERE {column} = ?", (found[0],))
        return found[0]

    def _describe(self, number: int, reading: Reading) -> None:
        if reading.symbols:
            self._db.executemany(
                "INSERT INTO symbols VALUES (?, ?, ?, ?, ?, ?, ?)",
                [(number, position, *_columns(symbol)) for position, symbol in enumerate(reading.symbols)],
            )
        names = telling_names(reading.references)
        if names:
            self._db.execute("INSERT INTO uses VALUES (?, ?)", (number, pack(names)))
        if self.linked:
            link_file(self._db, number, names)


def _columns(symbol: Symbol) -> tuple[object, ...]:
    return symbol.name, symbol.kind, symbol.line, symbol.end_line, symbol.container


def _digest(data: bytes | None) -> bytes:
    return b"" if data is None else hashlib.blake2b(data, digest_size=8).digest()


def _pieces(text: str) -> Sequence[str]:
    lines = split_lines(text)
    return ["".join(lines[i : i + LINES_PER_PIECE])[:_MAX_PIECE] for i in range(0, len(lines), LINES_PER_PIECE)]
