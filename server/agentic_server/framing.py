"""Frames on a byte stream: `Content-Length: n`, an empty line, n bytes of JSON.

The protocol has the process's stdin and stdout to itself; reading never waits for handlers, writing never blocks the
event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import stat
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from functools import partial

MAX_BODY = 64 * 1024 * 1024
"""The longest message that is read, in bytes."""
MAX_HEADER = 4096
"""The longest header line, in bytes."""
HIGH_WATER = 1024 * 1024
"""`FrameWriter.drain` waits while more bytes than this are queued."""
MAX_AT_ONCE = 4096
"""The longest frame, in bytes, that is written without the thread: a pipe or socket that is ready takes as much."""
MAX_QUEUED = 256 * 1024 * 1024
"""With more bytes than this queued the client counts as gone: it has stopped reading."""


class FramingError(Exception):
    """The stream is not made of frames any more, and there is no way to find the next one."""


def take_stdio() -> tuple[int, int]:
    """Private descriptors (read, write) of stdin and stdout; 0 becomes /dev/null and 1 becomes stderr.

    So neither `print`, nor a C library, nor a child process can read or write a byte of the protocol.
    """
    reading, writing = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    return reading, writing


async def open_reader(fd: int) -> asyncio.StreamReader:
    """A reader of the descriptor, which it then owns. What the event loop cannot watch is read by a thread."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    mode = os.fstat(fd).st_mode
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(fd):
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(fd, "rb", 0))
    else:
        threading.Thread(target=_pump, args=(fd, reader, loop), name="lsp-reader", daemon=True).start()
    return reader


def _pump(fd: int, reader: asyncio.StreamReader, loop: asyncio.AbstractEventLoop) -> None:
    while chunk := os.read(fd, 1 << 16):
        loop.call_soon_threadsafe(reader.feed_data, chunk)
    loop.call_soon_threadsafe(reader.feed_eof)


async def read_frames(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Each frame's body, until the stream ends; a frame that is cut off by the end is dropped.

    Header names in any case and bare \\n as line ends are understood. Raises FramingError for anything else.
    """
    while True:
        length = await _read_headers(reader)
        if length is None:
            return
        if length > MAX_BODY:
            raise FramingError(f"a message of {length} bytes is longer than the {MAX_BODY} that are read")
        try:
            yield await reader.readexactly(length)
        except asyncio.IncompleteReadError:
            return


async def _read_headers(reader: asyncio.StreamReader) -> int | None:
    """The announced length of the body; None at the end of the stream."""
    length: int | None = None
    any_header = False
    while line := await _read_line(reader):
        if not line.strip():
            if not any_header:
                continue
            if length is None:
                raise FramingError("a header without Content-Length")
            return length
        name, colon, value = line.partition(b":")
        if not colon:
            raise FramingError(f"{line[:40]!r} is not a header line")
        any_header = True
        if name.strip().lower() == b"content-length":
            length = _length_of(value.strip())
    return None


async def _read_line(reader: asyncio.StreamReader) -> bytes:
    try:
        line = await reader.readline()
    except ValueError:
        line = b" " * (MAX_HEADER + 1)
    if len(line) > MAX_HEADER:
        raise FramingError(f"a header line is longer than {MAX_HEADER} bytes")
    return line


def _length_of(value: bytes) -> int:
    if not value.isdigit() or len(value) > 20:
        raise FramingError(f"Content-Length is {value[:40]!r}, not a number of bytes")
    return int(value)


def frame(body: bytes) -> bytes:
    """The body with its header."""
    return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


class FrameWriter:
    """Writes frames whole and in order to a descriptor that it owns.

    `write` may be called from any thread and never blocks: what the client takes at once is written there and then,
    which spares a token the way through another thread; a thread of its own writes the rest. Once the client has gone,
    or has stopped reading, what is written is dropped and `on_broken(reason)` is called once, in the event loop.
    """

    def __init__(self, fd: int, on_broken: Callable[[str], None]) -> None:
        self._fd = fd
        self._on_broken = on_broken
        self._loop = asyncio.get_running_loop()
        self._queue: deque[bytes] = deque()
        self._queued = 0
        self._changed = threading.Condition()
        self._idle = False
        self._closed = False
        self._broken = False
        self._drained: list[asyncio.Future[None]] = []
        self._thread = threading.Thread(target=self._run, name="lsp-writer", daemon=True)
        self._thread.start()

    def write(self, data: bytes) -> None:
        """Writes or queues a whole frame."""
        with self._changed:
            if self._broken or self._closed:
                return
            if self._idle and len(data) <= MAX_AT_ONCE:
                data = data[_write_at_once(self._fd, data) :]
            if not data:
                return
            self._queue.append(data)
            self._queued += len(data)
            if self._idle:
                self._idle = False
                self._changed.notify()
            overflow = self._queued > MAX_QUEUED
        if overflow:
            self._break("it has stopped reading")

    async def drain(self) -> None:
        """Waits until the client has taken most of what is queued; the back-pressure of those who write much."""
        while self._queued > HIGH_WATER and not self._broken:
            waiter = self._loop.create_future()
            with self._changed:
                self._drained.append(waiter)
            await waiter

    def close(self, timeout: float) -> None:
        """Writes what is queued, for at most `timeout` seconds, and takes no more."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(timeout)

    def _run(self) -> None:
        while batch := self._next_batch():
            try:
                _write_all(self._fd, batch)
            except OSError as error:
                self._break(error.strerror or str(error))
            with self._changed:
                self._queued -= len(batch)
                waiters, self._drained = self._drained, []
            if waiters:
                self._in_loop(partial(_release, waiters))

    def _next_batch(self) -> bytes:
        """All that is queued, in one piece; empty when there will be no more."""
        with self._changed:
            while not self._queue and not self._closed and not self._broken:
                self._idle = True
                self._changed.wait()
            self._idle = False
            batch = b"" if self._broken else b"".join(self._queue)
            self._queue.clear()
            return batch

    def _break(self, reason: str) -> None:
        with self._changed:
            if self._broken:
                return
            self._broken = True
            self._queue.clear()
            waiters, self._drained = self._drained, []
            self._changed.notify()
        self._in_loop(partial(_release, waiters))
        self._in_loop(partial(self._on_broken, reason))

    def _in_loop(self, function: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # The loop has been closed: nobody is left to be told.
            self._loop.call_soon_threadsafe(function)


def _release(waiters: list[asyncio.Future[None]]) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)


def _write_at_once(fd: int, data: bytes) -> int:
    """How many bytes could be written without waiting. Errors are left to the thread, which meets them again."""
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    try:
        return os.write(fd, data) if poll.poll(0) == [(fd, select.POLLOUT)] else 0
    except OSError:
        return 0


def _write_all(fd: int, data: bytes) -> None:
    """Writes it all, also where stdin and stdout are one descriptor, which the reader has made non-blocking."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            poll = select.poll()
            poll.register(fd, select.POLLOUT)
            poll.poll()
