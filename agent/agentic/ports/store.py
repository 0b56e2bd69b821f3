"""The store port: the log that is the truth. Append only; what was written is never changed.

`append` is cheap and returns at once (a writer thread does the rest, in order); whatever must survive the next
instruction is awaited. The double, `MemoryStore`, keeps everything in lists.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from agentic.errors import StoreError, UnknownSession
from agentic.events import Event, TurnFinished, TurnStarted, encode
from agentic.ports.model import Message

TurnState = Literal["running", "finished", "failed", "interrupted"]
RESUMABLE: tuple[TurnState, ...] = ("interrupted", "failed")
IntentState = Literal["prepared", "done", "failed", "undone"]


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """A conversation. Times in seconds since the epoch."""

    id: str
    title: str
    created: float
    updated: float
    workspace: Sequence[str]
    turns: int
    state: TurnState
    """`failed`: an error ended its last turn. `interrupted`: that never finished, and its daemon is gone."""


@dataclass(frozen=True, slots=True)
class Intent:
    """An effect about to be made, written down before it is. Hashes are of the whole text (empty: no file)."""

    id: str
    session: str
    turn: str
    kind: Literal["edit", "command"]
    target: str
    before_hash: str = ""
    after_hash: str = ""
    before: str = ""
    """The text before, for undo; empty for commands."""
    after: str = ""
    existed: bool = True
    state: IntentState = "prepared"


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """An event with its place in the session; `body` is its JSON without `seq`."""

    seq: int
    body: bytes


class MessageLog(Protocol):
    """Where a conversation is kept."""

    def add_message(self, session: str, turn: str, message: Message) -> None:
        """Append a message to the conversation, whole, reasoning included. Never blocks."""
        ...

    async def messages(self, session: str) -> list[tuple[str, Message]]:
        """The conversation so far as (turn, message), in order. :raises UnknownSession:"""
        ...


class Store(MessageLog, Protocol):
    """The log of all sessions of this user."""

    async def open_session(self, session: str, title: str, workspace: Sequence[str]) -> None:
        """Make a session known, or take up one that is. Idempotent. :raises StoreError: if it can't be written."""
        ...

    async def copy_session(self, source: str, target: str, title: str, until_turn: str | None) -> None:
        """Begin `target` with the messages of `source`, up to and including those of `until_turn` (None: all).

        Events, intents and positions are not copied; `target` is open afterwards.
        :raises UnknownSession: there is no such session, or it has no message of that turn.
        :raises StoreError: there is a session `target` already.
        """
        ...

    def append(self, event: Event) -> LoggedEvent:
        """Log an event and give it its `seq`. Never blocks; `flush` tells whether it has landed.

        The main agent's `TurnStarted` marks its turn as running under this process, its `TurnFinished` as finished or
        failed.
        :raises UnknownSession: the session has not been opened.
        """
        ...

    async def flush(self) -> None:
        """Wait until all that was appended has been written. :raises StoreError: if it could not be."""
        ...

    async def events(self, session: str, since: int = 0) -> list[LoggedEvent]:
        """The events after `since`, in order. :raises UnknownSession:"""
        ...

    async def sessions(self, limit: int = 100) -> list[SessionInfo]:
        """Known sessions, the last used first."""
        ...

    async def prepare(self, intent: Intent) -> None:
        """Write an intent down, durably (fsync). :raises StoreError: then the effect must not be made."""
        ...

    async def settle(self, intent: str, state: IntentState) -> None:
        """Say what became of an intent, durably."""
        ...

    async def intents(self, session: str, turn: str = "") -> list[Intent]:
        """The intents of a session, or of one turn, in order."""
        ...

    async def offer(self, approval: str, binding: str, expires: float) -> None:
        """Write down an approval that is waiting for its answer. `expires` in seconds since the epoch."""
        ...

    async def use(self, approval: str, binding: str) -> bool:
        """Use an approval, once: True only if it is waiting, has this binding and has not expired."""
        ...

    async def save_position(self, session: str, name: str, data: bytes) -> None:
        """Keep the orchestrator's position; only the last few of each session are kept."""
        ...

    async def position(self, session: str) -> tuple[str, bytes] | None:
        """The last saved position."""
        ...


