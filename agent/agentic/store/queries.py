"""What is asked of the database and told to it, as functions of a connection."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from agentic.errors import StoreError, UnknownSession
from agentic.ports.model import Message
from agentic.ports.store import Intent, IntentState, LoggedEvent, SessionInfo, TurnState
from agentic.store.owner import is_alive, pid_of, this_process

INSERT_EVENT = "INSERT INTO events (session, seq, turn, kind, time, body) VALUES (?, ?, ?, ?, ?, ?)"
INSERT_MESSAGE = "INSERT INTO messages (session, n, turn, body) VALUES (?, ?, ?, ?)"
START_TURN = """INSERT INTO turns (session, id, state, owner, started) VALUES (?, ?, 'running', ?, ?)
    ON CONFLICT (session, id) DO UPDATE SET
        state = 'running', owner = excluded.owner, started = excluded.started, finished = NULL"""
FINISH_TURN = "UPDATE turns SET state = ?, finished = ? WHERE session = ? AND id = ?"

_KEPT_POSITIONS = 3
_SESSION = """
    SELECT id, title, created, workspace,
        coalesce((SELECT time FROM events WHERE session = sessions.id ORDER BY seq DESC LIMIT 1), created) AS updated,
        (SELECT count(*) FROM turns WHERE session = sessions.id),
        (SELECT state FROM turns WHERE session = sessions.id ORDER BY started DESC, rowid DESC LIMIT 1),
        (SELECT owner FROM turns WHERE session = sessions.id ORDER BY started DESC, rowid DESC LIMIT 1)
    FROM sessions"""


@dataclass(slots=True)
class Counters:
    """How many events and messages a session has: the last `seq` and the last `n`."""

    events: int
    messages: int


def open_session(connection: sqlite3.Connection, session: str, title: str, workspace: Sequence[str]) -> Counters:
    """Insert the session unless it is known. :raises StoreError: another living process runs a turn of it."""
    running = connection.execute("SELECT owner FROM turns WHERE session = ? AND state = 'running'", (session,))
    for (owner,) in running.fetchall():
        _refuse_other_owner(session, owner)
    connection.execute(
        "INSERT INTO sessions (id, title, workspace, created) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (session, title, msgspec.json.encode(list(workspace)).decode(), time.time()),
    )
    return _counters(connection, session)


def copy_session(
    connection: sqlite3.Connection, source: str, target: str, title: str, until_turn: str | None
) -> Counters:
    """Make `target` a new session with the messages of `source`, up to and including those of `until_turn`."""
    require_session(connection, source)
    known = connection.execute("SELECT 1 FROM sessions WHERE id = ?", (target,)).fetchone()
    if known is not None:
        raise StoreError(f"There is a session {target} already.", "Give the copy an id of its own.")
    last = _last_message(connection, source, until_turn)
    connection.execute(
        "INSERT INTO sessions (id, title, workspace, created) SELECT ?, ?, workspace, ? FROM sessions WHERE id = ?",
        (target, title, time.time(), source),
    )
    connection.execute(
        """INSERT INTO messages (session, n, turn, body)
            SELECT ?, n, turn, body FROM messages WHERE session = ? AND n <= ?""",
        (target, source, last),
    )
    return _counters(connection, target)


def require_session(connection: sqlite3.Connection, session: str) -> None:
    """:raises UnknownSession:"""
    if connection.execute("SELECT 1 FROM sessions WHERE id = ?", (session,)).fetchone() is None:
        raise UnknownSession(f"There is no session {session}.", "List the sessions with agentic.sessions.")


def read_events(connection: sqlite3.Connection, session: str, since: int) -> list[LoggedEvent]:
    require_session(connection, session)
    rows = connection.execute(
        "SELECT seq, body FROM events WHERE session = ? AND seq > ? ORDER BY seq", (session, since)
    )
    return [LoggedEvent(seq, body) for seq, body in rows]


def read_messages(connection: sqlite3.Connection, session: str) -> list[tuple[str, Message]]:
    require_session(connection, session)
    rows = connection.execute("SELECT turn, body FROM messages WHERE session = ? ORDER BY n", (session,))
    return [(turn, msgspec.json.decode(body, type=Message)) for turn, body in rows]


def read_sessions(connection: sqlite3.Connection, limit: int) -> list[SessionInfo]:
    rows = connection.execute(f"{_SESSION} ORDER BY updated DESC, rowid DESC LIMIT ?", (limit,))
    return [_session_info(row) for row in rows]


def read_session(connection: sqlite3.Connection, session: str) -> SessionInfo:
    """:raises UnknownSession:"""
    require_session(connection, session)
    return _session_info(connection.execute(f"{_SESSION} WHERE id = ?", (session,)).fetchone())


def write_intent(connection: sqlite3.Connection, intent: Intent) -> None:
    connection.execute(
        """INSERT INTO intents (id, session, turn, state, body) VALUES (?, ?, ?, ?, ?)
            ON CONFLICT (id) DO UPDATE SET
                session = excluded.session, turn = excluded.turn, state = excluded.state, body = excluded.body""",
        (intent.id, intent.session, intent.turn, intent.state, msgspec.json.encode(intent)),
    )


def settle_intent(connection: sqlite3.Connection, intent: str, state: IntentState) -> None:
    """:raises StoreError: there is no such intent."""
    changed = connection.execute("UPDATE intents SET state = ? WHERE id = ?", (state, intent)).rowcount
    if changed == 0:
        raise StoreError(f"There is no intent {intent} to settle.")


def read_intents(connection: sqlite3.Connection, session: str, turn: str) -> list[Intent]:
    rows = connection.execute(
        "SELECT body, state FROM intents WHERE session = ? AND ? IN ('', turn) ORDER BY n", (session, turn)
    )
    return [replace(msgspec.json.decode(body, type=Intent), state=state) for body, state in rows]


def offer_approval(connection: sqlite3.Connection, approval: str, binding: str, expires: float) -> None:
    """A waiting approval may be offered anew; one that was used stays used."""
    connection.execute(
        """INSERT INTO approvals (id, binding, state, expires) VALUES (?, ?, 'pending', ?)
            ON CONFLICT (id) DO UPDATE SET binding = excluded.binding, expires = excluded.expires
            WHERE state = 'pending'""",
        (approval, binding, expires),
    )


def use_approval(connection: sqlite3.Connection, approval: str, binding: str) -> bool:
    used = connection.execute(
        "UPDATE approvals SET state = 'used' WHERE id = ? AND state = 'pending' AND binding = ? AND expires > ?",
        (approval, binding, time.time()),
    )
    return used.rowcount == 1


def write_position(connection: sqlite3.Connection, session: str, name: str, data: bytes) -> None:
    require_session(connection, session)
    connection.execute("INSERT INTO positions (session, name, data) VALUES (?, ?, ?)", (session, name, data))
    connection.execute(
        """DELETE FROM positions WHERE session = ? AND n NOT IN
            (SELECT n FROM positions WHERE session = ? ORDER BY n DESC LIMIT ?)""",
        (session, session, _KEPT_POSITIONS),
    )


def read_position(connection: sqlite3.Connection, session: str) -> tuple[str, bytes] | None:
    require_session(connection, session)
    return connection.execute(
        "SELECT name, data FROM positions WHERE session = ? ORDER BY n DESC LIMIT 1", (session,)
    ).fetchone()


def _session_info(row: tuple[Any, ...]) -> SessionInfo:
    session, title, created, workspace, updated, turns, state, owner = row
    return SessionInfo(
        id=session,
        title=title,
        created=created,
        updated=updated,
        workspace=msgspec.json.decode(workspace, type=list[str]),
        turns=turns,
        state=_state(state, owner),
    )


def _refuse_other_owner(session: str, owner: str) -> None:
    if owner != this_process() and is_alive(owner):
        raise StoreError(
            f"Session {session} is being run by process {pid_of(owner)}.",
            "Wait until its turn has ended, cancel it there, or fork the session.",
        )


def _counters(connection: sqlite3.Connection, session: str) -> Counters:
    events, messages = connection.execute(
        """SELECT coalesce((SELECT max(seq) FROM events WHERE session = ?1), 0),
            coalesce((SELECT max(n) FROM messages WHERE session = ?1), 0)""",
        (session,),
    ).fetchone()
    return Counters(events, messages)


def _last_message(connection: sqlite3.Connection, session: str, until_turn: str | None) -> int:
    if until_turn is None:
        return _counters(connection, session).messages
    (last,) = connection.execute(
        "SELECT max(n) FROM messages WHERE session = ? AND turn = ?", (session, until_turn)
    ).fetchone()
    if last is None:
        raise UnknownSession(f"Session {session} has no message of a turn {until_turn}.", "Name a turn of the session.")
    return int(last)


def _state(state: TurnState | None, owner: str | None) -> TurnState:
    if state is None or owner is None:
        return "finished"
    return "interrupted" if state == "running" and not is_alive(owner) else state
