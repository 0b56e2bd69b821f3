"""An OpenAI-compatible server in a process of its own, which stamps what it sends and notes when it was asked.

All times are nanoseconds of the machine's monotonic clock, so that processes can compare them.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.processes import child

WINDOW = 10_000_000
_TRIAGE = {"domain": "coding", "confidence": 0.9, "complexity": 0.2, "language": "en", "plan": []}
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Plan:
    """How turns are answered: first `calls` (a tool's name and arguments) one an answer, then with `tokens` pieces of
    text, each with the time of its sending, `rate` of them a second (0: at once). With `cut`, the connection is closed
    where the finish reason should come."""

    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    tokens: int = 1
    rate: float = 0.0
    cut: bool = False


@dataclass(slots=True)
class Asked:
    """One request: its first byte, its last, the last of its answer, and the client's early end of the connection."""

    first: int
    whole: int
    body: bytes
    calls: bool = False
    answered: int = 0
    closed: int = 0


class ModelServer:
    """The handle on the process."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self.url = f"http://127.0.0.1:{pipe.recv()}/v1"

    def plan(self, plan: Plan) -> None:
        """From the next request on."""
        self._ask(plan)

    def asked(self) -> list[Asked]:
        """The requests since the last time, in order, once they are over."""
        return self._ask(None)

    def _ask(self, what: Plan | None) -> Any:
        self._pipe.send(what)
        return self._pipe.recv()


@contextmanager
def model_server() -> Generator[ModelServer]:
    """Starts the process, and ends it."""
    with child(_serve) as pipe:
        yield ModelServer(pipe)


@dataclass
class _State:
    plan: Plan = field(default_factory=Plan)
    asked: list[Asked] = field(default_factory=list)


def _serve(pipe: Connection) -> None:
    state = _State()
    listening = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_accept, args=(listening, state), daemon=True).start()
    pipe.send(listening.getsockname()[1])
    while True:
        plan = pipe.recv()
        if plan is not None:
            state.plan = plan
            pipe.send(None)
            continue
        while not all(asked.answered or asked.closed for asked in state.asked):
            time.sleep(0.0005)
        asked, state.asked = state.asked, []
        pipe.send(asked)


def _accept(listening: socket.socket, state: _State) -> None:
    while True:
        connection, _ = listening.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=_converse, args=(connection, state), daemon=True).start()


def _converse(connection: socket.socket, state: _State) -> None:
    with connection, contextlib.suppress(ConnectionError):
        while data := connection.recv(1 << 16):
            first = time.monotonic_ns()
            head, body = _read_rest(connection, data)
            if b"/chat/completions" not in head:
                connection.sendall(_models())
                continue
            asked = Asked(first, time.monotonic_ns(), body)
            state.asked.append(asked)
            if not _answer(connection, state.plan, asked):
                asked.closed = time.monotonic_ns()
                return
            asked.answered = asked.answered or time.monotonic_ns()


def _read_rest(connection: socket.socket, data: bytes) -> tuple[bytes, bytes]:
    while b"\r\n\r\n" not in data:
        data += connection.recv(1 << 16)
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    missing = (int(lengths[0].split(b":")[1]) if lengths else 0) - len(body)
    parts = [body]
    while missing > 0:
        parts.append(connection.recv(1 << 20))
        missing -= len(parts[-1])
    return head.partition(b"\r\n")[0], b"".join(parts)


def _models() -> bytes:
    body = json.dumps({"object": "list", "data": [{"id": "tiny", "owned_by": "vllm", "max_model_len": WINDOW}]})
    return f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


def _answer(connection: socket.socket, plan: Plan, asked: Asked) -> bool:
    """Whether the client stayed to the end."""
    messages = json.loads(asked.body)["messages"]
    last_said = max(at for at, message in enumerate(messages) if message["role"] == "user")
    done = sum(message["role"] == "tool" for message in messages[last_said:])
    route = "work" if plan.calls else "reply"
    opening = "" if done else json.dumps({"route": route, **_TRIAGE}) + "\n"
    connection.sendall(_HEAD)
    asked.calls = done < len(plan.calls)
    if asked.calls:
        _send(connection, {"content": opening})
        name, arguments = plan.calls[done]
        function = {"name": name, "arguments": json.dumps(arguments)}
        call = {"index": 0, "id": f"call_{asked.first}", "type": "function", "function": function}
        _send(connection, {"tool_calls": [call]}, "tool_calls")
    elif not _stream(connection, plan, opening):
        return False
    elif plan.cut:
        asked.answered = time.monotonic_ns()
        connection.shutdown(socket.SHUT_RDWR)
        return True
    usage = {"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 10}}
    connection.sendall(_chunk(json.dumps(usage)) + _chunk("[DONE]") + b"0\r\n\r\n")
    return True


def _stream(connection: socket.socket, plan: Plan, opening: str) -> bool:
    if opening:
        _send(connection, {"content": opening})
    start = time.monotonic()
    for number in range(plan.tokens):
        wait = start + number / plan.rate - time.monotonic() if plan.rate else 0.0
        if select.select([connection], [], [], max(0.0, wait))[0]:
            return False
        _send(connection, {"content": f" {time.monotonic_ns()}"})
    if not plan.cut:
        _send(connection, {}, "stop")
    return True


def _send(connection: socket.socket, delta: dict[str, Any], finish: str | None = None) -> None:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    connection.sendall(_chunk(json.dumps({"object": "chat.completion.chunk", "choices": [choice]})))


def _chunk(data: str) -> bytes:
    piece = f"data: {data}\n\n".encode()
    return b"%x\r\n%b\r\n" % (len(piece), piece)
