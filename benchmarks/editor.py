"""A lean editor: blocking reads, one stamp a read, and no look at a message that nobody needs."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import msgspec

SERVE = [sys.executable, "-m", "agentic_server", "serve"]
EVENT = b'{"jsonrpc":"2.0","method":"agentic/event"'
FINISHED = b'"kind":"turnFinished"'


class Editor:
    """A server process and what it said. Times are nanoseconds of the machine's monotonic clock."""

    def __init__(self, command: Sequence[str], root: Path, errors: IO[bytes] | int = subprocess.DEVNULL) -> None:
        self.root = root
        self.events: list[tuple[int, bytes]] = []
        """The raw `agentic/event` notifications, each with the time when it was read."""
        self.bytes_read = 0
        self.started = time.monotonic_ns()
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, bufsize=0
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._in, self._out = self.process.stdin.fileno(), self.process.stdout.fileno()
        self._buffer = b""
        self._id = 0
        self._answers: dict[int, tuple[int, Any]] = {}

    def initialize(self, **experimental: Any) -> int:
        """The handshake; when `initialize` was answered."""
        params = {
            "processId": os.getpid(),
            "rootUri": self.root.as_uri(),
            "capabilities": {"experimental": experimental},
        }
        at, _ = self.wait_for_answer(self.ask("initialize", params))
        self.send({"method": "initialized", "params": {}})
        return at

    def command(self, name: str, argument: dict[str, Any]) -> Any:
        """A command's result."""
        return self.wait_for_answer(self.ask_command(name, argument))[1]

    def ask_command(self, name: str, argument: dict[str, Any]) -> int:
        return self.ask("workspace/executeCommand", {"command": name, "arguments": [argument]})

    def ask(self, method: str, params: Any) -> int:
        """Sends a request; its id."""
        self._id += 1
        self.send({"id": self._id, "method": method, "params": params})
        return self._id

    def send(self, message: dict[str, Any]) -> None:
        body = msgspec.json.encode({"jsonrpc": "2.0", **message})
        os.write(self._in, b"Content-Length: %d\r\n\r\n%b" % (len(body), body))

    def wait_for_answer(self, request: int) -> tuple[int, Any]:
        """When it came, and the result."""
        while request not in self._answers:
            self._read()
        return self._answers.pop(request)

    def wait_for_event(self, mark: bytes) -> int:
        """When the first event that holds `mark`, of those not yet looked at, came."""
        seen = 0
        while True:
            for at, body in self.events[seen:]:
                if mark in body:
                    return at
            seen = len(self.events)
            self._read()

    def run_turn(self, task: str, session: str | None = None) -> list[tuple[int, bytes]]:
        """All events of a turn."""
        self.events.clear()
        self.command("agentic.runTask", {"task": task, **({"sessionId": session} if session else {})})
        self.wait_for_event(FINISHED)
        return list(self.events)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()

    def _read(self) -> None:
        data = os.read(self._out, 1 << 16)
        at = time.monotonic_ns()
        if not data:
            raise ConnectionError("the server is gone")
        self.bytes_read += len(data)
        self._buffer += data
        while True:
            head, separator, rest = self._buffer.partition(b"\r\n\r\n")
            length = _length(head) if separator else 0
            if not separator or len(rest) < length:
                return
            self._buffer = rest[length:]
            self._take(at, rest[:length])

    def _take(self, at: int, body: bytes) -> None:
        if body.startswith(EVENT):
            self.events.append((at, body))
            return
        message = msgspec.json.decode(body)
        if "method" not in message:
            if "error" in message:
                raise RuntimeError(message["error"]["message"])
            self._answers[message["id"]] = at, message["result"]
        elif "id" in message:
            allowed = message["method"] == "agentic/ask"
            self.send({"id": message["id"], "result": {"option": "allow_once"} if allowed else None})


def _length(head: bytes) -> int:
    line = next(line for line in head.split(b"\r\n") if line.startswith(b"Content-Length:"))
    return int(line.partition(b":")[2])


@contextmanager
def folder() -> Generator[Path]:
    """A fresh folder."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        yield Path(name).resolve()


@contextmanager
def daemon(url: str, root: Path, *flags: str) -> Generator[Editor]:
    """The daemon with an editor that takes events and answers questions with yes. Its workspace is `root`/work."""
    work = root / "work"
    work.mkdir(exist_ok=True)
    editor = Editor([*SERVE, "--base-url", url, "--state-dir", str(root / "state"), *flags], work)
    try:
        editor.initialize(agentic={"events": True, "ask": True})
        yield editor
    finally:
        editor.close()
