"""A language client of few words: JSON-RPC over a subprocess's stdio, with nothing between a test and the bytes."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

Message = dict[str, Any]
Handler = Callable[[Any], Any]


class ResponseError(Exception):
    """The server answered a request with an error."""

    def __init__(self, error: Message) -> None:
        super().__init__(f"{error['message']} ({error['code']})")
        self.code: int = error["code"]
        self.message: str = error["message"]
        self.data: Any = error.get("data")


class RawClient:
    """Start it with `async with RawClient.started(...) as client`, or `start()` and `kill()`.

    `handlers[method]` answers the server's requests; it may be a coroutine function, and may raise `ResponseError`.
    Requests without a handler are answered with MethodNotFound, as real clients do; with `SILENT` they never are.
    """

    SILENT: Handler = staticmethod(lambda _: None)

    def __init__(self) -> None:
        self.notifications: list[Message] = []
        self.requests: list[Message] = []
        self.responses: list[Message] = []
        self.stderr = ""
        self.junk = b""
        """What came on the protocol's stream and is no frame; reading stops there."""
        self.handlers: dict[str, Handler] = {}
        self._ids = itertools.count(1)
        self._pending: dict[Any, asyncio.Future[Message]] = {}
        self._arrived = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self._reading: asyncio.Task[None] | None = None

    @classmethod
    @asynccontextmanager
    async def started(cls, *command: str, **options: Any):
        """A client of a fresh process, which is killed at the end."""
        client = cls()
        await client.start(*command, **options)
        try:
            yield client
        finally:
            await client.kill()

    async def start(
        self,
        *command: str,
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        reading: bool = True,
    ) -> None:
        """Starts the process; with `reading=False` nothing is read from it until `read()`."""
        self.process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **(env or {})},
            cwd=cwd,
        )
        self._spawn(self._read_stderr())
        if reading:
            self.read()

    def read(self) -> None:
        """Begins to read what the server sends."""
        self._reading = self._spawn(self._read_messages())

    # What goes out.

    def raw(self, data: bytes) -> None:
        """Bytes, as they are."""
        assert self.process.stdin is not None
        self.process.stdin.write(data)

    def send(self, message: Any) -> None:
        """One framed message."""
        body = json.dumps(message).encode()
        self.raw(b"Content-Length: %d\r\n\r\n" % len(body) + body)

    def notify(self, method: str, params: Any = None) -> None:
        """A notification; without `params` when they are None."""
        self.send({"jsonrpc": "2.0", "method": method} | ({} if params is None else {"params": params}))

    def ask(self, method: str, params: Any = None, message_id: Any = None) -> tuple[Any, asyncio.Future[Message]]:
        """A request: its id, and the future of the whole response message."""
        message_id = next(self._ids) if message_id is None else message_id
        future = self.expect(message_id)
        self.send(
            {"jsonrpc": "2.0", "id": message_id, "method": method} | ({} if params is None else {"params": params})
        )
        return message_id, future

    def expect(self, message_id: Any) -> asyncio.Future[Message]:
        """The response to a message that was sent by other means."""
        return self._pending.setdefault(message_id, asyncio.get_running_loop().create_future())

    async def request(self, method: str, params: Any = None, timeout: float = 30) -> Any:
        """A request's result; raises ResponseError."""
        _, future = self.ask(method, params)
        message = await asyncio.wait_for(future, timeout)
        if "error" in message:
            raise ResponseError(message["error"])
        return message["result"]

    async def command(self, name: str, *arguments: Any, timeout: float = 30) -> Any:
        """The result of workspace/executeCommand."""
        return await self.request("workspace/executeCommand", {"command": name, "arguments": list(arguments)}, timeout)

    async def initialize(self, capabilities: Message | None = None, **params: Any) -> Any:
        """`initialize` and `initialized`; the result of the first."""
        everything = {"processId": os.getpid(), "rootUri": None, "capabilities": capabilities or {}, **params}
        result = await self.request("initialize", everything)
        self.notify("initialized", {})
        return result

    # What comes in.

    async def wait_for(self, predicate: Callable[[Message], Any], timeout: float = 30) -> Message:
        """The first notification, from the beginning, that the predicate likes; waits for it to come."""
        return await self._wait(lambda: next((m for m in self.notifications if predicate(m)), None), timeout)

    async def wait_for_method(self, method: str, timeout: float = 30) -> Message:
        """The first notification of this method."""
        return await self.wait_for(lambda message: message["method"] == method, timeout)

    async def wait_for_request(self, method: str, timeout: float = 30) -> Message:
        """The first request of the server with this method."""
        return await self._wait(lambda: next((m for m in self.requests if m["method"] == method), None), timeout)

    async def wait_for_response(self, predicate: Callable[[Message], Any], timeout: float = 30) -> Message:
        """The first response that the predicate likes; for those with ids that nobody asked with."""
        return await self._wait(lambda: next((m for m in self.responses if predicate(m)), None), timeout)

    async def wait_for_stderr(self, text: str, timeout: float = 30) -> str:
        """All that stands on stderr, once it holds the text."""
        return await self._wait(lambda: self.stderr if text in self.stderr else None, timeout)

    def received(self, method: str) -> Sequence[Any]:
        """The params of all notifications of this method so far."""
        return [message.get("params") for message in self.notifications if message["method"] == method]

    # The process.

    async def shut_down(self) -> int:
        """`shutdown`, `exit`, and the exit code."""
        await self.request("shutdown")
        self.notify("exit")
        return await self.exit_code()

    def close_stdin(self) -> None:
        """The end of what the client has to say."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    async def exit_code(self, timeout: float = 30) -> int:
        """Waits for the process to end; what it had sent by then has been read."""
        code = await asyncio.wait_for(self.process.wait(), timeout)
        await self.end_of_output(timeout)
        return code

    async def end_of_output(self, timeout: float = 30) -> None:
        """Waits until nobody holds the other end of the output any more, and all of it has been read."""
        await asyncio.wait_for(asyncio.gather(*self._tasks, return_exceptions=True), timeout)

    async def kill(self) -> None:
        """Ends the process, however it stands."""
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _wait(self, find: Callable[[], Any], timeout: float) -> Any:
        async with asyncio.timeout(timeout), self._arrived:
            while (found := find()) is None:
                await self._arrived.wait()
            return found

    def _spawn(self, work: Any) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _read_messages(self) -> None:
        assert self.process.stdout is not None
        stream = self.process.stdout
        while True:
            try:
                head = await stream.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError as end:
                if end.partial:
                    self.junk = end.partial
                await self._fail_pending()
                return
            name, _, length = head.partition(b":")
            if name != b"Content-Length":
                self.junk = head
                await self._fail_pending()
                return
            message = json.loads(await stream.readexactly(int(length)))
            await self._receive(message)

    async def _fail_pending(self) -> None:
        """Nothing more will be answered."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.process.wait(), 5)
        for future in self._pending.values():
            if not future.done():
                future.set_exception(
                    ConnectionError(f"the server is gone; it wrote {self.junk!r} and said:\n{self.stderr}")
                )
                future.exception()

    async def _receive(self, message: Message) -> None:
        if "method" not in message:
            self.responses.append(message)
            future = self._pending.pop(message["id"], None)
            if future is not None and not future.done():
                future.set_result(message)
        elif "id" in message:
            self.requests.append(message)
            self._spawn(self._answer(message))
        else:
            self.notifications.append(message)
        async with self._arrived:
            self._arrived.notify_all()

    async def _answer(self, message: Message) -> None:
        handler = self.handlers.get(message["method"])
        if handler is RawClient.SILENT:
            return
        answer: Message = {"jsonrpc": "2.0", "id": message["id"]}
        if handler is None:
            self.send({**answer, "error": {"code": -32601, "message": f"no {message['method']} here"}})
            return
        try:
            result = handler(message.get("params"))
            self.send({**answer, "result": await result if isinstance(result, Awaitable) else result})
        except ResponseError as error:
            self.send({**answer, "error": {"code": error.code, "message": error.message}})

    async def _read_stderr(self) -> None:
        assert self.process.stderr is not None
        while chunk := await self.process.stderr.read(1 << 16):
            self.stderr += chunk.decode(errors="replace")
            async with self._arrived:
                self._arrived.notify_all()


def python(*arguments: str) -> list[str]:
    """The command line of this interpreter."""
    return [sys.executable, *arguments]
