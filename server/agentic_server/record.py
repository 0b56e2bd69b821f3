"""A proxy between Agentic and a real model server that records what they say to each other, as a cassette.

It listens on loopback, passes every request on and every answer back byte for byte, as it comes, and appends each chat
completion that came to its end to the cassette. Keys are never recorded: only bodies are.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from agentic_server.cassette import Exchange, Json, append
from agentic_server.plain_http import LoopbackServer, Request, error_body, parse_headers, send_json

_NOT_PASSED_ON = {"host", "connection", "keep-alive", "proxy-connection", "accept-encoding", "content-length"}


@dataclass(frozen=True, slots=True)
class Upstream:
    """The real server, with or without its `/v1`; a key replaces the one that the client sends."""

    url: str
    key: str = ""

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{self.url!r} is no http or https URL")

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """:raises OSError: when it cannot be reached."""
        parts = urlsplit(self.url)
        secure = ssl.create_default_context() if parts.scheme == "https" else None
        port = parts.port or (443 if secure else 80)
        return await asyncio.open_connection(parts.hostname, port, ssl=secure)

    def request(self, request: Request) -> bytes:
        """The request as it is sent on: uncompressed, one a connection."""
        parts = urlsplit(self.url)
        root = parts.path.rstrip("/").removesuffix("/v1")
        headers = {name: value for name, value in request.headers.items() if name not in _NOT_PASSED_ON}
        if self.key:
            headers["authorization"] = f"Bearer {self.key}"
        headers |= {"host": parts.netloc.rpartition("@")[2], "connection": "close", "accept-encoding": "identity"}
        headers["content-length"] = str(len(request.body))
        lines = [f"{request.method} {root}{request.path} HTTP/1.1", *(f"{n}: {v}" for n, v in headers.items()), "", ""]
        return "\r\n".join(lines).encode("latin-1") + request.body


def record(upstream: str, key: str, out: str | Path, port: int = 0) -> int:
    """`agentic record`: run the proxy until Ctrl-C. Gives the exit code."""
    try:
        Path(out).open("a").close()
        asyncio.run(_run(Upstream(upstream, key), Path(out), port))
    except (OSError, ValueError) as error:
        sys.stderr.write(f"agentic record: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("\n")
    return 0


@asynccontextmanager
async def recorder(upstream: Upstream, out: Path, port: int = 0) -> AsyncGenerator[str]:
    """Run the proxy while the block runs; gives the base URL for an OpenAI client."""

    async def handle(request: Request, writer: asyncio.StreamWriter) -> None:
        answer = bytearray()
        try:
            await _pass_on(upstream, request, writer, answer)
        finally:
            # A client that has heard the last word may leave before the server does, which cancels this.
            exchange = exchange_of(request, bytes(answer))
            if exchange is not None:
                append(out, exchange)

    async with LoopbackServer(handle, port) as server:
        yield f"{server.url}/v1"


async def _run(upstream: Upstream, out: Path, port: int) -> None:
    async with recorder(upstream, out, port) as url:
        sys.stderr.write(f"Recording to {out}. Point Agentic at {url} instead of {upstream.url}; end with Ctrl-C.\n")
        sys.stderr.flush()
        await asyncio.Event().wait()


async def _pass_on(upstream: Upstream, request: Request, writer: asyncio.StreamWriter, answer: bytearray) -> None:
    """Pass a request on and its answer back, a copy of which grows in `answer`."""
    try:
        up_reader, up_writer = await upstream.open()
    except OSError as error:
        message = f"The server at {upstream.url} cannot be reached ({error}). Is it running, and is its address right?"
        body = error_body(HTTPStatus.BAD_GATEWAY, "upstream_unreachable", message)
        await send_json(writer, HTTPStatus.BAD_GATEWAY, body)
        return
    try:
        up_writer.write(upstream.request(request))
        await up_writer.drain()
        while piece := await up_reader.read(65_536):
            answer += piece
            writer.write(piece)
            await writer.drain()
            if _whole(answer):  # Some servers keep the connection although they are asked to close it.
                break
    finally:
        up_writer.close()


def _whole(answer: bytes | bytearray) -> bool:
    """Whether an HTTP answer has come to the end that its head announces."""
    head, parted, body = bytes(answer).partition(b"\r\n\r\n")
    if not parted:
        return False
    headers = parse_headers(head.decode("latin-1").split("\r\n")[1:])
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return body.endswith(b"\r\n0\r\n\r\n") or body == b"0\r\n\r\n"
    length = headers.get("content-length", "")
    return length.isdecimal() and len(body) >= int(length)


def exchange_of(request: Request, answer: bytes) -> Exchange | None:
    """The chat completion that an HTTP answer holds; None for anything else, and for one without a finish reason."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    if not request.path.split("?")[0].endswith("/chat/completions") or " 200" not in status:
        return None
    headers = parse_headers(lines)
    streamed = headers.get("content-type", "").startswith("text/event-stream")
    try:
        if headers.get("transfer-encoding", "").lower() == "chunked":
            body = b"".join(_unchunk(body))
        asked = json.loads(request.body)
        bodies: list[Any] = [json.loads(data) for data in _event_data(body)] if streamed else [json.loads(body)]
    except ValueError:
        return None
    heard = _Heard()
    for chunk in bodies:
        if isinstance(chunk, dict):
            heard.add(cast("Json", chunk))
    return Exchange(asked, heard.response()) if heard.finish_reason else None


