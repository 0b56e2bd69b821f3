"""The same requests one after another, and all in flight at once: what a server's own batching is worth.

PYTHONPATH=tests .venv/bin/python -m real.batching
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from real.servers import CHAT, HERMES, vllm
from real.talk import ask, play, pool, request

from agentic.llm.pool import Pool

REQUESTS = 4
TOKENS = 256
"""Of each answer."""


@dataclass(frozen=True)
class Batching:
    """Seconds for the same requests, and how many tokens they gave in all."""

    alone: float
    together: float
    tokens: int

    @property
    def ratio(self) -> float:
        return self.alone / self.together

    def __str__(self) -> str:
        rates = (self.tokens / self.alone, self.tokens / self.together)
        return (
            f"{REQUESTS} requests of {TOKENS} tokens: {self.alone:.2f} s one after another ({rates[0]:.0f} tokens/s),"
            f" {self.together:.2f} s at once ({rates[1]:.0f} tokens/s): {self.ratio:.2f} times as fast"
        )


async def measure(url: str, repeats: int = 3) -> Batching:
    """The best of several rounds each; the prompts are in the server's cache before the first."""
    model = pool(url)
    try:
        await _at_once(model)
        alone = [await _timed(_in_turn(model)) for _ in range(repeats)]
        together = [await _timed(_at_once(model)) for _ in range(repeats)]
    finally:
        await model.aclose()
    return Batching(min(alone)[0], min(together)[0], alone[0][1])


async def _timed(work: object) -> tuple[float, int]:
    began = time.monotonic()
    tokens = await work
    return time.monotonic() - began, tokens


async def _in_turn(model: Pool) -> int:
    return sum([await _one(model, number) for number in range(REQUESTS)])


async def _at_once(model: Pool) -> int:
    return sum(await asyncio.gather(*(_one(model, number) for number in range(REQUESTS))))


async def _one(model: Pool, number: int) -> int:
    answer, _ = await ask(model, request(play("loop"), f"batch {number}", max_tokens=TOKENS))
    return answer.usage.completion or 0


def main(arguments: Iterable[str] = ()) -> None:
    with tempfile.TemporaryDirectory() as folder, vllm(CHAT, *HERMES, log=Path(folder) / "vllm.log") as server:
        print(asyncio.run(measure(server.url)))


if __name__ == "__main__":
    main()
