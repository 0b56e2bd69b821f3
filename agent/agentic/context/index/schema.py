"""The database of an index: one file for a workspace, written by one worker and read by anyone."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

VERSION = 1
"""Another version's database is thrown away and built anew."""

LINES_PER_PIECE = 40
"""A file is indexed in pieces of so many lines. Its first row stands for its path, and the pieces follow."""

_TABLES = """
CREATE TABLE files (
    id INTEGER PRIMARY KEY,
    path TEXT NOT NULL UNIQUE,
    mtime_ns INTEGER NOT NULL,
    size INTEGER NOT NULL,
    hash BLOB NOT NULL,
    first INTEGER NOT NULL,
    rows INTEGER NOT NULL
);
CREATE UNIQUE INDEX files_by_row ON files (first);
CREATE VIRTUAL TABLE words USING fts5 (
    body, content = '', columnsize = 0, detail = none, tokenize = "ascii tokenchars '_'"
);
CREATE TABLE symbols (
    file INTEGER NOT NULL, position INTEGER NOT NULL, name TEXT NOT NULL COLLATE NOCASE, kind TEXT NOT NULL,
    line INTEGER NOT NULL, end_line INTEGER NOT NULL, container TEXT NOT NULL,
    PRIMARY KEY (file, position)
) WITHOUT ROWID;
CREATE INDEX symbols_by_name ON symbols (name);
CREATE TABLE uses (file INTEGER PRIMARY KEY, names BLOB NOT NULL);
CREATE TABLE links (
    user INTEGER NOT NULL, definer INTEGER NOT NULL, names INTEGER NOT NULL, PRIMARY KEY (user, definer)
) WITHOUT ROWID;
CREATE INDEX links_by_names ON links (names);
CREATE TABLE state (next_row INTEGER NOT NULL, dead_rows INTEGER NOT NULL, complete INTEGER NOT NULL,
    linked INTEGER NOT NULL
);
INSERT INTO state VALUES (1, 0, 0, 0);
"""


def database_path(roots: Sequence[tuple[str, Path]], folder: Path) -> Path:
    """The file for a workspace: the same for the same roots."""
    named = "\0".join(f"{prefix}\0{root}" for prefix, root in roots)
    return folder / f"{hashlib.sha256(named.encode(errors='surrogateescape')).hexdigest()[:24]}.db"


def open_for_writing(path: Path) -> sqlite3.Connection:
    """The database, made anew if it is damaged or of another version. Only its owner can read it.

    :raises sqlite3.Error, OSError: when there is no place for it.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(sqlite3.DatabaseError):
        connection = _connect(path)
        if connection.execute("PRAGMA user_version").fetchone() == (VERSION,) and _is_whole(connection):
            return connection
        connection.close()
    throw_away(path)
    connection = _connect(path)
    connection.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {VERSION}; COMMIT;")
    return connection


def open_for_reading(path: Path) -> sqlite3.Connection | None:
    """The database as it is, for one thread at a time; None when there is none of this version."""
    try:
        connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=0.2, check_same_thread=False)
    except sqlite3.Error:
        return None
    try:
        if connection.execute("PRAGMA user_version").fetchone() == (VERSION,):
            return connection
    except sqlite3.Error:
        pass
    connection.close()
    return None


def throw_away(path: Path) -> None:
    """Remove a database and what belongs to it."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _connect(path: Path) -> sqlite3.Connection:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    connection = sqlite3.connect(path, timeout=5, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA cache_size = -16000")
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection


def _is_whole(connection: sqlite3.Connection) -> bool:
    """A look at every table; a full check would take longer than building anew what it saves."""
    for table in ("files", "symbols", "uses", "links"):
        connection.execute(f"SELECT * FROM {table} LIMIT 1").fetchall()
    connection.execute("SELECT rowid FROM words WHERE words MATCH 'the' LIMIT 1").fetchall()
    return connection.execute("SELECT count(*) FROM state").fetchone() == (1,)