@dataclass(slots=True)
class _Heard:
    """The sum of an answer's chunks; a whole answer is one chunk."""

    content: str = ""
    reasoning: str = ""
    calls: dict[int, Json] = field(default_factory=dict[int, Json])
    finish_reason: str = ""
    usage: Json = field(default_factory=dict[str, Any])

    def add(self, chunk: Json) -> None:
        self.usage = chunk.get("usage") or self.usage
        for choice in cast("list[Json]", chunk.get("choices") or []):
            said: Json = choice.get("delta") or choice.get("message") or {}
            self.content += said.get("content") or ""
            self.reasoning += said.get("reasoning") or said.get("reasoning_content") or ""
            for position, call in enumerate(cast("list[Json]", said.get("tool_calls") or [])):
                self._add_call(call.get("index", position), call.get("function") or {})
            self.finish_reason = choice.get("finish_reason") or self.finish_reason

    def _add_call(self, index: int, function: Json) -> None:
        call = self.calls.setdefault(index, {"name": "", "arguments": ""})
        call["name"] = call["name"] or function.get("name") or ""
        arguments = function.get("arguments") or ""
        call["arguments"] += arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)

    def response(self) -> Json:
        """The answer as a cassette holds it; a finish reason only where it does not follow from the calls."""
        calls = [self.calls[index] for index in sorted(self.calls)]
        response: Json = {"content": self.content, "reasoning": self.reasoning, "tool_calls": calls}
        if self.finish_reason != ("tool_calls" if calls else "stop"):
            response["finish_reason"] = self.finish_reason
        return response | ({"usage": self.usage} if self.usage else {})


def _unchunk(body: bytes) -> Iterator[bytes]:
    """The data of a chunked body; a cut one ends where it was cut."""
    position = 0
    while (end := body.find(b"\r\n", position)) >= 0:
        size = int(body[position:end].split(b";")[0] or b"0", 16)
        if size == 0:
            return
        yield body[end + 2 : end + 2 + size]
        position = end + 2 + size + 2


def _event_data(body: bytes) -> list[str]:
    """The data of each whole server-sent event but the last, `[DONE]`."""
    lines = body[: body.rfind(b"\n") + 1].decode("utf-8").split("\n")
    data = (line.removeprefix("data:").strip() for line in lines if line.startswith("data:"))
    return [item for item in data if item not in ("", "[DONE]")]
