"""A small OpenAI-compatible server on a real socket, which answers from a script and misbehaves on request.

    script = [Reply("Hello."), status(503, "busy"), Reply(calls=[("read_file", {"path": "a"})])]
    async with ModelServer(script) as server:
        model = Pool([Endpoint(server.url)])

The script has one answer for each chat completion, in order; it may also be a function of the request's body. What the
server saw is kept: `requests`, `headers`, `bodies`, `connections`, `client_closed`.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal, Self

from support.prompts import assert_append_only, on_the_wire

Json = dict[str, Any]
Ending = Literal["end", "cut", "reset", "stall", "drip"]
"""How a stream stops: end: as HTTP wants it; cut: the connection is closed; reset: it is torn down; stall: nothing more
comes, the connection stays; drip: comments come for ever."""


@dataclass(frozen=True)
class Reply:
    """A good answer. `delay` is in seconds before the first byte, `pace` between chunks; text goes out word by word.

    `finish` and `usage` are made up where they are not given; an empty `finish` of None leaves the finish reason out.
    """

    text: str = ""
    thinking: str = ""
    calls: Sequence[tuple[str, Json | str]] = ()
    finish: str | None = ""
    usage: Json | None = None
    reasoning_field: str = "reasoning"
    delay: float = 0.0
    pace: float = 0.0
    when: asyncio.Event | None = None
    """Held back until this is set."""


@dataclass(frozen=True)
class Play:
    """Exact bytes, written piece by piece.

    `head` goes out before the pieces; with `chunked`, each piece is framed as one chunk of HTTP.
    """

    pieces: Sequence[bytes]
    head: bytes = b""
    ending: Ending = "end"
    chunked: bool = True
    delay: float = 0.0
    pace: float = 0.0
    keep_alive: bool = True
    when: asyncio.Event | None = None


Answer = Reply | Play
Page = Json | str | Play | Callable[[Json], Json | str | Play]


def status(code: int, body: Json | str, headers: str = "", *, drip: bool = False) -> Play:
    """An HTTP error. A dict goes out as JSON, a string as text; `headers` are lines that end in CRLF."""
    data = (json.dumps(body) if isinstance(body, dict) else body).encode()
    kind = "application/json" if isinstance(body, dict) else "text/plain"
    length = len(data) + (1_000_000 if drip else 0)
    head = f"HTTP/1.1 {code} Reason\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n{headers}\r\n"
    return Play([data], head.encode(), "drip" if drip else "end", chunked=False)


def html() -> Play:
    """A web page with status 200, as proxies and captive portals give."""
    return stream([b"<html><body>Please log in</body></html>"], content_type="text/html")


def stream(pieces: Sequence[bytes], ending: Ending = "end", content_type: str = "text/event-stream") -> Play:
    """A 200 with these pieces as its body."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    return Play(pieces, head, ending)


def events(*chunks: Any, ending: Ending = "end", done: bool = True) -> Play:
    """A stream of these JSON values, with `[DONE]` at its end."""
    return stream([*map(_event, chunks), *([b"data: [DONE]\n\n"] if done else [])], ending)


def delta(finish: str | None = None, **fields: Any) -> Json:
    """A chunk with one choice and this delta."""
    return {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}


def call_delta(**fields: Any) -> Json:
    """A chunk with one piece of a tool call; `name` and `arguments` go into its function."""
    function = {key: fields.pop(key) for key in ("name", "arguments") if key in fields}
    return delta(tool_calls=[{**fields, "function": function}])


def only(reply: Reply, chunks: int, ending: Ending, then: bytes = b"") -> Play:
    """The first chunks of a reply, then these bytes, then that ending."""
    pieces = _pieces(reply)[:chunks]
    return stream([*pieces, then] if then else pieces, ending)


def recorded(raw: bytes, slices: Sequence[int] = ()) -> Play:
    """A recorded response, byte for byte, cut at these offsets into separate writes; the connection closes after it."""
    bounds = [0, *sorted(slices), len(raw)]
    pieces = [raw[start:end] for start, end in pairwise(bounds) if end > start]
    return Play(pieces, chunked=False, ending="cut")


@dataclass
class Connection:
    """What happened on one connection."""

    requests: int = 0
    closed_early: bool = False


