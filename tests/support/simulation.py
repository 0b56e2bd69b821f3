"""A network and a clock that exist only in memory.

    answer = simulate(scenario())          # runs the coroutine on a loop of its own

Servers and clients of asyncio talk to each other as ever, but their bytes go from one end's buffer to the other's, and
when everybody waits, the clock jumps to the next deadline. A wait of two minutes costs nothing, the order of events is
the same in every run, and a program that waits for something that cannot happen any more is told so at once.
"""

from __future__ import annotations

import asyncio
import selectors
import socket
from collections import deque
from collections.abc import Callable, Coroutine
from itertools import count
from typing import Any, TypeVar

T = TypeVar("T")
Factory = Callable[[], asyncio.BaseProtocol]


def simulate(scenario: Coroutine[Any, Any, T]) -> T:
    """The result of the scenario. :raises Stuck: it waits, and neither a deadline nor a byte is to come."""
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        return runner.run(scenario)


class Stuck(BaseException):
    """All tasks wait for ever; no `except Exception` shall hide it."""


class SimulatedLoop(asyncio.SelectorEventLoop):
    """Its time begins at 0 and is in seconds. What is given to an executor runs at once, in the loop's thread."""

    def __init__(self) -> None:
        self._clock = _Clock()
        super().__init__(self._clock)
        self._listening: dict[int, Factory] = {}
        self._ports = count(1)
        self.open_ends: set[_End] = set()
        """The ends of connections that have not been closed."""

    def time(self) -> float:
        return self._clock.now

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        return self.create_task(_call(func, *args))

    async def create_server(self, protocol_factory: Factory, _: Any = None, port: int = 0, **__: Any) -> Any:
        port = port or next(self._ports)
        self._listening[port] = protocol_factory
        return _Listener(port, self._listening)

    async def create_connection(
        self, protocol_factory: Factory, host: Any = None, port: Any = None, **_: Any
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        if port not in self._listening:
            raise ConnectionRefusedError(111, f"nothing listens at {host}:{port}")
        ours, theirs = socket.socketpair()
        client, server = _End(self, protocol_factory(), ours), _End(self, self._listening[port](), theirs)
        client.peer, server.peer = server, client
        server.protocol.connection_made(server)
        client.protocol.connection_made(client)
        return client, client.protocol


async def _call(func: Callable[..., T], *args: Any) -> T:
    return func(*args)


class _Clock(selectors.DefaultSelector):
    """Lets time pass when nothing is ready."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if ready := super().select(0):
            return ready
        if timeout is None:
            raise Stuck("every task waits for something that cannot happen")
        self.now += timeout
        return []


class _Listener:
    """What `create_server` returns, as far as it is used."""

    def __init__(self, port: int, listening: dict[int, Factory]) -> None:
        self.sockets = [self]
        self._port = port
        self._listening = listening

    def getsockname(self) -> tuple[str, int]:
        return "127.0.0.1", self._port

    def close(self) -> None:
        self._listening.pop(self._port, None)


class _End(asyncio.Transport):
    """One end of a connection. The socket carries no data; it is readable when the other end is gone."""

    peer: _End

    def __init__(self, loop: SimulatedLoop, protocol: asyncio.BaseProtocol, marker: socket.socket) -> None:
        super().__init__({"socket": marker, "peername": ("127.0.0.1", 0), "sockname": ("127.0.0.1", 0)})
        self.protocol: Any = protocol
        self._loop = loop
        self._marker = marker
        self._coming: deque[bytes | None] = deque()
        """Bytes on their way to this end; None is their end."""
        self._paused = False
        self._closing = False
        self._lost = False
        loop.open_ends.add(self)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self.protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._closing or not data:
            return
        if self.peer._lost:
            self._lose(BrokenPipeError(32, "the other end is closed"))
        else:
            self.peer._receive(bytes(data))

    def close(self) -> None:
        if not self._closing:
            self._lose(None)
            self.peer._receive(None)

    def abort(self) -> None:
        """As if the machine had been switched off and on: the other end is told of a reset."""
        if not self._closing:
            self._lose(None)
            self.peer._lose(ConnectionResetError(104, "connection reset by peer"))

    def is_closing(self) -> bool:
        return self._closing

    def is_reading(self) -> bool:
        return not self._paused

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        if self._paused:
            self._paused = False
            self._loop.call_soon(self._deliver)

    def can_write_eof(self) -> bool:
        return False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        return None

    def get_write_buffer_size(self) -> int:
        return 0

    def _receive(self, data: bytes | None) -> None:
        self._coming.append(data)
        self._loop.call_soon(self._deliver)

    def _deliver(self) -> None:
        """Hand over one piece; each was announced by one call."""
        if self._paused or self._closing or not self._coming:
            return
        data = self._coming.popleft()
        if data is not None:
            self.protocol.data_received(data)
        elif not self.protocol.eof_received():
            self.close()
        if self._coming:
            self._loop.call_soon(self._deliver)

    def _lose(self, error: Exception | None) -> None:
        if self._lost:
            return
        self._closing = self._lost = True
        self._marker.close()
        self._loop.open_ends.discard(self)
        self._loop.call_soon(self.protocol.connection_lost, error)
