"""Frames: what is understood, what ends the process, and a writer that never blocks the loop."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.raw_client import RawClient, python

from agentic_server import framing
from agentic_server.framing import FrameWriter, FramingError, frame, open_reader, read_frames

SERVER = python(str(Path(__file__).parent.parent / "support" / "edge_server.py"))
INITIALIZE = {"jsonrpc": "2.0", "id": "i", "method": "initialize", "params": {"processId": None, "rootUri": None}}


async def frames_of(data: bytes) -> list[bytes]:
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    return [body async for body in read_frames(reader)]


@settings(max_examples=100)
@given(st.lists(st.binary(max_size=40), max_size=5), st.integers(1, 30))
def test_frames_come_out_whole_however_the_bytes_are_cut(bodies: list[bytes], step: int) -> None:
    async def read() -> list[bytes]:
        reader = asyncio.StreamReader()
        data = b"".join(map(frame, bodies))

        async def feed() -> None:
            for start in range(0, len(data), step):
                reader.feed_data(data[start : start + step])
                await asyncio.sleep(0)
            reader.feed_eof()

        feeding = asyncio.create_task(feed())
        found = [body async for body in read_frames(reader)]
        await feeding
        return found

    assert asyncio.run(read()) == bodies


@pytest.mark.parametrize(
    "data",
    [
        b"Content-Length: 2\r\n\r\n{}",
        b"content-length:2\n\n{}",
        b"CONTENT-LENGTH : 2 \r\n\r\n{}",
        b"Content-Type: application/vscode-jsonrpc; charset=utf-8\r\nContent-Length: 2\r\n\r\n{}",
        b"\r\n\nContent-Length: 2\r\n\r\n{}",
    ],
)
async def test_headers_are_understood_in_every_case_and_with_bare_line_feeds(data: bytes) -> None:
    assert await frames_of(data) == [b"{}"]


@pytest.mark.parametrize(
    "data",
    [b"", b"Content-Length: 2", b"Content-Length: 2\r\n\r\n", b"Content-Length: 9\r\n\r\n{}"],
)
async def test_a_frame_that_is_cut_off_by_the_end_is_no_frame(data: bytes) -> None:
    assert await frames_of(data) == []


BROKEN = [
    b"Content-Length: -1\r\n\r\n",
    b"Content-Length: two\r\n\r\n",
    b"Content-Length: 99999999999999999999\r\n\r\n",
    b"Content-Length: 999999999999999999999999999999\r\n\r\n",
    b"Content-Length: 1000000000000\r\n\r\n",
    b"Content-Type: x\r\n\r\n{}",
    b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
    b"\x00\xff binary noise\n",
    b"x" * 100_000,
    b"x" * 100_000 + b"\n",
]


@pytest.mark.parametrize("data", BROKEN)
async def test_what_is_no_frame_is_an_error(data: bytes) -> None:
    with pytest.raises(FramingError):
        await frames_of(data)


@pytest.mark.parametrize("data", [BROKEN[2], BROKEN[6]])
async def test_defect_16_broken_framing_ends_the_server_with_one_sentence(data: bytes) -> None:
    async with RawClient.started(*SERVER) as client:
        await client.initialize()
        client.raw(data)
        assert await client.exit_code() == 1
        assert "cannot read the client's messages any more" in client.stderr
        assert "Traceback" not in client.stderr


async def test_defect_15_the_server_answers_lower_case_headers_with_bare_line_feeds() -> None:
    async with RawClient.started(*SERVER) as client:
        body = json.dumps({**INITIALIZE, "params": {**INITIALIZE["params"], "capabilities": {}}}).encode()
        answer = client.expect("i")
        client.raw(b"content-length: %d\n\n%b" % (len(body), body))
        assert "capabilities" in (await asyncio.wait_for(answer, 30))["result"]


async def test_a_message_of_many_megabytes_is_read_and_answered() -> None:
    async with RawClient.started(*SERVER) as client:
        await client.initialize()
        client.notify("edge/note", "x" * 8_000_000)
        assert await client.command("edge.echo", "still there") == ["still there"]


async def test_stdin_may_be_a_regular_file(tmp_path: Path) -> None:
    script = tmp_path / "in"
    initialize = {**INITIALIZE, "params": {**INITIALIZE["params"], "capabilities": {}}}
    script.write_bytes(frame(json.dumps(initialize).encode()))
    with script.open("rb") as stdin:
        process = await asyncio.create_subprocess_exec(
            *SERVER, stdin=stdin, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        out, err = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0, err
    assert b'"serverInfo"' in out


# The writer.


@pytest.fixture
async def pipe() -> AsyncIterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    for fd in (reading, writing):
        if _is_open(fd):
            os.close(fd)


def _is_open(fd: int) -> bool:
    try:
        return stat.S_ISFIFO(os.fstat(fd).st_mode)
    except OSError:
        return False


async def test_the_writer_keeps_frames_whole_and_in_order_from_many_threads(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    writer = FrameWriter(writing, lambda reason: None)

    def write(name: str) -> None:
        for number in range(200):
            writer.write(frame(json.dumps([name, number, "x" * 500]).encode()))

    reader = await open_reader(os.dup(reading))
    sending = [asyncio.create_task(asyncio.to_thread(write, name)) for name in "abcd"]
    seen: dict[str, list[int]] = {name: [] for name in "abcd"}
    bodies = read_frames(reader)
    for _ in range(800):
        name, number, _text = json.loads(await anext(bodies))
        seen[name].append(number)
    await asyncio.gather(*sending)
    writer.close(5)
    assert seen == {name: list(range(200)) for name in "abcd"}


async def test_drain_waits_for_a_slow_client_and_writing_never_does(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    writer = FrameWriter(writing, lambda reason: None)
    data = b"x" * (framing.HIGH_WATER + 200_000)
    writer.write(data)
    draining = asyncio.create_task(writer.drain())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(draining), 0.2)
    reader = await open_reader(os.dup(reading))
    assert await reader.readexactly(len(data)) == data
    await asyncio.wait_for(draining, 30)
    writer.close(5)


async def test_a_client_that_is_gone_is_reported_once_and_frees_those_who_wait(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    reasons: list[str] = []
    broken = asyncio.Event()
    writer = FrameWriter(writing, lambda reason: (reasons.append(reason), broken.set())[0])
    writer.write(b"x" * (framing.HIGH_WATER + 200_000))
    draining = asyncio.create_task(writer.drain())
    await asyncio.sleep(0)
    os.close(reading)
    await asyncio.wait_for(draining, 30)
    await asyncio.wait_for(broken.wait(), 30)
    writer.write(b"more")
    writer.close(5)
    assert reasons == ["Broken pipe"]


async def test_a_client_that_reads_no_more_does_not_fill_the_memory(pipe: tuple[int, int]) -> None:
    _, writing = pipe
    broken: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    writer = FrameWriter(writing, broken.set_result)
    piece = b"x" * (framing.MAX_QUEUED // 4)
    for _ in range(5):
        writer.write(piece)
    assert "stopped reading" in await asyncio.wait_for(broken, 30)


async def test_what_is_queued_is_written_before_the_writer_closes() -> None:
    with tempfile.TemporaryFile() as file:
        writer = FrameWriter(os.dup(file.fileno()), lambda reason: None)
        for number in range(1000):
            writer.write(b"%d\n" % number)
        writer.close(30)
        file.seek(0)
        assert file.read() == b"".join(b"%d\n" % number for number in range(1000))


async def test_one_descriptor_for_both_directions_works_though_reading_makes_it_non_blocking() -> None:
    import socket

    ours, theirs = socket.socketpair()
    with ours, theirs:
        await open_reader(os.dup(ours.fileno()))
        assert not os.get_blocking(ours.fileno())
        writer = FrameWriter(os.dup(ours.fileno()), lambda reason: None)
        data = b"x" * 3_000_000
        writer.write(data)
        reader, _ = await asyncio.open_connection(sock=theirs)
        assert await asyncio.wait_for(reader.readexactly(len(data)), 30) == data
        writer.close(5)