@dataclass
class ModelServer:
    """Serves the script on a free port of this machine. `models` and `props` are what is told about the model.

    `pages` answers other paths: a dict as JSON, text as it is, or what a function of the request's body gives.
    """

    script: Iterable[Answer] | Callable[[Json], Answer]
    models: Json | Play = field(
        default_factory=lambda: {"object": "list", "data": [{"id": "tiny", "owned_by": "vllm", "max_model_len": 8192}]}
    )
    props: Json | None = None
    pages: dict[str, Page] = field(default_factory=dict[str, "Page"])
    requests: list[Json] = field(default_factory=list[Json])
    bodies: list[bytes] = field(default_factory=list[bytes])
    headers: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    paths: list[str] = field(default_factory=list[str])
    connections: list[Connection] = field(default_factory=list[Connection])
    client_closed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a client closed its connection before its answer was whole."""
    request_seen: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a chat completion was asked for."""
    compactions: int | None = 0
    """How many prompts are no continuation of one sent before; None where that is the client's own business."""
    port: int = 0
    """Where to listen; 0: anywhere."""

    @property
    def url(self) -> str:
        """The base URL, `/v1` included."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def connections_closed(self) -> int:
        """How many answers were broken off by their client."""
        return sum(connection.closed_early for connection in self.connections)

    async def __aenter__(self) -> Self:
        self._next = self.script if callable(self.script) else _in_order(self.script)
        self._tasks: set[asyncio.Task[None]] = set()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Protocol(self._accept), "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, kind: type[BaseException] | None = None, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if kind is None and self.compactions is not None:
            assert_append_only(map(on_the_wire, self.bodies), self.compactions)

    def hang_up(self) -> None:
        """Close every connection that waits for a request, as servers do when they are restarted."""
        for task in self._tasks:
            task.cancel()

    def stop_listening(self) -> None:
        """Take no new connection; those that there are stay."""
        self._server.close()

    def die(self) -> None:
        """Be gone: no new connection, and the ones that there are broken."""
        self.stop_listening()
        self.hang_up()

    async def listen_again(self) -> None:
        """Be back, at the same address."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Protocol(self._accept), "127.0.0.1", self.port)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection()
        self.connections.append(connection)
        try:
            while await self._serve_one(reader, writer, connection):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _serve_one(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: Connection
    ) -> bool:
        """Answer one request; whether another may follow on this connection."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        _, path, _ = head[0].split(" ")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        connection.requests += 1
        self.paths.append(path)
        self.headers.append(headers)
        play = self._answer(path, body)
        playing = asyncio.create_task(_write(writer, play))
        leaving = asyncio.create_task(_left(writer))
        try:
            await asyncio.wait([playing, leaving], return_when=asyncio.FIRST_COMPLETED)
            if not playing.done() or playing.exception():
                connection.closed_early = True
                self.client_closed.set()
                return False
        finally:
            playing.cancel()
            leaving.cancel()
        return play.ending == "end" and play.keep_alive

    def _answer(self, path: str, body: bytes) -> Play:
        if path in self.pages:
            page = self.pages[path]
            page = page(json.loads(body)) if callable(page) else page
            return page if isinstance(page, Play) else status(200, page)
        if path == "/health":
            return status(200, {})
        if path == "/v1/models":
            return self.models if isinstance(self.models, Play) else status(200, self.models)
        if path == "/props" and self.props is not None:
            return status(200, self.props)
        if path != "/v1/chat/completions":
            return status(404, {"detail": "Not Found"})
        request = json.loads(body)
        self.bodies.append(body)
        self.requests.append(request)
        self.request_seen.set()
        answer = self._next(request)
        return answer if isinstance(answer, Play) else _play(answer, len(self.requests))


def _in_order(script: Iterable[Answer]) -> Callable[[Json], Answer]:
    answers = iter(script)
    out_of_answers = status(400, {"error": {"message": "the test's script has no answer to this request"}})
    return lambda _: next(answers, out_of_answers)


async def _write(writer: asyncio.StreamWriter, play: Play) -> None:
    await asyncio.sleep(play.delay)
    if play.when is not None:
        await play.when.wait()
    writer.write(play.head)
    for piece in play.pieces:
        writer.write(_framed(piece, play))
        await writer.drain()
        await asyncio.sleep(play.pace)
    if play.ending == "end" and play.chunked:
        writer.write(b"0\r\n\r\n")
    if play.ending == "stall":
        await asyncio.Event().wait()
    if play.ending == "reset":
        _tear_down(writer)
    while play.ending == "drip":
        writer.write(_framed(b": keep-alive\n\n", play))
        await writer.drain()
        await asyncio.sleep(0.01)
    await writer.drain()


def _tear_down(writer: asyncio.StreamWriter) -> None:
    """Close with a reset instead of an orderly end."""
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class _Protocol(asyncio.StreamReaderProtocol):
    """Notices at once when the peer is gone, without reading bytes of the next request."""

    def __init__(self, serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]) -> None:
        self.peer_gone = asyncio.Event()
        super().__init__(asyncio.StreamReader(), serve)

    def eof_received(self) -> bool | None:
        self.peer_gone.set()
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self.peer_gone.set()
        super().connection_lost(exc)


async def _left(writer: asyncio.StreamWriter) -> None:
    protocol = writer.transport.get_protocol()
    assert isinstance(protocol, _Protocol)
    await protocol.peer_gone.wait()


def _framed(piece: bytes, play: Play) -> bytes:
    return b"%x\r\n%b\r\n" % (len(piece), piece) if play.chunked else piece


def _play(reply: Reply, number: int) -> Play:
    whole = stream([*_pieces(reply, number), b"data: [DONE]\n\n"])
    return Play(whole.pieces, whole.head, delay=reply.delay, pace=reply.pace, when=reply.when)


def _pieces(reply: Reply, number: int = 0) -> list[bytes]:
    chunks = [delta(role="assistant", content="")]
    chunks += [delta(**{reply.reasoning_field: word}) for word in _words(reply.thinking)]
    chunks += [delta(content=word) for word in _words(reply.text)]
    for index, (name, arguments) in enumerate(reply.calls):
        text = arguments if isinstance(arguments, str) else json.dumps(arguments)
        chunks.append(call_delta(index=index, id=f"call_{number}_{index}", type="function", name=name, arguments=""))
        chunks += [call_delta(index=index, arguments=part) for part in _words(text)]
    if reply.finish is not None:
        chunks.append(delta(reply.finish or ("tool_calls" if reply.calls else "stop")))
    usage = reply.usage or {"prompt_tokens": 10, "completion_tokens": len(chunks)}
    return [*map(_event, chunks), _event({"choices": [], "usage": usage})]


def _words(text: str) -> list[str]:
    words = text.split(" ")
    return [word for word in [words[0], *(f" {word}" for word in words[1:])] if word]


def _event(value: Any) -> bytes:
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"