@dataclass(slots=True)
class _Session:
    title: str
    workspace: Sequence[str]
    events: list[LoggedEvent] = field(default_factory=list[LoggedEvent])
    messages: list[tuple[str, Message]] = field(default_factory=list[tuple[str, Message]])
    turns: dict[str, TurnState] = field(default_factory=dict[str, TurnState])
    position: tuple[str, bytes] | None = None
    created: float = field(default_factory=time.time)
    updated: float = field(default_factory=time.time)


def _last_state(session: _Session) -> TurnState:
    return next(reversed(session.turns.values())) if session.turns else "finished"


def state_after(finished: TurnFinished) -> TurnState:
    """The state of a turn that ended so."""
    return "failed" if finished.stop_reason == "error" else "finished"


class MemoryStore:
    """The double: everything in memory."""

    def __init__(self) -> None:
        self._sessions: dict[str, _Session] = {}
        self._intents: dict[str, Intent] = {}
        self._approvals: dict[str, tuple[str, float]] = {}
        self._used: set[str] = set()

    async def open_session(self, session: str, title: str, workspace: Sequence[str]) -> None:
        self._sessions.setdefault(session, _Session(title, workspace))

    async def copy_session(self, source: str, target: str, title: str, until_turn: str | None) -> None:
        old = self._get(source)
        if target in self._sessions:
            raise StoreError(f"There is a session {target} already.", "Give the copy an id of its own.")
        turns = [turn for turn, _ in old.messages]
        if until_turn is not None and until_turn not in turns:
            raise UnknownSession(f"Session {source} has no message of a turn {until_turn}.")
        end = len(turns) if until_turn is None else len(turns) - turns[::-1].index(until_turn)
        self._sessions[target] = _Session(title, old.workspace, messages=old.messages[:end])

    def append(self, event: Event) -> LoggedEvent:
        session = self._get(event.session_id)
        if isinstance(event, TurnStarted) and event.agent == "main":
            session.turns[event.turn_id] = "running"
        if isinstance(event, TurnFinished) and event.agent == "main":
            session.turns[event.turn_id] = state_after(event)
        logged = LoggedEvent(len(session.events) + 1, encode(event))
        session.events.append(logged)
        session.updated = time.time()
        return logged

    async def flush(self) -> None:
        return None

    async def events(self, session: str, since: int = 0) -> list[LoggedEvent]:
        return self._get(session).events[since:]

    def add_message(self, session: str, turn: str, message: Message) -> None:
        self._get(session).messages.append((turn, message))

    async def messages(self, session: str) -> list[tuple[str, Message]]:
        return list(self._get(session).messages)

    async def sessions(self, limit: int = 100) -> list[SessionInfo]:
        latest = sorted(self._sessions.items(), key=lambda item: item[1].updated, reverse=True)
        return [
            SessionInfo(name, s.title, s.created, s.updated, s.workspace, len(s.turns), _last_state(s))
            for name, s in latest[:limit]
        ]

    async def prepare(self, intent: Intent) -> None:
        self._intents[intent.id] = intent

    async def settle(self, intent: str, state: IntentState) -> None:
        self._intents[intent] = replace(self._intents[intent], state=state)

    async def intents(self, session: str, turn: str = "") -> list[Intent]:
        return [i for i in self._intents.values() if i.session == session and turn in ("", i.turn)]

    async def offer(self, approval: str, binding: str, expires: float) -> None:
        if approval not in self._used:
            self._approvals[approval] = (binding, expires)

    async def use(self, approval: str, binding: str) -> bool:
        offered, expires = self._approvals.get(approval, ("", 0.0))
        if approval in self._used or offered != binding or expires <= time.time():
            return False
        self._used.add(approval)
        return True

    async def save_position(self, session: str, name: str, data: bytes) -> None:
        self._get(session).position = (name, data)

    async def position(self, session: str) -> tuple[str, bytes] | None:
        return self._get(session).position

    def _get(self, session: str) -> _Session:
        if session not in self._sessions:
            raise UnknownSession(f"There is no session {session}.", "List the sessions with agentic.sessions.")
        return self._sessions[session]
