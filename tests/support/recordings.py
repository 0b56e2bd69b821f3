"""Recorded responses of real servers: their bytes, and what is to be made of each (tests/agent/streams/README.md)."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from zipfile import ZipFile

from support.model_server import Json

STREAMS = Path(__file__).parents[1] / "agent" / "streams"


@dataclass(frozen=True)
class Recording:
    """One response, byte for byte, and its expected outcome: an answer's parts, or an error's class and words."""

    name: str
    raw: bytes
    outcome: Json

    @property
    def is_answer(self) -> bool:
        return "error" not in self.outcome

    @property
    def scripted(self) -> bool:
        """Whether a model with a script spoke, so that the answer means something."""
        return "-scen_" in self.name

    @property
    def body_start(self) -> int:
        return self.raw.index(b"\r\n\r\n") + 4

    @property
    def boundaries(self) -> list[int]:
        """The offsets between two events of the stream, the body's start and the end included."""
        return sorted({self.body_start, len(self.raw), *_ends_of_events(self.raw)})

    def slices(self, rng: random.Random, count: int = 6) -> list[int]:
        """Offsets at arbitrary places."""
        return sorted(rng.randrange(1, len(self.raw)) for _ in range(count))


@cache
def recordings() -> dict[str, Recording]:
    """All of them, by name."""
    outcomes: dict[str, Json] = json.loads((STREAMS / "outcomes.json").read_text())
    raws = {path.stem: path.read_bytes() for path in STREAMS.glob("*.http")}
    with ZipFile(STREAMS / "more.zip") as archive:
        raws |= {name.removesuffix(".http"): archive.read(name) for name in archive.namelist()}
    return {name: Recording(name, raw, outcomes[name]) for name, raw in sorted(raws.items())}


def answers() -> list[Recording]:
    """Those that hold a whole answer."""
    return [recording for recording in recordings().values() if recording.is_answer]


def _ends_of_events(raw: bytes) -> Iterator[int]:
    start = raw.index(b"\r\n\r\n") + 4
    while (found := raw.find(b"\n\n", start)) >= 0:
        start = found + 2
        yield start
