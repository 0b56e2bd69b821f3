"""The least of HTTP/1.1 that a local helper server needs: one request a connection, on loopback, no library."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

MAX_BODY_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    """A whole request; header names in lower case."""

    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""


class BadRequest(Exception):
    """What came is no request that this server understands; `status` is the answer's."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


Handler = Callable[[Request, asyncio.StreamWriter], Awaitable[None]]
"""Writes the whole answer. It is cancelled as soon as the client goes away."""


class LoopbackServer:
    """Serves a handler on 127.0.0.1 while the `async with` block runs; port 0 lets the system choose."""

    def __init__(self, handler: Handler, port: int = 0) -> None:
        self.port = port
        self._handler = handler
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """The base URL, without a path. Known while the server runs."""
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._converse(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                try:
                    request = await read_request(reader)
                except BadRequest as error:
                    await send_json(writer, error.status, error_body(error.status, "bad_request", str(error)))
                    return
                await self._answer(request, reader, writer)
        finally:
            writer.close()

    async def _answer(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Run the handler until it is done or the client has gone; a client that ends its side has gone."""

        async def handle() -> None:
            with contextlib.suppress(ConnectionError):
                await self._handler(request, writer)

        async def wait_for_end() -> None:
            with contextlib.suppress(ConnectionError):
                await reader.read()

        async with asyncio.TaskGroup() as group:
            answering = group.create_task(handle())
            leaving = group.create_task(wait_for_end())
            answering.add_done_callback(lambda _: leaving.cancel())
            leaving.add_done_callback(lambda _: answering.cancel())


async def read_request(reader: asyncio.StreamReader) -> Request:
    """The next request of a connection.

    :raises BadRequest: where it is none, or too large.
    :raises asyncio.IncompleteReadError: where the connection ends first.
    """
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError as error:
        raise BadRequest(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "The request's head is too long.") from error
    first, *lines = head.decode("latin-1").split("\r\n")
    method, _, rest = first.partition(" ")
    path, _, version = rest.rpartition(" ")
    if not path or not version.startswith("HTTP/1"):
        raise BadRequest(HTTPStatus.BAD_REQUEST, "This is no HTTP/1 request.")
    headers = parse_headers(lines)
    if "transfer-encoding" in headers:
        raise BadRequest(HTTPStatus.LENGTH_REQUIRED, "Send the body with a Content-Length.")
    length = headers.get("content-length", "0")
    if not length.isdecimal():
        raise BadRequest(HTTPStatus.BAD_REQUEST, f"The Content-Length {length!r} is no number.")
    if int(length) > MAX_BODY_BYTES:
        raise BadRequest(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body is longer than {MAX_BODY_BYTES} bytes.")
    return Request(method, path, headers, await reader.readexactly(int(length)))


def parse_headers(lines: Sequence[str]) -> dict[str, str]:
    """Header lines by name, in lower case."""
    pairs = (line.partition(":") for line in lines if ":" in line)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def error_body(status: int, kind: str, message: str) -> dict[str, Any]:
    """An error as OpenAI-compatible servers send it."""
    return {"error": {"message": message, "type": kind, "code": int(status)}}


async def send_json(writer: asyncio.StreamWriter, status: int, body: object) -> None:
    """A whole JSON answer."""
    data = json.dumps(body, ensure_ascii=False).encode()
    writer.write(answer_head(status, "application/json", f"Content-Length: {len(data)}") + data)
    await writer.drain()


def answer_head(status: int, content_type: str, *more: str) -> bytes:
    """The head of an answer after which the connection is closed."""
    lines = [f"HTTP/1.1 {int(status)} {HTTPStatus(status).phrase}", f"Content-Type: {content_type}", *more]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1")
