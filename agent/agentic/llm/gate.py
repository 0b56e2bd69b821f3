"""At most so many requests in flight at one endpoint; those that wait are let in fairly.

The conversations that wait take turns, so one with twenty requests waits no less than one with a single request. A
server that says it is busy lowers the limit by a third; answers raise it again, slowly, to where it was.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, Hashable
from contextlib import asynccontextmanager


class Gate:
    """Lets in up to `limit` requests at once."""

    def __init__(self, limit: int) -> None:
        self._most: int = limit
        self._allowed = float(limit)
        self._lowered = 0
        self.in_flight = 0
        self._waiting: OrderedDict[Hashable, deque[asyncio.Future[None]]] = OrderedDict()
        """By conversation, in the order in which they are served."""

    @property
    def limit(self) -> int:
        """How many may be in flight now."""
        return int(self._allowed)

    @property
    def queued(self) -> int:
        """How many wait."""
        return sum(map(len, self._waiting.values()))

    @property
    def is_full(self) -> bool:
        """Whether a request would have to wait."""
        return self.in_flight >= self.limit or bool(self._waiting)

    @asynccontextmanager
    async def slot(self, conversation: Hashable, seconds: float | None = None) -> AsyncGenerator[Slot]:
        """A place for one request, given back at the end. :raises TimeoutError: none was free within `seconds`."""
        if self.is_full:
            async with asyncio.timeout(seconds):
                await self._wait(conversation)
        else:
            self.in_flight += 1
        try:
            yield Slot(self, self._lowered)
        finally:
            self._give_back()

    def limit_to(self, most: int) -> None:
        """The endpoint takes no more than this."""
        if most != self._most:
            self._most, self._allowed = most, float(most)
            self._let_in()

    def lower(self, lowered: int) -> None:
        """Let fewer in. Requests that were sent before the last time do not count again (see `Slot.busy`)."""
        if lowered == self._lowered:
            self._lowered += 1
            self._allowed = max(1.0, self._allowed * 2 / 3)

    def grow(self) -> None:
        """An answer came: one more is let in after about as many answers as are allowed in now."""
        self._allowed = min(float(self._most), self._allowed + 1 / self._allowed)
        self._let_in()

    async def _wait(self, conversation: Hashable) -> None:
        """Until a place is ours; a waiter that is cancelled leaves its place to the next."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(conversation, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._leave(conversation, turn)
            else:
                self._give_back()
            raise

    def _leave(self, conversation: Hashable, turn: asyncio.Future[None]) -> None:
        """Forget a waiter that was cancelled, unless its turn has come since and it was passed over."""
        waiting = self._waiting.get(conversation, deque())
        if turn in waiting:
            waiting.remove(turn)
            if not waiting:
                del self._waiting[conversation]

    def _give_back(self) -> None:
        self.in_flight -= 1
        self._let_in()

    def _let_in(self) -> None:
        while self._waiting and self.in_flight < self.limit:
            turn = self._next_turn()
            if not turn.cancelled():
                self.in_flight += 1
                turn.set_result(None)

    def _next_turn(self) -> asyncio.Future[None]:
        """The longest waiting one of the conversation whose turn it is; the conversation goes to the end."""
        conversation, waiting = self._waiting.popitem(last=False)
        turn = waiting.popleft()
        if waiting:
            self._waiting[conversation] = waiting
        return turn


class Slot:
    """A request's place. It knows how often the limit had been lowered when the request was sent."""

    def __init__(self, gate: Gate, lowered: int) -> None:
        self._gate = gate
        self._lowered = lowered

    def busy(self) -> None:
        """The server said that it has too much to do."""
        self._gate.lower(self._lowered)
