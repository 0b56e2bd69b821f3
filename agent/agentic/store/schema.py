"""The database file: made, checked, brought up to date, and moved aside when it is damaged."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path

from agentic.errors import StoreError

_BUSY_SECONDS = 5.0
_WAL_LIMIT_BYTES = 64 * 1024 * 1024

# One tuple of statements a version. Never change one that was released: append another.
_MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE sessions (
            id TEXT PRIMARY KEY, title TEXT NOT NULL, workspace TEXT NOT NULL, created REAL NOT NULL)""",
        """CREATE TABLE turns (
            session TEXT NOT NULL, id TEXT NOT NULL, state TEXT NOT NULL, owner TEXT NOT NULL,
            started REAL NOT NULL, finished REAL, PRIMARY KEY (session, id))""",
        """CREATE TABLE events (
            session TEXT NOT NULL, seq INTEGER NOT NULL, turn TEXT NOT NULL, kind TEXT NOT NULL,
            time REAL NOT NULL, body BLOB NOT NULL, PRIMARY KEY (session, seq)) WITHOUT ROWID""",
        """CREATE TABLE messages (
            session TEXT NOT NULL, n INTEGER NOT NULL, turn TEXT NOT NULL, body BLOB NOT NULL,
            PRIMARY KEY (session, n)) WITHOUT ROWID""",
        """CREATE TABLE intents (
            n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, session TEXT NOT NULL, turn TEXT NOT NULL,
            state TEXT NOT NULL, body BLOB NOT NULL)""",
        "CREATE INDEX intents_of_turn ON intents (session, turn)",
        """CREATE TABLE approvals (
            id TEXT PRIMARY KEY, binding TEXT NOT NULL, state TEXT NOT NULL, expires REAL NOT NULL)""",
        """CREATE TABLE positions (
            n INTEGER PRIMARY KEY, session TEXT NOT NULL, name TEXT NOT NULL, data BLOB NOT NULL)""",
        "CREATE INDEX positions_of_session ON positions (session)",
    ),
)
SCHEMA_VERSION = len(_MIGRATIONS)


def open_database(path: Path) -> tuple[sqlite3.Connection, str]:
    """A connection for the writer, and a notice for a person (usually empty).

    A damaged file is moved aside, and a new one begun; the notice says so.

    :raises StoreError: the file can't be made or opened, or a newer version of the program made it.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        try:
            return _open_checked(path), ""
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise
        aside = _move_aside(path)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        return _open_checked(path), f"The session log was damaged; it was moved to {aside} and a new one was begun."
    except (OSError, sqlite3.Error) as error:
        raise failure(path, error) from error


def connect(path: Path) -> sqlite3.Connection:
    """A plain connection: transactions are begun and ended by hand."""
    return sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)


def failure(path: Path, error: BaseException) -> StoreError:
    """What a failure of the file system or of SQLite is for the agent."""
    return StoreError(
        f"The session log {path} can't be used: {error}.",
        "Make room and make the folder writable, or set AGENTIC_STATE_DIR to a folder on a local disk that is.",
    )


def _open_checked(path: Path) -> sqlite3.Connection:
    connection = connect(path)
    try:
        _check_version(connection, path)
        verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            damage = sqlite3.DatabaseError(verdict)
            damage.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise damage
        _use_wal(connection)
        connection.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT_BYTES}")
        connection.execute("PRAGMA synchronous = NORMAL")
        _migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _check_version(connection: sqlite3.Connection, path: Path) -> None:
    version = _version(connection)
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"The session log {path} has version {version}, but this program knows versions up to {SCHEMA_VERSION}.",
            "Update the program, or set AGENTIC_STATE_DIR to another folder.",
        )


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch to WAL where the file system can; where it can't, SQLite stays with its rollback journal."""
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchone()
            return
        except sqlite3.OperationalError as error:
            # SQLite does not wait by itself here when two daemons begin the same file at once.
            if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _migrate(connection: sqlite3.Connection) -> None:
    if _version(connection) == SCHEMA_VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    for statements in _MIGRATIONS[_version(connection) :]:
        for statement in statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    connection.execute("COMMIT")


def _is_damage(error: sqlite3.Error) -> bool:
    return _code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _move_aside(path: Path) -> Path:
    aside = path.with_name(f"{path.name}.damaged-{time.time_ns() // 1_000_000}")
    path.rename(aside)
    # While another process has the file open its journal stays, and may hold what is not yet in the file.
    for suffix in ("-wal", "-shm", "-journal"):
        leftover = path.with_name(path.name + suffix)
        if leftover.exists():
            leftover.rename(aside.with_name(aside.name + suffix))
    return aside
