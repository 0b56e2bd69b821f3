"""Model servers that die, come back and hang, as real processes, behind the real daemon: no work is lost."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from support.daemon import HANG, Daemon, Model, Turn, started
from support.model_server import Answer, Json, ModelServer, Reply, status
from support.runs import reply

HERE = Path(__file__).parent
ALLOW = {"option": "allow_once"}
OPTIONS = {"mode": "auto", "retries": 1}
"""One wait, of two seconds."""


class ServerProcess:
    """`scripted_model.py` on a port of its own, which it keeps when it is started again."""

    def __init__(self) -> None:
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def start(self) -> None:
        command = [sys.executable, str(HERE / "scripted_model.py"), str(self.port)]
        self.process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        assert self.process.stdout is not None
        self.port = int(await self.process.stdout.readline())

    async def kill(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()


@asynccontextmanager
async def two_servers() -> AsyncIterator[tuple[ServerProcess, ServerProcess]]:
    async with AsyncExitStack() as stack:
        one, two = ServerProcess(), ServerProcess()
        for server in (one, two):
            await server.start()
            stack.push_async_callback(server.kill)
        yield one, two


@asynccontextmanager
async def daemon_of(
    folder: Path, servers: Sequence[ServerProcess | ModelServer], **endpoint: Any
) -> AsyncIterator[Daemon]:
    endpoints = [{"url": server.url, **endpoint} for server in servers]
    async with started(folder, "", options={**OPTIONS, "endpoints": endpoints}) as daemon:
        daemon.handlers["agentic/ask"] = lambda _: ALLOW
        daemon.file("counted.txt", "mark\n")
        yield daemon


@asynccontextmanager
async def one_server(
    folder: Path, answer: Answer | Callable[[Json], Answer], **endpoint: Any
) -> AsyncIterator[tuple[Daemon, Model]]:
    model = Model()
    model.play_by(answer if callable(answer) else lambda _: answer)
    async with model.server, daemon_of(folder, [model.server], **endpoint) as daemon:
        yield daemon, model


async def speaking(turn: Turn, attempt: int, servers: Sequence[ServerProcess]) -> ServerProcess:
    """The server of the n-th attempt, once it has said something and has more to say."""
    begun = await turn.wait("modelStarted", attempt)
    await turn.daemon.until(lambda: [e for e in turn.of("textDelta") if e["seq"] > begun["seq"]] or None)
    return next(server for server in servers if server.url == begun["endpoint"])


def check_done_once(daemon: Daemon) -> None:
    assert (daemon.workspace / "counted.txt").read_text() == "mark+\n"
    assert (daemon.workspace / "ran.txt").read_text() == "ran\n"


def shown(turn: Turn) -> list[str]:
    """The texts that stand in front of the user."""
    texts: dict[str, str] = {}
    for event in turn.events:
        if event["kind"] == "textDelta":
            texts[event["item"]] = texts.get(event["item"], "") + event["text"]
        elif event["kind"] == "itemWithdrawn":
            texts.pop(event["item"], None)
    return list(texts.values())


async def logged(daemon: Daemon, session: str) -> list[str]:
    """The texts of the model in the log, without the line of the classification."""
    transcript = await daemon.command("agentic.transcript", {"sessionId": session})
    texts = [message["content"] for message in transcript["messages"] if message["role"] == "assistant"]
    return [text.split("\n", 1)[1] if text.startswith("{") else text for text in texts]


async def test_servers_killed_again_and_again_cost_nothing_while_one_lives(tmp_path: Path) -> None:
    async with two_servers() as servers, daemon_of(tmp_path, servers) as daemon:
        turn = await daemon.run("Work.")
        for attempt in (1, 2, 3):
            victim = await speaking(turn, attempt, servers)
            await victim.kill()
            await turn.wait("failover", attempt)
            await victim.start()
        assert (await turn.finished())["stopReason"] == "end_turn"
        check_done_once(daemon)
        assert shown(turn) == await logged(daemon, turn.session)
        assert turn.of("itemWithdrawn")


async def test_when_all_servers_are_dead_the_turn_fails_and_can_be_resumed(tmp_path: Path) -> None:
    async with two_servers() as servers, daemon_of(tmp_path, servers) as daemon:
        turn = await daemon.run("Work.")
        await turn.wait("toolFinished")
        for server in servers:
            await server.kill()
        assert (await turn.finished())["stopReason"] == "error"
        [error] = turn.of("errorRaised")
        assert error["code"] in ("endpoint_unreachable", "stream_broken")
        assert error["hint"].endswith("Then resume the session: nothing that was done is lost.")
        [info] = (await daemon.command("agentic.sessions", {}))["sessions"]
        assert info["state"] == "failed"
        await servers[1].start()
        resumed = Turn(daemon, await daemon.command("agentic.resume", {"sessionId": turn.session}))
        assert (await resumed.finished())["stopReason"] == "end_turn"
        check_done_once(daemon)


async def test_cancelling_ends_the_wait_for_the_next_attempt(tmp_path: Path) -> None:
    async with one_server(tmp_path, status(503, "busy")) as (daemon, model):
        turn = await daemon.run("hello")
        assert (await turn.wait("failover"))["wait"] > 1
        assert (await turn.cancel())["stopReason"] == "cancelled"
        assert len(model.requests) == 1


async def test_cancelling_ends_the_wait_for_a_place_and_the_request_that_has_it(tmp_path: Path) -> None:
    async with one_server(tmp_path, HANG, maxRequests=1) as (daemon, model):
        first = await daemon.run("one")
        await model.server.request_seen.wait()
        second = await daemon.run("two")
        assert (await second.wait("modelNotice"))["code"] == "waiting"
        assert (await second.cancel())["stopReason"] == "cancelled"
        assert len(model.requests) == 1
        third = await daemon.run("three")
        await third.wait("modelNotice")
        assert (await first.cancel())["stopReason"] == "cancelled"
        await model.server.client_closed.wait()
        await third.wait("modelStarted")
        assert (await third.cancel())["stopReason"] == "cancelled"


async def test_an_answer_that_does_not_fit_beside_the_prompt_is_asked_to_be_shorter(tmp_path: Path) -> None:
    words = (
        "This model's maximum context length is 4096 tokens. However, you requested {} output tokens and your prompt"
    )
    words += " contains at least {} input tokens, for a total of at least 4097 tokens."

    def answer(request: Json) -> Answer:
        limit = request["max_tokens"]
        if 3000 + limit > 4096:
            return status(400, {"error": {"message": words.format(limit, 4097 - limit)}})
        return Reply(reply("It fits."))

    async with one_server(tmp_path, answer) as (daemon, model):
        turn = await daemon.run("hello")
        assert (await turn.finished())["summary"] == "It fits."
        assert turn.of("modelNotice")[0]["code"] == "window_corrected"
        assert len(model.requests) == 2
