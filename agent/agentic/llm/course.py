"""What one request has been through, and what follows from it: pure but for the random jitter.

What may be sent again is sent at once to another endpoint that is well and has not failed this request; else after a
wait. The waits are 2, 4, 8, 16 seconds by default; after the last one the request has failed.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from agentic.errors import DeadlineExceeded, ModelError

Verdict = Literal["anew", "again", "elsewhere", "never"]
"""What a failure allows: anew: at once and there, in another form; again: there or elsewhere; elsewhere: only at
another endpoint; never: nowhere."""

LONGEST_WAIT = 30.0
"""A server that asks for more patience than this, in seconds, is not waited for."""

MOST_SILENCES = 2
"""How often one endpoint may keep a request waiting until a deadline passes."""


@dataclass(frozen=True, slots=True)
class Patience:
    """The waits, in seconds; the last one holds for all that follow. Each varies by the share `jitter`."""

    retries: int
    waits: Sequence[float]
    jitter: float
    dice: random.Random

    def wait(self, number: int) -> float | None:
        """The seconds to wait the `number`-th time, from 0; None when it was often enough."""
        if number >= self.retries:
            return None
        wait = self.waits[min(number, len(self.waits) - 1)]
        return wait * self.dice.uniform(1 - self.jitter, 1 + self.jitter)


@dataclass(slots=True)
class Course:
    """A request's attempts."""

    patience: Patience
    attempts: int = 0
    failure: ModelError | None = None
    """The last one."""
    verdict: Verdict = "again"
    outcome: Literal["answered", "failed", "passed over"] = "failed"
    """Of the last attempt. Passed over: the endpoint went out while the request waited for its turn there."""
    _waited: int = 0
    _failed: set[str] = field(default_factory=set[str])
    """The endpoints that failed since the last wait."""
    _refused: set[str] = field(default_factory=set[str])
    _silences: Counter[str] = field(default_factory=Counter[str])

    def failed(self, url: str, failure: ModelError, verdict: Verdict) -> None:
        """An attempt at this endpoint failed."""
        self.failure, self.verdict, self.outcome = failure, verdict, "failed"
        if verdict != "anew":
            self._failed.add(url)
        if verdict == "elsewhere":
            self._refused.add(url)
        if isinstance(failure, DeadlineExceeded):
            self._silences[url] += 1

    def found_nobody(self) -> None:
        """No endpoint could be asked."""
        self.verdict, self.outcome = "again", "failed"

    def may_ask(self, url: str) -> bool:
        """Whether the next attempt may be made there without a wait."""
        return url not in self._failed and self.may_come_back(url)

    def may_come_back(self, url: str) -> bool:
        """Whether an attempt may be made there after a wait."""
        return url not in self._refused and self._silences[url] < MOST_SILENCES

    def next_wait(self) -> float | None:
        """The seconds of the next wait, which is taken by this; None when there is no more. It forgets who failed."""
        wait = self.patience.wait(self._waited)
        self._waited += 1
        self._failed.clear()
        return wait

    def given_up(self, failure: ModelError, seconds: float) -> ModelError:
        """The error that ends the request: the last failure, with how often and how long was tried."""
        if self.attempts < 2:
            return failure
        tried = f"{str(failure).rstrip('.')}. Tried {self.attempts} times in {seconds:.0f} s."
        return type(failure)(tried, f"{failure.hint} {_RESUME}".strip())


_RESUME = "Then resume the session: nothing that was done is lost."
