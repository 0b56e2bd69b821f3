"""A simulated batching server in a process of its own: it speaks HTTP as vLLM does, and its tokens cost time as there.

Requests join at the next step (continuous batching). A step takes `step` seconds, a little more for each request in it,
and the time of the prompt tokens that its new requests bring and its prefix cache does not hold. A token is four bytes,
a block of the cache sixteen tokens. The server keeps the bodies that it was sent.

What an agent is answered, its first message decides. "Read N files from F": N calls of `read_file`, one an answer,
then a text. "Delegate P parts of N files from F": a call of `delegate`, whose parts are tasks of the first kind, each
from a thousand files further on. Every other task: a text of the length that the request allows.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import msgspec

from benchmarks.processes import child

BLOCK = 16 * 4
_THOUGHT = "I read the next one and compare it with those before, as the task wants it. "
_READ = re.compile(r"Read (\d+) files from (\d+)")
_DELEGATE = re.compile(r"Delegate (\d+) parts of (\d+) files from (\d+)")
_SUB_AGENT = "[agentic] You are "


@dataclass(frozen=True, slots=True)
class Speed:
    """Seconds. The figures are those of a middle-sized model on one GPU, twice as fast so that nobody waits."""

    step: float = 0.01
    each: float = 0.0002
    prompt_token: float = 0.00005
    window: int = 131_072
    most: int = 8
    """Requests in a batch; more wait."""
    thought: int = 1
    """Tokens of the text before each call of a task that reads files."""


AT_ONCE = Speed(0.0, 0.0, 0.0)


@dataclass(slots=True)
class Served:
    """One request: when it was whole and when its first token left, in nanoseconds of the machine's monotonic clock."""

    at: int
    body: bytes
    first: int = 0


class BatchingServer:
    """The handle on the process."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self.url = f"http://127.0.0.1:{pipe.recv()}/v1"

    def served(self) -> list[Served]:
        """The requests so far, in their order."""
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
        self._served: list[Served] = []

    async def serve(self, pipe: Connection) -> None:
        server = await asyncio.start_server(self._converse, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        threading.Thread(target=self._tell, args=(pipe,), daemon=True).start()
        await self._generate()

    def _tell(self, pipe: Connection) -> None:
        while True:
            pipe.recv()
            pipe.send(list(self._served))

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
        served = Served(time.monotonic_ns(), body)
        self._served.append(served)
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
            piece = _chunk({"object": "chat.completion.chunk", "choices": [await sequence.out.get()]})
            served.first = served.first or time.monotonic_ns()
            writer.write(piece)
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
        number = self._answers[task]
        if wanted := _READ.search(task):
            opening = "" if task.startswith(_SUB_AGENT) or number > 1 else _triage(0.2)
            return _reading(number, int(wanted[1]), int(wanted[2]), opening, self._speed.thought)
        if wanted := _DELEGATE.search(task):
            return _delegating(number, int(wanted[1]), int(wanted[2]), int(wanted[3]))
        words = [{"content": " word"}] * int(request.get("max_tokens") or 100)
        return [*map(_choice, words[1:]), _choice({"content": " word."}, "stop")]

    def _models(self) -> bytes:
        card = {"id": "tiny", "owned_by": "vllm", "max_model_len": self._speed.window}
        body = json.dumps({"object": "list", "data": [card]})
        return (
            f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
        )


class _Body(msgspec.Struct):
    messages: list[msgspec.Raw] = []
    tools: msgspec.Raw = msgspec.Raw(b"[]")


def _reading(number: int, files: int, first: int, opening: str, thought: int) -> list[dict[str, Any]]:
    """A thought and the call for the next file; a text once all are read."""
    if number > files:
        return [_choice({"content": "All of them are read."}, "stop")]
    words = [{"content": " so"}] * (thought - 1)
    call = _call("read_file", {"path": f"{first + number}.py"}, f"{first}_{number}")
    return [*map(_choice, [{"content": f"{opening}{_THOUGHT}"}, *words]), call]


def _delegating(number: int, parts: int, files: int, first: int) -> list[dict[str, Any]]:
    """What the task is, then its parts, then the end."""
    if number == 1:
        return [_choice({"content": _triage(0.9)}, "stop")]
    if number > 2:
        return [_choice({"content": "All parts are done."}, "stop")]
    texts = [f"Read {files} files from {first + 1000 * part} on." for part in range(1, parts + 1)]
    subtasks = [{"name": f"part-{part}", "text": text} for part, text in enumerate(texts, 1)]
    return [_call("delegate", {"subtasks": subtasks}, f"{first}_parts")]


def _triage(complexity: float) -> str:
    found = {"route": "work", "domain": "coding", "confidence": 0.9, "complexity": complexity, "language": "en"}
    return json.dumps(found) + "\n"


def _call(name: str, arguments: dict[str, Any], number: str) -> dict[str, Any]:
    call = {"index": 0, "id": f"call_{number}", "type": "function"}
    return _choice(
        {"tool_calls": [{**call, "function": {"name": name, "arguments": json.dumps(arguments)}}]}, "tool_calls"
    )


def _choice(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "finish_reason": finish}


def _chunk(value: Any) -> bytes:
    return _framed(b"data: " + json.dumps(value).encode() + b"\n\n")


def _framed(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)
