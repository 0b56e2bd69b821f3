"""The deadlines of one request, as points on the event loop's clock.

Each wait is bounded for itself: a timeout that stayed open while a generator is suspended would cancel its reader's
code. The time that the reader takes is therefore not counted as the server's silence.
"""

from __future__ import annotations

import asyncio
from typing import Literal

from agentic.errors import DeadlineExceeded
from agentic.llm.endpoint import Deadlines

AFTER_FINISH = 1.0
"""Seconds for what follows a finish reason: the usage, and the end that lets the connection be used again."""

_WAITED_FOR = {"first_token": "a first token", "silence": "another token", "after_finish": "the end of the stream"}

_SETTINGS = {"first_token": "firstToken"}
"""How the settings spell a deadline, where it differs."""


class Clock:
    """Knows what is being waited for and until when. Starts counting `total` when it is made."""

    def __init__(self, deadlines: Deadlines) -> None:
        self._url = "the model servers"
        self._deadlines = deadlines
        self._now = asyncio.get_running_loop().time
        self._end = self._now() + deadlines.total
        self._stage: Literal["first_token", "silence", "after_finish"] = "first_token"
        self._started = self._now()
        self._due = self._end
        self.first_token: float | None = None
        """Seconds from the attempt's start to its first meaningful chunk."""

    def start_attempt(self, url: str) -> None:
        """A request leaves now, for this address."""
        self._url = url
        self._stage = "first_token"
        self._started = self._now()
        self._due = self._started + self._deadlines.first_token
        self.first_token = None

    def first(self) -> float:
        """The first meaningful chunk is here; seconds since the attempt's start."""
        self.first_token = self.elapsed()
        return self.first_token

    def progress(self) -> None:
        """A meaningful chunk was dealt with, and the next one is waited for from now on."""
        self._stage = "silence"
        self._due = self._now() + self._deadlines.silence

    def finish(self) -> None:
        """A finish reason has come. What follows does not put this deadline off."""
        if self._stage != "after_finish":
            self._stage = "after_finish"
            self._due = self._now() + AFTER_FINISH

    def elapsed(self) -> float:
        """Seconds since the attempt's start."""
        return self._now() - self._started

    def left(self) -> float:
        """Seconds until the whole request must be over; negative when it should be."""
        return self._end - self._now()

    def spent(self) -> float:
        """Seconds since the request began, all attempts together."""
        return self._deadlines.total - self.left()

    def limit(self) -> asyncio.Timeout:
        """A context that raises `TimeoutError` when the next deadline passes."""
        return asyncio.timeout_at(min(self._due, self._end))

    def exceeded(self) -> DeadlineExceeded:
        """The error for the deadline that passed."""
        stage = "total" if self._end <= self._due or self.left() <= 0 else self._stage
        seconds = AFTER_FINISH if stage == "after_finish" else getattr(self._deadlines, stage)
        name = _SETTINGS.get(stage, stage)
        waited_for = _WAITED_FOR.get(stage, "the whole answer")
        return DeadlineExceeded(
            f"Waited for {waited_for} from {self._url} for {seconds:g} s (deadline `{name}`).",
            f"Raise the deadline `{name}`, or find out why the server is slow: its log, its load.",
        )
