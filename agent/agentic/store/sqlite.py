"""The log of all sessions in one SQLite file: the store port for real."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Self, TypeVar

import msgspec

from agentic.errors import UnknownSession
from agentic.events import Event, TurnFinished, TurnStarted, encode, kind_of
from agentic.ports.model import Message
from agentic.ports.store import Intent, IntentState, LoggedEvent, SessionInfo, state_after
from agentic.store import queries
from agentic.store.owner import this_process
from agentic.store.queries import Counters
from agentic.store.schema import connect, failure, open_database
from agentic.store.writer import Writer

Result = TypeVar("Result")


class SqliteStore:
    """The store port on SQLite. Use it from one event loop; several processes may share the file.

    `open_session` comes before each turn: it takes up what another process may have written since. Events survive the
    death of the process at once when `flush` has returned, and a loss of power a little later; intents and approvals
    survive both when their call has returned. While the disk fails, events are kept in memory, `flush` and all that is
    awaited raise `StoreError`, and the events are written when the disk is well again.

    `notice` is a sentence for the user, or empty: a damaged file was moved aside.
    """

    def __init__(self, path: Path, writer: Writer, notice: str, owner: str) -> None:
        """Use `open`."""
        self.path = path
        self.notice = notice
        self._writer = writer
        self._owner = owner
        self._counters: dict[str, Counters] = {}

    @classmethod
    async def open(cls, path: Path) -> Self:
        """Open the log, or begin one; a damaged one is moved aside and `notice` says so.

        :raises StoreError: it can't be written there, or a newer version of the program made it.
        """
        connection, notice = await asyncio.to_thread(open_database, path)
        return cls(path, Writer(connection, path), notice, await asyncio.to_thread(this_process))

    async def aclose(self) -> None:
        """Write what is left and close. :raises StoreError: if something is left that can't be written."""
        await self._writer.aclose()

    async def open_session(self, session: str, title: str, workspace: Sequence[str]) -> None:
        job = partial(queries.open_session, session=session, title=title, workspace=tuple(workspace))
        counters = await self._writer.run(job)
        known = self._counters.setdefault(session, counters)
        # An event appended while this waited is counted here but not yet there.
        known.events = max(known.events, counters.events)
        known.messages = max(known.messages, counters.messages)

    async def copy_session(self, source: str, target: str, title: str, until_turn: str | None) -> None:
        job = partial(queries.copy_session, source=source, target=target, title=title, until_turn=until_turn)
        self._counters[target] = await self._writer.run(job)

    def append(self, event: Event) -> LoggedEvent:
        counters, body, now = self._get(event.session_id), encode(event), time.time()
        counters.events += 1
        session, turn, seq = event.session_id, event.turn_id, counters.events
        self._writer.put(queries.INSERT_EVENT, session, seq, turn, kind_of(event), now, body)
        if isinstance(event, TurnStarted) and event.agent == "main":
            self._writer.put(queries.START_TURN, session, turn, self._owner, now)
        elif isinstance(event, TurnFinished) and event.agent == "main":
            self._writer.put(queries.FINISH_TURN, state_after(event), now, session, turn)
        return LoggedEvent(seq, body)

    async def flush(self) -> None:
        await self._writer.flush()

    async def events(self, session: str, since: int = 0) -> list[LoggedEvent]:
        return await self._read(partial(queries.read_events, session=session, since=since))

    def add_message(self, session: str, turn: str, message: Message) -> None:
        counters, body = self._get(session), _encoded(message)
        counters.messages += 1
        self._writer.put(queries.INSERT_MESSAGE, session, counters.messages, turn, body)

    async def messages(self, session: str) -> list[tuple[str, Message]]:
        return await self._read(partial(queries.read_messages, session=session))

    async def sessions(self, limit: int = 100) -> list[SessionInfo]:
        return await self._read(partial(queries.read_sessions, limit=limit))

    async def session(self, session: str) -> SessionInfo:
        """One session. :raises UnknownSession:"""
        return await self._read(partial(queries.read_session, session=session))

    async def prepare(self, intent: Intent) -> None:
        await self._writer.run(partial(queries.write_intent, intent=intent), durable=True)

    async def settle(self, intent: str, state: IntentState) -> None:
        await self._writer.run(partial(queries.settle_intent, intent=intent, state=state), durable=True)

    async def intents(self, session: str, turn: str = "") -> list[Intent]:
        return await self._read(partial(queries.read_intents, session=session, turn=turn))

    async def offer(self, approval: str, binding: str, expires: float) -> None:
        job = partial(queries.offer_approval, approval=approval, binding=binding, expires=expires)
        await self._writer.run(job, durable=True)

    async def use(self, approval: str, binding: str) -> bool:
        job = partial(queries.use_approval, approval=approval, binding=binding)
        return await self._writer.run(job, durable=True)

    async def save_position(self, session: str, name: str, data: bytes) -> None:
        await self._writer.run(partial(queries.write_position, session=session, name=name, data=data))

    async def position(self, session: str) -> tuple[str, bytes] | None:
        return await self._read(partial(queries.read_position, session=session))

    async def _read(self, query: Callable[[sqlite3.Connection], Result]) -> Result:
        """Ask on a connection of its own, after all that was appended has been written."""
        await self._writer.flush()
        return await asyncio.to_thread(self._ask, query)

    def _ask(self, query: Callable[[sqlite3.Connection], Result]) -> Result:
        try:
            with closing(connect(self.path)) as connection:
                return query(connection)
        except sqlite3.Error as error:
            raise failure(self.path, error) from error

    def _get(self, session: str) -> Counters:
        counters = self._counters.get(session)
        if counters is None:
            raise UnknownSession(f"Session {session} has not been opened.", "List the sessions with agentic.sessions.")
        return counters


def _encoded(message: Message) -> bytes:
    """The message as JSON; a question mark stands for half a character."""
    try:
        return msgspec.json.encode(message)
    except UnicodeEncodeError:
        return json.dumps(message, ensure_ascii=False).encode("utf-8", "replace")
