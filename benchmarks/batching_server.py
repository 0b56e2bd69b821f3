"""A simulated batching server in a process of its own: it speaks HTTP as vLLM does, and its tokens cost time as there.

Requests join at the next step (continuous batching). A step takes `step` seconds, a little more for each request in it,
and the time of the prompt tokens that its new requests bring and its prefix cache does not hold. A token is four bytes,
a block of the cache sixteen tokens. The server keeps the bodies that it was sent.

A task that says "Read N files" is answered with N calls of `read_file`, one an answer, then with a text; every other
task with a text of the length that the request allows.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import msgspec

from benchmarks.processes import child

BLOCK = 16 * 4
_TRIAGE = json.dumps({"route": "work", "domain": "coding", "confidence": 0.9, "complexity": 0.2, "language": "en"})
_THOUGHT = "I read the next one and compare it with those before, as the task wants it. "
_READ = re.compile(r"Read (\d+) files from (\d+)")


@dataclass(frozen=True, slots=True)
class Speed:
    """Seconds. The figures are those of a middle-sized model on one GPU, twice as fast so that nobody waits."""

    step: float = 0.01
    each: float = 0.0002
    prompt_token: float = 0.00005
    window: int = 131_072
    most: int = 8
    """Requests in a batch; more wait."""


AT_ONCE = Speed(0.0, 0.0, 0.0)


class BatchingServer:
    """The handle on the process."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self.url = f"http://127.0.0.1:{pipe.recv()}/v1"

    def bodies(self) -> list[tuple[int, bytes]]:
        """The requests so far: when each was whole, in nanoseconds of the machine's monotonic clock, and its body."""
        self._pipe.send(None)
        return self._pipe.recv()


@contextmanager
def batching_server(speed: Speed) -> Generator[BatchingServer]:
    """Starts the process, and ends it."""
    with child(_main, speed) as pipe:
        yield BatchingServer(pipe)


def _main(pipe: Connection, speed: Speed) -> None:
    asyncio.run(_Engine(speed).serve(pipe))


@dataclass(slots=True, eq=False)
class _Sequence:
    """A request on its way: the prompt tokens to compute, and the pieces to send, one a step."""

    to_compute: int
    pieces: list[dict[str, Any]]
    out: asyncio.Queue[dict[str, Any] | None]


class _Engine:
    def __init__(self, speed: Speed) -> None:
        self._speed = speed
        self._waiting: list[_Sequence] = []
        self._wanted = asyncio.Event()
        self._blocks: set[int] = set()
        self._answers: Counter[str] = Counter()
        self._bodies: list[tuple[int, bytes]] = []

    async def serve(self, pipe: Connection) -> None:
        server = await asyncio.start_server(self._converse, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        threading.Thread(target=self._tell, args=(pipe,), daemon=True).start()
        await self._generate()

    def _tell(self, pipe: Connection) -> None:
        while True:
            pipe.recv()
            pipe.send(list(self._bodies))

    async def _generate(self) -> None:
        running: list[_Sequence] = []
        clock = asyncio.get_running_loop().time
        while True:
            if not running and not self._waiting:
                self._wanted.clear()
                await self._wanted.wait()
            due, new = clock(), self._waiting[: self._speed.most - len(running)]
            del self._waiting[: len(new)]
            running += new
            due += self._speed.step + self._speed.each * len(running)
            due += self._speed.prompt_token * sum(one.to_compute for one in new)
            await asyncio.sleep(max(0.0, due - clock()))
            for one in running:
                one.out.put_nowait(one.pieces.pop(0) if one.pieces else None)
            running = [one for one in running if one.pieces]

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length: (\d+)", head)
                body = await reader.readexactly(int(length[1]) if length else 0)
                if b"/chat/completions" in head.partition(b"\r\n")[0]:
                    await self._answer(body, writer)
                else:
                    writer.write(self._models())
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def _answer(self, body: bytes, writer: asyncio.StreamWriter) -> None:
        self._bodies.append((int(asyncio.get_running_loop().time() * 1e9), body))
        prompt = msgspec.json.decode(body, type=_Body)
        tokens, cached = self._look_up(prompt)
        request = json.loads(body)
        sequence = _Sequence(tokens - cached, self._pieces(request), asyncio.Queue())
        pieces = len(sequence.pieces)
        completion = max(pieces, len(json.dumps([piece["delta"] for piece in sequence.pieces])) // 4)
        self._waiting.append(sequence)
        self._wanted.set()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(pieces):
            writer.write(_chunk({"object": "chat.completion.chunk", "choices": [await sequence.out.get()]}))
            await writer.drain()
        usage = {"prompt_tokens": tokens, "completion_tokens": completion}
        writer.write(_chunk({"choices": [], "usage": usage}) + _framed(b"data: [DONE]\n\n") + b"0\r\n\r\n")
        await writer.drain()

    def _look_up(self, prompt: _Body) -> tuple[int, int]:
        """The prompt's tokens, and those that the cache holds; from now on it holds them all."""
        data = b"".join(map(bytes, (prompt.tools, *prompt.messages)))
        link, held, known = 0, 0, True
        for start in range(0, len(data) - BLOCK, BLOCK):
            link = hash((link, data[start : start + BLOCK]))
            known = known and link in self._blocks
            held += known * BLOCK
            self._blocks.add(link)
        return len(data) // 4, held // 4

    def _pieces(self, request: dict[str, Any]) -> list[dict[str, Any]]:
        task = next(message["content"] for message in request["messages"] if message["role"] == "user")
        self._answers[task] += 1
        wanted = _READ.search(task)
        if wanted is None:
            words = [{"content": " word"}] * int(request.get("max_tokens") or 100)
            return [*map(_choice, words[1:]), _choice({"content": " word."}, "stop")]
        number = self._answers[task]
        opening = f"{_TRIAGE}\n{_THOUGHT}" if number == 1 else _THOUGHT
        if number > int(wanted[1]):
            return [_choice({"content": "All of them are read."}, "stop")]
        path = json.dumps({"path": f"{int(wanted[2]) + number}.py"})
        call = {"index": 0, "id": f"call_{wanted[2]}_{number}", "type": "function"}
        delta = {"tool_calls": [{**call, "function": {"name": "read_file", "arguments": path}}]}
        return [_choice({"content": opening}), _choice(delta, "tool_calls")]

    def _models(self) -> bytes:
        card = {"id": "tiny", "owned_by": "vllm", "max_model_len": self._speed.window}
        body = json.dumps({"object": "list", "data": [card]})
        return (
            f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
        )


class _Body(msgspec.Struct):
    messages: list[msgspec.Raw] = []
    tools: msgspec.Raw = msgspec.Raw(b"[]")


def _choice(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "finish_reason": finish}


def _chunk(value: Any) -> bytes:
    return _framed(b"data: " + json.dumps(value).encode() + b"\n\n")


def _framed(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)
