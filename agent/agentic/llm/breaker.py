"""The circuit breaker of one endpoint: pure, the time is passed in.

    closed ──failed (at once, or twice in a row)──▶ open ──its time is over──▶ half open
       ▲                                             ▲                            │
       └────────────── the probe answered ───────────┼────────────────────────────┘
                                                     └── the probe failed ────────┘

An open endpoint gets no request. A half open one gets a probe, which costs nothing, and no request before it answered.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Literal

ENOUGH_FAILURES = 2
"""Failures in a row that open it, unless one is enough."""

LONGEST_HOLD = 300.0
"""Seconds that a server's own wish to be left alone is kept, at most."""

REFUSED_SECONDS = 60.0
"""Seconds for which an endpoint that refused us (a wrong key, an unknown model) is left alone."""


class Breaker:
    """Closed at first. `waits` are the seconds that it stays open, the first time, the second, …; each varies by the
    share `jitter`, so that many clients do not come back at once. Times are seconds on any clock that only grows."""

    def __init__(self, waits: Sequence[float], jitter: float, dice: random.Random) -> None:
        self._waits = waits
        self._jitter = jitter
        self._dice = dice
        self._opened = 0
        """How often in a row it was opened; back to 0 with a success, and not with a mere probe."""
        self._until: float | None = None
        self._held_until = 0.0
        self.failures = 0
        """Failures in a row."""

    def state(self, now: float) -> Literal["closed", "open", "half_open"]:
        if self._until is None:
            return "closed"
        return "open" if now < self._until else "half_open"

    def retry_in(self, now: float) -> float:
        """Seconds until it may be probed; 0 when it may be now, or is closed."""
        return max(0.0, self._until - now) if self._until is not None else 0.0

    def held_for(self, now: float) -> float:
        """Seconds for which the server wants to be left alone, even when there is no other."""
        return max(0.0, self._held_until - now)

    def failed(self, now: float, *, at_once: bool = False, hold: float = 0.0) -> bool:
        """A request failed; `hold` seconds is what the server asked for. Whether this opened it.

        Requests that were under way when it opened, and fail too, do not keep it open for longer.
        """
        self.failures += 1
        if hold:
            self._held_until = max(self._held_until, now + min(hold, LONGEST_HOLD))
            if self._until is not None:
                self._until = max(self._until, self._held_until)
        if self._until is not None:
            return False
        if at_once or hold or self._opened or self.failures >= ENOUGH_FAILURES:
            self._open(now)
            return True
        return False

    def refused(self, now: float) -> None:
        """It does not want us: wrong key, unknown model."""
        self.failures += 1
        self._until = now + REFUSED_SECONDS

    def succeeded(self) -> bool:
        """A request got its whole answer. Whether this closed it."""
        closed = self._until is not None
        self.failures, self._opened, self._until, self._held_until = 0, 0, None, 0.0
        return closed

    def probed(self, now: float, *, answered: bool) -> bool:
        """A probe ended. Whether it changed the state.

        One that answered closes the breaker for now: the next failure opens it again, and for longer.
        """
        was_closed = self._until is None
        if answered:
            self.failures, self._until = 0, None
        else:
            self._open(now)
        return was_closed is not answered

    def _open(self, now: float) -> None:
        wait = self._waits[min(self._opened, len(self._waits) - 1)]
        self._opened += 1
        self._until = max(now + wait * self._dice.uniform(1 - self._jitter, 1 + self._jitter), self._held_until)
