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
    def unframed(self) -> bytes:
        """The same response with a body that ends where the connection does: no cut can be told from its end."""
        head, _, body = self.raw.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        if b"transfer-encoding: chunked" in head.lower():
            body = b"".join(_chunks(body))
        kept = [line for line in lines if not line.lower().startswith((b"transfer-encoding", b"content-length"))]
        return b"\r\n".join([*kept, b"", body])

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


def boundaries(raw: bytes) -> list[int]:
    """The offsets between two events of a response, its body's start and its end included."""
    ends = [raw.index(b"\r\n\r\n") + 4]
    while (found := raw.find(b"\n\n", ends[-1])) >= 0:
        ends.append(found + 2)
    return sorted({*ends, len(raw)})


def _chunks(body: bytes) -> Iterator[bytes]:
    """The data of a chunked body."""
    while True:
        size, _, rest = body.partition(b"\r\n")
        length = int(size, 16)
        if length == 0:
            return
        yield rest[:length]
        body = rest[length + 2 :]
