"""Addresses at which no model is served: each is told with what to change, and none holds anybody up."""

from __future__ import annotations

import asyncio

import pytest
from support.model_server import ModelServer, Play, html

from agentic.errors import EndpointUnreachable
from agentic.llm.endpoint import Endpoint
from agentic.llm.pool import Pool

MOVED = b"HTTP/1.1 308 Moved\r\nLocation: http://elsewhere:1/v1/models\r\nContent-Length: 0\r\n\r\n"


async def trouble_with(*urls: str) -> EndpointUnreachable:
    pool = Pool([Endpoint(url) for url in urls])
    try:
        with pytest.raises(EndpointUnreachable) as caught:
            await pool.connect()
        return caught.value
    finally:
        await pool.aclose()


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999/v1", "http://127.0.0.1:abc/v1", "http://[::1/v1"])
async def test_what_is_no_address_is_told_to_be_none(url: str) -> None:
    trouble = await trouble_with(url)
    assert f"{url} is no web address" in str(trouble)
    assert trouble.hint == "Write it like http://localhost:8001/v1."


@pytest.mark.parametrize(
    ("answer", "hint"),
    [(html(), "Something else listens there"), (Play([], MOVED, chunked=False), "Set that address")],
)
async def test_the_hint_is_that_of_the_trouble(answer: Play, hint: str) -> None:
    async with ModelServer([], models=answer) as server:
        assert (await trouble_with(server.url)).hint.startswith(hint)


async def test_different_troubles_have_a_hint_in_common() -> None:
    async with ModelServer([], models=html()) as server:
        trouble = await trouble_with(server.url, "http://127.0.0.1:99999/v1")
        assert "no list of models" in str(trouble)
        assert "no web address" in str(trouble)
        assert trouble.hint.startswith("Start a model server")


async def test_a_service_that_greets_first_is_no_model_server() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.6\r\n")
        await reader.read()
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert "did not answer within 2 s" in str(await trouble_with(f"http://127.0.0.1:{port}/v1"))
