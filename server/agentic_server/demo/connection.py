"""JSON-RPC with a language server that runs as a child process, framed for its standard input and output."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Any

Json = dict[str, Any]
OnRequest = Callable[[str, Any], Awaitable[Any]]
"""Answers a request of the server (method, params); raises `MethodNotFound` for what it does not know."""
OnNotification = Callable[[str, Any], None]


class MethodNotFound(Exception):
    """The server asked for something that this client does not do."""


class ServerError(Exception):
    """The server answered a request with an error, or ended before it answered."""


class Connection:
    """Both directions of one conversation; `read` runs until the server ends."""

    def __init__(
        self, process: asyncio.subprocess.Process, on_request: OnRequest, on_notification: OnNotification
    ) -> None:
        self._process = process
        self._on_request = on_request
        self._on_notification = on_notification
        self._ids = itertools.count(1)
        self._pending: dict[int, asyncio.Future[Any]] = {}

    async def request(self, method: str, params: object) -> Any:
        """:raises ServerError: with the server's own words, or because it ended."""
        number = next(self._ids)
        future = self._pending[number] = asyncio.get_running_loop().create_future()
        try:
            await self._send({"id": number, "method": method, "params": params})
            return await future
        finally:
            del self._pending[number]

    async def notify(self, method: str, params: object) -> None:
        await self._send({"method": method, "params": params})

    async def read(self) -> None:
        """Take in what the server sends, until it ends. Each of its requests is answered in a task of its own."""
        assert self._process.stdout is not None
        try:
            async with asyncio.TaskGroup() as group:
                while (message := await _read_frame(self._process.stdout)) is not None:
                    self._take(message, group)
        finally:
            for future in self._pending.values():
                if not future.done():
                    future.set_exception(ServerError("The server has ended."))

    def _take(self, message: Json, group: asyncio.TaskGroup) -> None:
        if "method" not in message:
            self._settle(message)
        elif "id" in message:
            group.create_task(self._answer(message))
        else:
            self._on_notification(message["method"], message.get("params"))

    def _settle(self, message: Json) -> None:
        future = self._pending.get(message["id"])
        if future is None or future.done():
            return
        if "error" in message:
            future.set_exception(ServerError(message["error"]["message"]))
        else:
            future.set_result(message.get("result"))

    async def _answer(self, message: Json) -> None:
        try:
            answer: Json = {"result": await self._on_request(message["method"], message.get("params"))}
        except MethodNotFound:
            answer = {"error": {"code": -32601, "message": f"unknown method {message['method']}"}}
        with contextlib.suppress(ServerError):
            await self._send({"id": message["id"], **answer})

    async def _send(self, message: Json) -> None:
        assert self._process.stdin is not None
        body = json.dumps({"jsonrpc": "2.0", **message}, ensure_ascii=False).encode()
        self._process.stdin.write(f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        try:
            await self._process.stdin.drain()
        except ConnectionError as error:
            raise ServerError("The server has ended.") from error


@asynccontextmanager
async def server_process(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], log: IO[bytes]
) -> AsyncGenerator[asyncio.subprocess.Process]:
    """A language server as a child; one that still runs at the end of the block is given 5 s, then killed."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, env=environment, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=log
    )
    try:
        yield process
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(5):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def _read_frame(reader: asyncio.StreamReader) -> Json | None:
    """The next message; None at the end, also in the middle of a message."""
    length = 0
    while line := await reader.readline():
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
        if line == b"\r\n":
            with contextlib.suppress(asyncio.IncompleteReadError):
                return json.loads(await reader.readexactly(length))
    return None
