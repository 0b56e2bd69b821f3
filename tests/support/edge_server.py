"""A small server on the hardened edge, for the tests of the edge."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from lsprotocol import types

from agentic_server.hardened import ClientError, HardenedServer, current_command

server = HardenedServer("edge", "1")


@server.command("edge.echo")
async def echo(*arguments: Any) -> Any:
    return list(arguments)


@server.command("edge.default")
def default(first: Any, second: str = "default") -> Any:
    return [first, second]


@server.command("edge.wants_server")
async def wants_server(ls: HardenedServer, first: Any = None) -> Any:
    return [ls.name, first]


@server.command("edge.token")
async def token() -> Any:
    command = current_command.get()
    assert command is not None
    return command.work_done_token


@server.command("edge.sleep")
async def sleep(name: str) -> str:
    server.protocol.notify("edge/started", {"name": name})
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        server.protocol.notify("edge/cancelled", {"name": name})
        raise
    return "slept"


@server.command("edge.stubborn")
async def stubborn() -> None:
    """Ignores its cancellation."""
    server.protocol.notify("edge/started", {"name": "stubborn"})
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            server.protocol.notify("edge/ignored", {})


@server.thread()
@server.command("edge.thread")
def thread(seconds: float) -> str:
    server.protocol.notify("edge/started", {"name": threading.current_thread().name})
    time.sleep(seconds)
    return "slept"


@server.command("edge.fail")
async def fail() -> None:
    raise ValueError("a secret place in the code")


@server.command("edge.unserialisable")
async def unserialisable() -> Any:
    return {"set": {1, 2}}


@server.command("edge.print")
def print_everywhere() -> str:
    print("print to stdout")
    os.write(1, b"write to 1\n")
    subprocess.run(["sh", "-c", "echo from a child; cat"], check=True)
    return "printed"


@server.command("edge.progress")
async def progress(name: str) -> int:
    server.work_done_progress.begin(name, types.WorkDoneProgressBegin("work"))
    server.work_done_progress.end(name, types.WorkDoneProgressEnd())
    return len(server.work_done_progress.tokens)


@server.command("edge.futures")
async def futures() -> int:
    await asyncio.sleep(0)
    return len(server.protocol._request_futures)


@server.command("edge.ask")
async def ask(method: str, params: Any, timeout: float) -> Any:
    typed = types.ShowDocumentParams(**params) if method == "window/showDocument" else params
    try:
        return ["answer", await server.request(method, typed, timeout)]
    except TimeoutError:
        return ["timeout"]
    except ClientError as error:
        return ["error", str(error)]


@server.command("edge.create_progress")
async def create_progress(name: str) -> str:
    await server.work_done_progress.create_async(name)
    return "created"


@server.command("edge.document")
async def document(uri: str) -> Any:
    found = server.workspace.text_documents.get(uri)
    return None if found is None else [found.source, found.version, found.language_id]


@server.command("edge.wait_for_change")
async def wait_for_change(uri: str, timeout: float) -> bool:
    server.protocol.notify("edge/waiting", {})
    return await server.documents.wait_for_change(uri, timeout)


@server.command("edge.flood")
async def flood(count: int, size: int) -> int:
    payload = b'"' + b"x" * size + b'"'
    for _ in range(count):
        server.send_raw_notification("edge/flood", payload)
        await server.drain()
    return count


@server.command("edge.threads")
async def threads(count: int, size: int) -> None:
    """Many threads write at once."""

    def write(name: str) -> None:
        for _ in range(count):
            server.protocol.notify("edge/thread", {"text": name * size})

    await asyncio.gather(*(asyncio.to_thread(write, name) for name in "abcdefgh"))


@server.feature("edge/request")
async def custom_request(params: Any) -> Any:
    return {"kind": type(params).__name__, "params": params}


@server.feature("edge/sleep")
async def custom_sleep(params: Any) -> None:
    await sleep(params["name"])


@server.feature("edge/note")
async def custom_note(params: Any) -> None:
    server.protocol.notify("edge/noted", {"params": params})


@server.feature("edge/bad_note")
def bad_note(params: Any) -> None:
    raise ValueError("a notification failed")


def leave_a_sign() -> None:
    if "EDGE_STOPPED" in os.environ:
        Path(os.environ["EDGE_STOPPED"]).write_text("stopped")


async def on_stop() -> None:
    server.protocol.notify("edge/stopping", {})
    leave_a_sign()
    if "EDGE_STUCK" in os.environ:
        await asyncio.sleep(3600)


server.on_stop.append(on_stop)

if __name__ == "__main__":
    if sys.argv[1:]:
        server.serve_tcp(sys.argv[1], int(sys.argv[2]))
    server.serve_stdio()
