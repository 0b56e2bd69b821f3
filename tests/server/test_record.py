"""The recording proxy changes no byte between client and server, and what it records can be replayed."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from support.model_server import ModelServer, Reply

from agentic_server import cassette
from agentic_server.cassette import Exchange
from agentic_server.plain_http import LoopbackServer, Request, answer_head
from agentic_server.record import Upstream, record, recorder
from agentic_server.replay import ReplayServer

TASK = {"role": "user", "content": "Light the lamp."}
RESPONSE = {
    "content": "Lit — at last.",
    "reasoning": "It is dark.",
    "tool_calls": [{"name": "light", "arguments": '{"lamp":  1}'}, {"name": "wait", "arguments": "{}"}],
}
USAGE = {"prompt_tokens": 4, "completion_tokens": 5, "total_tokens": 9}


def body(stream: bool) -> dict[str, Any]:
    more = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    return {"model": "lamp-7b", "messages": [TASK], **more}


async def complete(url: str, stream: bool, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.post(f"{url}/chat/completions", json=body(stream), headers=headers)


@pytest.fixture
def tape(tmp_path: Path) -> Path:
    path = tmp_path / "tape.jsonl"
    cassette.append(path, Exchange({"model": "lamp-7b", "messages": [TASK]}, {**RESPONSE, "usage": USAGE}))
    return path


@pytest.mark.parametrize("stream", [True, False])
async def test_what_is_recorded_replays_the_same(tape: Path, tmp_path: Path, stream: bool) -> None:
    copy = tmp_path / "copy.jsonl"
    async with ReplayServer(tape, pause=0) as server, recorder(Upstream(server.url), copy) as url:
        answer = await complete(url, stream)
    assert answer.status_code == 200
    [exchange] = cassette.load(copy)
    assert exchange.request == body(stream)
    assert exchange.response == {**RESPONSE, "usage": USAGE}
    async with ReplayServer(copy, pause=0) as server:
        again = await complete(server.url, stream)
    assert _without_time(again) == _without_time(answer)


async def test_other_requests_pass_through_and_are_not_recorded(tape: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.jsonl"
    async with (
        ReplayServer(tape) as server,
        recorder(Upstream(server.url.removesuffix("/v1")), copy) as url,
        httpx.AsyncClient(trust_env=False) as client,
    ):
        direct = await client.get(f"{server.url}/models")
        passed = await client.get(f"{url}/models")
        health = await client.get(f"{url.removesuffix('/v1')}/health")
        refused = await client.post(f"{url}/chat/completions", json={"messages": [{"role": "user", "content": "?"}]})
    assert passed.content == direct.content
    assert (health.status_code, refused.status_code) == (200, 409)
    assert not copy.exists()


async def test_every_byte_and_the_key_arrive_as_they_should(tmp_path: Path) -> None:
    raw = answer_head(200, "text/event-stream", "X-Odd:  yes") + (
        b': comment\r\n\r\ndata: {"choices": [{"delta": {"content": "hi"}, "finish_reason": "length"}]}\n\n'
        b"data: [DONE]\n\n"
    )
    async with upstream_that_says(raw) as (url, seen):
        async with recorder(Upstream(f"{url}/v1", key="real"), tmp_path / "tape.jsonl") as recording:
            got = await raw_post(recording)
        assert got == raw
    [request] = seen
    assert (request.path, request.headers["authorization"]) == ("/v1/chat/completions", "Bearer real")
    assert request.body == b'{"messages": [{"role": "user", "content": "x"}]}'
    recorded = (tmp_path / "tape.jsonl").read_text(encoding="utf-8")
    assert '"finish_reason": "length"' in recorded
    assert "real" not in recorded


async def test_an_answer_that_was_cut_off_is_not_recorded(tmp_path: Path) -> None:
    raw = answer_head(200, "text/event-stream") + b'data: {"choices": [{"delta": {"content": "hi"}}]}\n\n'
    async with upstream_that_says(raw) as (url, _), recorder(Upstream(url), tmp_path / "tape.jsonl") as recording:
        assert await raw_post(recording) == raw
    assert not (tmp_path / "tape.jsonl").exists()


async def test_a_server_that_keeps_its_connection_is_not_waited_for(tmp_path: Path) -> None:
    tape = tmp_path / "tape.jsonl"
    async with ModelServer([Reply("Lit.")]) as server, recorder(Upstream(server.url), tape) as url:
        answer = await complete(url, stream=True)
        assert answer.status_code == 200
    assert len(cassette.load(tape)) == 1


async def test_a_client_that_leaves_closes_the_connection_to_the_server(tmp_path: Path) -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def never_answer(request: Request, writer: asyncio.StreamWriter) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with LoopbackServer(never_answer) as server, recorder(Upstream(server.url), tmp_path / "tape.jsonl") as url:
        asking = asyncio.create_task(complete(url, stream=True))
        async with asyncio.timeout(30):
            await started.wait()
            asking.cancel()
            await ended.wait()


async def test_a_server_that_is_not_there_is_said_to_be(tmp_path: Path, free_url: Callable[[], str]) -> None:
    async with recorder(Upstream(free_url()), tmp_path / "tape.jsonl") as url:
        answer = await complete(url, stream=True)
    assert answer.status_code == 502
    assert answer.json()["error"]["type"] == "upstream_unreachable"
    assert "Is it running" in answer.json()["error"]["message"]


def test_a_bad_url_is_told_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert record("gpu:8000", "", tmp_path / "tape.jsonl") == 2
    assert "'gpu:8000' is no http or https URL" in capsys.readouterr().err


def test_a_cassette_that_cannot_be_written_is_said_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert record("http://localhost:1/v1", "", tmp_path / "none" / "tape.jsonl") == 2
    assert "No such file or directory" in capsys.readouterr().err


async def test_the_proxy_runs_until_it_is_interrupted(tmp_path: Path, free_url: Callable[[], str]) -> None:
    out = tmp_path / "tape.jsonl"
    command = [sys.executable, "-m", "agentic_server", "record", "--upstream", free_url(), "--out", str(out)]
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    assert process.stderr is not None
    async with asyncio.timeout(60):
        said = (await process.stderr.readline()).decode()
        url = said.split("Point Agentic at ")[1].split(" ", maxsplit=1)[0]
        assert (await complete(url, stream=False)).status_code == 502
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0


@pytest.fixture
def free_url(unused_tcp_port: int) -> Callable[[], str]:
    return lambda: f"http://127.0.0.1:{unused_tcp_port}/v1"


@asynccontextmanager
async def upstream_that_says(raw: bytes) -> AsyncGenerator[tuple[str, list[Request]]]:
    seen: list[Request] = []

    async def handle(request: Request, writer: asyncio.StreamWriter) -> None:
        seen.append(request)
        writer.write(raw)
        await writer.drain()

    async with LoopbackServer(handle) as server:
        yield server.url, seen


async def raw_post(url: str) -> bytes:
    """The whole answer as bytes, its head included."""
    reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(url).port)
    content = b'{"messages": [{"role": "user", "content": "x"}]}'
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer fake\r\n"
    writer.write(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
    answer = await reader.read()
    writer.close()
    return answer


def _without_time(answer: httpx.Response) -> str:
    return re.sub(r'"created": \d+', "", answer.text)
