"""The language server that the daemon is built on: pygls with its edges mended, and a life with a certain end.

Whatever ends it (`exit`, the end of stdin, a signal, a broken pipe, the client's death, broken framing), `on_stop`
runs, what is queued is written, and the process is gone: no thread and no handler can keep it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, NoReturn, cast

from pygls.lsp.server import LanguageServer

from agentic_server.client_profile import ClientProfile
from agentic_server.documents import Documents
from agentic_server.framing import FrameWriter, FramingError, frame, open_reader, read_frames, take_stdio
from agentic_server.hardened_protocol import HardenedProtocol, current_command
from agentic_server.json_rpc import ClientError, plain_converter

__all__ = ["ClientError", "HardenedServer", "current_command"]

log = logging.getLogger(__name__)

STOP_SECONDS = 2.0
"""How long the hooks in `on_stop` may take, all together."""
SHUTDOWN_SECONDS = 0.5
"""How long the answer to `shutdown` waits for them: some clients kill the server soon after."""
CANCEL_SECONDS = 1.0
FLUSH_SECONDS = 1.0
PARENT_POLL_SECONDS = 2.0


class HardenedServer(LanguageServer):
    """Register commands and features on it as on any pygls server; then `serve_stdio()`.

    A command gets its arguments as plain JSON values. `current_command` tells it the rest of its params.
    """

    def __init__(self, name: str, version: str) -> None:
        super().__init__(name, version, protocol_cls=HardenedProtocol, converter_factory=plain_converter)
        logging.getLogger("pygls").setLevel(logging.WARNING)  # At INFO it logs each message, prompts and keys included.
        self.on_stop: list[Callable[[], Awaitable[None]]] = []
        """Run together, once, before the process ends; for at most `STOP_SECONDS`."""
        self._exit_code: int | None = None
        self._stopped = asyncio.Event()
        self._stopping: asyncio.Task[None] | None = None
        self._heads: dict[str, bytes] = {}
        self._protocol.lifecycle = self

    @property
    def profile(self) -> ClientProfile:
        """What the client does; the defaults before `initialize`."""
        return self._protocol.profile

    @property
    def documents(self) -> Documents:
        """The open documents; RuntimeError before `initialize`."""
        return cast(Documents, self.workspace)

    async def request(self, method: str, params: Any, timeout: float | None) -> Any:
        """Asks the client and waits for at most `timeout` seconds; None waits as long as a person takes.

        Params and result are the protocol's types for its methods and plain JSON for ours.
        :raises TimeoutError: no answer; the client is told that none is needed any more
        :raises ClientError: an error for an answer, or an answer that does not fit
        """
        return await self._protocol.request(method, params, timeout)

    def send_raw_notification(self, method: str, params_json: bytes) -> None:
        """Sends a notification whose params are JSON already, without looking at them. From any thread."""
        head = self._heads.get(method)
        if head is None:
            head = self._heads[method] = b'{"jsonrpc":"2.0","method":"%b","params":' % method.encode()
        if self._protocol.output is not None:
            self._protocol.output.write(frame(b"%b%b}" % (head, params_json)))

    async def drain(self) -> None:
        """Waits until the client has taken most of what was sent; for those who send much."""
        if self._protocol.output is not None:
            await self._protocol.output.drain()

    def stop(self, code: int) -> None:
        """Ends the process with this exit code, soon. The first reason to stop decides the code."""
        if self._exit_code is None:
            self._exit_code = code
        self._stopped.set()

    def serve_stdio(self) -> NoReturn:
        """Serves the client on stdin and stdout, and ends the process."""
        reading, writing = take_stdio()
        self._serve(partial(self._run_stdio, reading, writing))

    def serve_tcp(self, host: str, port: int) -> NoReturn:
        """Serves one client on a loopback address, for debugging, and ends the process; ValueError for other addresses.

        The address is printed on stderr; port 0 takes a free one.
        """
        _require_loopback(host, port)
        self._serve(partial(self._run_tcp, host, port))

    def report_server_error(self, error: Exception, source: object) -> None:
        """Errors go to the log; popping up messages over the user's text mends nothing."""
        log.error("%s", error, exc_info=error)

    def on_initialize(self, client_process: int | None) -> None:
        """Watches the client's process from here on; one that cannot be seen from here lives in another container."""
        if client_process is not None and _is_alive(client_process):
            self._watch(client_process)

    async def on_shutdown(self) -> None:
        """Runs the hooks; waits for them for a short while only."""
        await asyncio.wait([self._stop_once()], timeout=SHUTDOWN_SECONDS)

    def on_exit(self, code: int) -> None:
        """The client's wish to end the process."""
        self.stop(code)

    @property
    def _protocol(self) -> HardenedProtocol:
        return cast(HardenedProtocol, self.protocol)

    def _serve(self, run: Callable[[], Awaitable[None]]) -> NoReturn:
        try:
            asyncio.run(self._live(run))
        finally:  # Never wait for threads, and never for what ignores its cancellation.
            _leave(1 if self._exit_code is None else self._exit_code)

    async def _live(self, run: Callable[[], Awaitable[None]]) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self._on_signal, 128 + number)
        serving = asyncio.ensure_future(run())
        stopped = loop.create_task(self._stopped.wait())
        await asyncio.wait({serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done() and (error := serving.exception()) is not None:
            log.critical("agentic: cannot serve the client: %s", error, exc_info=error)
            self.stop(1)
        await asyncio.wait([self._stop_once()], timeout=STOP_SECONDS)
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=CANCEL_SECONDS)
        if self._protocol.output is not None:
            self._protocol.output.close(FLUSH_SECONDS)
        _leave(0 if self._exit_code is None else self._exit_code)

    def _on_signal(self, code: int) -> None:
        if self._stopped.is_set():
            _leave(code)
        self.stop(code)

    async def _run_stdio(self, reading: int, writing: int) -> None:
        self._protocol.output = FrameWriter(writing, self._on_broken)
        await self._read(await open_reader(reading))

    async def _run_tcp(self, host: str, port: int) -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server((host, port)) as listening:
            listening.setblocking(False)
            address, bound_port = listening.getsockname()[:2]
            sys.stderr.write(f"agentic: listening on {address}:{bound_port}\n")
            sys.stderr.flush()
            connection, _ = await loop.sock_accept(listening)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._protocol.output = FrameWriter(os.dup(connection.fileno()), self._on_broken)
        reader, _ = await asyncio.open_connection(sock=connection)
        await self._read(reader)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        """Feeds the protocol until the stream ends or is no stream of messages any more."""
        try:
            async for body in read_frames(reader):
                self._protocol.feed(body)
        except FramingError as error:
            log.error("agentic: cannot read the client's messages any more and stops: %s", error)
            self.stop(1)
        except OSError as error:
            log.warning("the connection to the client broke: %s", error)
        self.stop(0)

    def _on_broken(self, reason: str) -> None:
        log.warning("the client takes no more messages: %s", reason)
        self.stop(1)

    def _stop_once(self) -> asyncio.Task[None]:
        if self._stopping is None:
            self._stopping = asyncio.get_running_loop().create_task(self._run_hooks())
        return self._stopping

    async def _run_hooks(self) -> None:
        results = await asyncio.gather(*(hook() for hook in self.on_stop), return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                log.error("ending failed", exc_info=result)

    def _watch(self, process: int) -> None:
        """Stops when the process is gone, looking every few seconds."""
        if _is_alive(process):
            asyncio.get_running_loop().call_later(PARENT_POLL_SECONDS, self._watch, process)
        else:
            log.warning("the client's process %d is gone", process)
            self.stop(1)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _require_loopback(host: str, port: int) -> None:
    from ipaddress import ip_address

    addresses = {str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    if not all(ip_address(address).is_loopback for address in addresses):
        raise ValueError(f"{host} is not a loopback address: whoever can connect can run commands as you")


def _leave(code: int) -> NoReturn:
    sys.stderr.flush()
    os._exit(code)
