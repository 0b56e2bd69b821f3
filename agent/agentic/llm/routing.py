"""Which endpoint a request goes to: a pure function over snapshots of the endpoints.

A conversation stays where its prefix is cached, while that endpoint is well and not overloaded. A new one goes where
most of its prompt's head is cached already (sub-agents share system text and tools), else by a weighted rendezvous hash
of its session; once requests wait there, to the endpoint with the least load.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An endpoint that is well and has not failed this request. Counts are of requests, `covered` and `window` of
    tokens."""

    name: str
    window: int
    weight: float = 1.0
    limit: int = 8
    in_flight: int = 0
    """Of our own, at the server."""
    queued: int = 0
    """Of our own, before our gate."""
    waiting: int = 0
    """Of everybody's, in the server's queue, where it tells."""
    covered: int = 0
    """How much of this prompt its prefix cache must hold."""

    @property
    def is_loaded(self) -> bool:
        """Whether one more request would wait there."""
        return self.is_overloaded or self.waiting > 0

    @property
    def is_overloaded(self) -> bool:
        """Whether a cached prefix is not worth the wait there."""
        return self.in_flight + self.queued >= self.limit or self.waiting >= self.limit

    @property
    def load(self) -> float:
        """How busy it is for its size, to compare it with others."""
        return (self.in_flight + self.queued + self.waiting) / (self.limit * self.weight)


def choose(endpoints: Sequence[Snapshot], session: str, home: str = "", prompt: int = 0) -> str | None:
    """The name of the endpoint to ask; None where there is none.

    `home` is where the conversation was last, `prompt` the length of its prompt in tokens. Where no window is large
    enough the largest is taken: counts err high, and the server knows best.
    """
    fitting = [one for one in endpoints if one.window > prompt] or _largest(endpoints)
    if not fitting:
        return None
    at_home = next((one for one in fitting if one.name == home), None)
    if at_home is not None and not at_home.is_overloaded:
        return at_home.name
    if at_home is None:
        preferred = max(fitting, key=lambda one: (one.covered, rendezvous(session, one)))
        if not preferred.is_loaded:
            return preferred.name
    free = [one for one in fitting if not one.is_loaded]
    if at_home is not None and not free:
        return at_home.name
    return min(free or fitting, key=lambda one: (one.load, -rendezvous(session, one))).name


def rendezvous(session: str, endpoint: Snapshot) -> float:
    """The endpoint's score for this session; the highest wins. Removing an endpoint moves only its own sessions."""
    digest = blake2b(f"{session}\0{endpoint.name}".encode(), digest_size=8).digest()
    share = (int.from_bytes(digest) + 1) / 2**64
    return endpoint.weight / -math.log(share) if share < 1 else math.inf


def _largest(endpoints: Sequence[Snapshot]) -> list[Snapshot]:
    window = max((one.window for one in endpoints), default=0)
    return [one for one in endpoints if one.window == window]
