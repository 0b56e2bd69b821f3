"""Running commands. The processes belong to the warden; here are its client and the streams.

Whatever a command leaves in the background ends with it, also what has left its session or closed its streams.
"""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Literal

from agentic.disk import warden
from agentic.disk.environment import child_environment
from agentic.disk.journal import to_its_end
from agentic.errors import Refusal
from agentic.ports.workspace import Exit, Output
from agentic.safety.paths import Roots
from agentic.safety.shell_gate import is_read_only

_CHUNK = 65_536
_WAITING_CHUNKS = 8
"""How much output waits for a slow reader before the command is made to wait: this many chunks."""
_LAST_WORDS_SECONDS = 1.0
"""How long the streams may stay open once a command was to be killed."""

_SHELL = "/bin/bash" if Path("/bin/bash").exists() else "/bin/sh"

Stream = Literal["stdout", "stderr"]


class Commands:
    """The running commands of one workspace; the warden is started with the first.

    `environment` is added to what they get to see, but for those that only read.
    """

    def __init__(self, roots: Roots, environment: Mapping[str, str] | None = None) -> None:
        self._environment = environment or {}
        self._folders = [folder for _, folder in roots.folders]
        self._running: set[_Child] = set()
        self._warden: tuple[socket.socket, subprocess.Popen[bytes]] | None = None
        self._starting = asyncio.Lock()

    @property
    def running(self) -> list[str]:
        """The texts of the commands that run now."""
        return [child.text for child in self._running]

    async def run(self, text: str, cwd: Path, seconds: float) -> AsyncGenerator[Output | Exit | Refusal]:
        """Run a shell command; `Exit` comes last, when all that it started is dead, or a single `Refusal`.

        Closing the generator or cancelling its task kills at once and returns when all are dead.
        """
        child = await self._start(text, cwd)
        if isinstance(child, Refusal):
            yield child
            return
        limit = asyncio.get_running_loop().call_later(seconds, child.expire)
        self._running.add(child)
        try:
            async for piece in child.output():
                yield piece
            yield Exit(await child.code(), child.expired)
        finally:
            limit.cancel()
            child.kill()
            self._running.discard(child)
            await to_its_end(child.close())

    async def kill_all(self) -> None:
        """Kill every command and all it started, and end the warden. The next command starts a new one."""
        for child in self._running:
            child.kill()
        if self._warden is not None:
            requests, process = self._warden
            self._warden = None
            requests.close()
            await asyncio.to_thread(process.wait)

    async def _start(self, text: str, cwd: Path) -> _Child | Refusal:
        if not hasattr(socket, "send_fds"):
            return Refusal("denied", "Commands cannot be run on this system.", "Do without, or run the daemon in WSL.")
        careful = is_read_only(text)
        environment = child_environment(os.environ, self._folders if careful else [])
        environment |= {} if careful else self._environment
        request = {"argv": [_SHELL, "-c", text], "cwd": str(cwd), "env": environment}
        try:
            payload = json.dumps(request).encode() + b"\n"
            _check_text(text)
            return await self._hand_over(text, payload)
        except ValueError:
            return Refusal("bad_arguments", "The command holds a NUL or half a character.", "Write it without.")
        except OSError as error:
            return Refusal("io_error", f"The command cannot be started: {error.strerror}.", "Try again.")

    async def _hand_over(self, text: str, payload: bytes) -> _Child:
        """Give the command to the warden, a new one if the last was killed."""
        ours, control = socket.socketpair()
        pipes = [os.pipe(), os.pipe()]
        theirs = [control.fileno(), pipes[0][1], pipes[1][1]]
        try:
            requests = await self._ready_warden()
            socket.send_fds(requests, [b"c"], theirs)
        except BaseException:
            ours.close()
            for reader, _ in pipes:
                os.close(reader)
            raise
        finally:
            control.close()
            for _, writer in pipes:
                os.close(writer)
        ours.setblocking(False)
        child = _Child(text, ours)
        try:
            await child.open(payload, pipes[0][0], pipes[1][0])
        except BaseException:
            child.kill()
            await to_its_end(child.close())
            raise
        return child

    async def _ready_warden(self) -> socket.socket:
        async with self._starting:
            if self._warden is not None and self._warden[1].poll() is not None:
                self._warden[0].close()
                self._warden = None
            if self._warden is None:
                self._warden = await to_its_end(asyncio.to_thread(_start_warden))
            return self._warden[0]


class _Child:
    """One command: its control socket, on which closing means killing, and its two streams."""

    def __init__(self, text: str, control: socket.socket) -> None:
        self.text = text
        self.expired = False
        self._control = control
        self._loop = asyncio.get_running_loop()
        self._pieces: asyncio.Queue[Output | None] = asyncio.Queue(_WAITING_CHUNKS)
        self._transports: list[asyncio.ReadTransport] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._answer: asyncio.Task[bytes] | None = None

    async def open(self, payload: bytes, out: int, err: int) -> None:
        """Connect the streams and send the request."""
        streams: tuple[tuple[Stream, int], ...] = (("stdout", out), ("stderr", err))
        for name, descriptor in streams:
            reader = asyncio.StreamReader(limit=_CHUNK)
            protocol = asyncio.StreamReaderProtocol(reader)
            transport, _ = await self._loop.connect_read_pipe(lambda p=protocol: p, os.fdopen(descriptor, "rb", 0))
            self._transports.append(transport)
            self._tasks.append(asyncio.create_task(self._pump(name, reader)))
        await self._loop.sock_sendall(self._control, payload)
        self._answer = asyncio.create_task(self._read_answer())

    async def output(self) -> AsyncGenerator[Output]:
        """What both streams print, until both are closed."""
        for _ in self._tasks:
            while (piece := await self._pieces.get()) is not None:
                yield piece

    async def code(self) -> int:
        """The exit code, once all is dead; that of a kill where the keeper was killed itself."""
        answer = await self._answer if self._answer else b""
        return int(json.loads(answer)["code"]) if answer else -9

    def expire(self) -> None:
        """The time is up."""
        self.expired = self._answer is not None and not self._answer.done()
        self.kill()
        self._loop.call_later(_LAST_WORDS_SECONDS, self._close_streams)

    def kill(self) -> None:
        """Have the command and all it started killed; returns at once."""
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_WR)

    async def close(self) -> None:
        """Wait until all are dead, and let go of everything."""
        for task in self._tasks:
            task.cancel()
        self._close_streams()
        await asyncio.gather(*self._tasks, *([self._answer] if self._answer else []), return_exceptions=True)
        self._control.close()

    async def _pump(self, name: Stream, reader: asyncio.StreamReader) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        while data := await reader.read(_CHUNK):
            if text := decoder.decode(data):
                await self._pieces.put(Output(name, text))
        if text := decoder.decode(b"", final=True):
            await self._pieces.put(Output(name, text))
        await self._pieces.put(None)

    async def _read_answer(self) -> bytes:
        answer = b""
        with contextlib.suppress(ConnectionError):
            while data := await self._loop.sock_recv(self._control, 4096):
                answer += data
        return answer

    def _close_streams(self) -> None:
        for transport in self._transports:
            transport.close()


def _check_text(text: str) -> None:
    """:raises ValueError: for what no process can be given."""
    text.encode()
    if "\0" in text:
        raise ValueError("a command with a NUL")


def _start_warden() -> tuple[socket.socket, subprocess.Popen[bytes]]:
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-ISEXutf8", warden.__file__, str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(),),
            start_new_session=True,
            env=child_environment(os.environ),
        )
    return ours, process
