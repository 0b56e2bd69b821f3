"""One session's events on their way out: joined when there are too many, logged, sent.

A delta leaves at once while the readers get fewer than `rate` messages a second (a token bucket). Above that, deltas of
the same item are joined until the bucket has a token again. Nothing but deltas is ever delayed, and the order is kept;
only between deltas of different agents, which stream at the same time, it may change.
The `seq` is given after joining: the log holds exactly what was sent, so a replay from any `seq` is exact.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from agentic.events import Event, TextDelta, ThinkingDelta, ToolCallDelta, ToolOutput
from agentic.ports.store import LoggedEvent, Store

Delta = TextDelta | ThinkingDelta | ToolCallDelta | ToolOutput
Send = Callable[[Event, LoggedEvent], None]

RATE = 120.0
"""Messages a second."""
BURST = 24.0
"""How many may leave at once after a pause."""
MAX_DEBT = 8.0
"""How many messages too early those may be that streams of several agents send at once."""


class Feed:
    """`push` takes an event; `send` gets it, or the joined one, with its place in the log."""

    def __init__(self, store: Store, send: Send, rate: float = RATE) -> None:
        self._store = store
        self._send = send
        self._rate = rate
        self._tokens = BURST
        self._refilled = 0.0
        self._waiting: list[Delta] = []
        self._timer: asyncio.TimerHandle | None = None

    def push(self, event: Event) -> None:
        """Log and send the event, now or joined with its successors a few milliseconds later."""
        if isinstance(event, Delta):
            if self._waiting or not self._take():
                self._wait(event)
                return
        else:
            self.flush()
            self._take(debt=1.0)
        self._send(event, self._store.append(event))

    def flush(self) -> None:
        """Send what waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiting, self._waiting = self._waiting, []
        for delta in waiting:
            self._take(debt=MAX_DEBT)
            self._send(delta, self._store.append(delta))

    def _wait(self, delta: Delta) -> None:
        backwards = reversed(range(len(self._waiting)))
        place = next((place for place in backwards if self._waiting[place].agent == delta.agent), None)
        joined = join(self._waiting[place], delta) if place is not None else None
        if place is not None and joined is not None:
            self._waiting[place] = joined
        else:
            self._waiting.append(delta)
        if self._timer is None:
            seconds = max(0.0, (1.0 - self._tokens) / self._rate)
            self._timer = asyncio.get_running_loop().call_later(seconds, self.flush)

    def _take(self, *, debt: float = 0.0) -> bool:
        """Take a token from the bucket; with `debt` even where there is none, until so many are owed."""
        now = asyncio.get_running_loop().time()
        self._tokens = min(BURST, self._tokens + (now - self._refilled) * self._rate)
        self._refilled = now
        if self._tokens < 1.0 and not debt:
            return False
        self._tokens = max(min(self._tokens, -debt), self._tokens - 1.0)
        return True


def join(first: Delta, second: Delta) -> Delta | None:
    """Two deltas as one; None where they are not of the same item and kind."""
    if first.item != second.item:
        return None
    match first, second:
        case (TextDelta(), TextDelta()) | (ThinkingDelta(), ThinkingDelta()):
            return msgspec.structs.replace(first, text=first.text + second.text)
        case (ToolCallDelta(), ToolCallDelta()):
            return msgspec.structs.replace(first, arguments=first.arguments + second.arguments)
        case (ToolOutput(), ToolOutput()) if first.stream == second.stream:
            return msgspec.structs.replace(first, text=first.text + second.text)
        case _:
            return None
