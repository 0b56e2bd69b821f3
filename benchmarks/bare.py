"""The plain `openai` client in a process of its own: what its users cannot get below."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Generator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.processes import child


class Bare:
    """The handle on the process."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def stream(self) -> list[tuple[int, str]]:
        """Each piece of a streamed answer, with the time when the client gave it out."""
        self._pipe.send(("stream", ()))
        return self._pipe.recv()

    def loop(self, request: dict[str, Any], root: Path) -> None:
        """The smallest agent: ask, read the file, ask again, until no file is wanted."""
        self._pipe.send(("loop", (request, str(root))))
        self._pipe.recv()


@contextmanager
def bare(url: str) -> Generator[Bare]:
    """Starts the process, and ends it."""
    with child(_run, url) as pipe:
        yield Bare(pipe)


def _run(pipe: Connection, url: str) -> None:
    asyncio.run(_serve(pipe, url))


async def _serve(pipe: Connection, url: str) -> None:
    import openai

    client = openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0)
    while True:
        what, arguments = pipe.recv()
        pipe.send(await {"stream": _stream, "loop": _loop}[what](client, *arguments))


async def _stream(client: Any) -> list[tuple[int, str]]:
    pieces: list[tuple[int, str]] = []
    messages = [{"role": "user", "content": "Go."}]
    async for chunk in await client.chat.completions.create(model="tiny", messages=messages, stream=True):
        at = time.monotonic_ns()
        if chunk.choices and chunk.choices[0].delta.content:
            pieces.append((at, chunk.choices[0].delta.content))
    return pieces


async def _loop(client: Any, request: dict[str, Any], root: str) -> None:
    messages = request["messages"]
    while True:
        calls: list[Any] = []
        stream = await client.chat.completions.create(
            model="tiny", messages=messages, tools=request["tools"], stream=True
        )
        async for chunk in stream:
            calls += (chunk.choices[0].delta.tool_calls or []) if chunk.choices else []
        if not calls:
            return
        messages.append({"role": "assistant", "content": "", "tool_calls": [call.model_dump() for call in calls]})
        for call in calls:
            name = json.loads(call.function.arguments)["path"]
            text = _read(root, name)
            messages.append({"role": "tool", "tool_call_id": call.id, "content": text})


def _read(root: str, name: str) -> str:
    return Path(root, name).read_text()
