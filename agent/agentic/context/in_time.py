"""Several things at once, and what has come of them by the deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

from agentic.errors import AgenticError

T = TypeVar("T")


async def in_time(works: Iterable[Coroutine[Any, Any, list[T]]], seconds: float) -> list[T]:
    """Their results joined in the order of `works`; what is late is cancelled, and what fails with the world is empty.

    Never raises but for cancellation.
    """
    tasks = [asyncio.ensure_future(_or_nothing(work)) for work in works]
    if not tasks:
        return []
    try:
        await asyncio.wait(tasks, timeout=max(0.0, seconds))
    finally:
        late = [task for task in tasks if not task.done()]
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
    return [one for task in tasks if not task.cancelled() for one in task.result()]


async def _or_nothing(work: Coroutine[Any, Any, list[T]]) -> list[T]:
    try:
        return await work
    except (OSError, AgenticError):
        return []
