"""Counting by the best source at hand: against servers that count, refuse, lie and are slow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from openai_harmony import (
    Author,
    Conversation,
    HarmonyEncodingName,
    Role,
    load_harmony_encoding,
)
from openai_harmony import Message as HarmonyMessage
from support.model_server import Json, ModelServer, Page, Play, status, stream

from agentic.llm.client import open_client
from agentic.llm.counting import MOST_ASKED, TokenCounter
from agentic.llm.endpoint import EndpointInfo
from agentic.llm.tokenizer import load_o200k
from agentic.llm.tokens import estimate_message
from agentic.ports.model import Message, TokenCount

LONG = {"role": "user", "content": "some words " * 300}
SHORT = {"role": "user", "content": "Fix it."}
MANY = [{"role": "user", "content": f"{number} words " * 300} for number in range(MOST_ASKED + 1)]
STALLED = stream([], "stall")


@asynccontextmanager
async def counter_for(
    kind: str, pages: dict[str, Page], model: str = "tiny", deadline: float = 10.0
) -> AsyncGenerator[tuple[TokenCounter, ModelServer]]:
    async with ModelServer([], pages=pages) as server, open_client(server.url, "secret", 1.0) as client:
        yield TokenCounter(client, EndpointInfo(server.url, model, server=kind), deadline), server


@pytest.fixture
async def tokenizer_loaded() -> None:
    """Loading has a deadline, which is not what is tested."""
    assert await load_o200k() is not None


def estimated(*messages: Message) -> list[TokenCount]:
    return [TokenCount(estimate_message(message)) for message in messages]


@pytest.mark.parametrize(
    ("kind", "field", "model"), [("vllm", "prompt", {"model": "tiny"}), ("llama.cpp", "content", {})]
)
async def test_a_server_is_asked_for_a_long_text(kind: str, field: str, model: Json) -> None:
    seen: list[Json] = []

    def tokenize(body: Json) -> Json:
        seen.append(body)
        return {"tokens": list(range(len(body[field].split())))}

    async with counter_for(kind, {"/tokenize": tokenize}) as (counter, server):
        counts = await counter.count([SHORT, LONG])
        assert server.headers[0]["authorization"] == "Bearer secret"
    assert counts == [*estimated(SHORT), TokenCount(608, "server")]
    assert [body[field] for body in seen] == [LONG["content"]]
    assert model.items() <= seen[0].items()


async def test_arguments_and_reasoning_are_counted() -> None:
    def tokenize(body: Json) -> Json:
        return {"tokens": list(range(len(body["prompt"].split())))}

    call = {"id": "c", "type": "function", "function": {"name": "write_file", "arguments": "a b " * 300}}
    answer = {"role": "assistant", "content": "c d " * 300, "reasoning": "e f " * 300, "tool_calls": [call]}
    async with counter_for("vllm", {"/tokenize": tokenize}) as (counter, _):
        (count,) = await counter.count([answer])
    assert count == TokenCount(3 * 600 + 1 + 16, "server")


@pytest.mark.parametrize(
    ("kind", "path", "answer"),
    [
        ("vllm", "/tokenize", {"count": 2500, "max_model_len": 8192, "tokens": list(range(2500))}),
        ("llama.cpp", "/v1/chat/completions/input_tokens", {"input_tokens": 2500}),
    ],
)
async def test_for_many_texts_a_server_is_asked_once(kind: str, path: str, answer: Json) -> None:
    tool = {"type": "function", "function": {"name": "look", "parameters": {}}}
    bodies: list[Json] = []
    async with counter_for(kind, {path: lambda body: bodies.append(body) or answer}) as (counter, server):
        counts = await counter.count([*MANY, SHORT], [tool])
        assert server.paths == [path]
    assert {count.by for count in counts} == {"server"}
    assert 2500 <= sum(count.tokens for count in counts) <= 2500 + len(counts)
    assert (bodies[0]["messages"], bodies[0]["tools"]) == ([*MANY, SHORT], [tool])


@pytest.mark.parametrize("kind", ["", "ollama", "lmstudio"])
@pytest.mark.parametrize("messages", [[LONG], MANY])
async def test_a_server_that_offers_no_count_is_not_asked(kind: str, messages: list[Message]) -> None:
    async with counter_for(kind, {}) as (counter, server):
        assert await counter.count(messages) == estimated(*messages)
        assert server.paths == []


NONSENSE: dict[str, Page] = {
    "refused": status(401, {"error": "Unauthorized"}),
    "failing": status(500, "boom"),
    "absent": status(404, {"detail": "Not Found"}),
    "web page": "<html>Please log in</html>",
    "nothing": {},
    "no tokens": {"tokens": []},
    "too few": {"tokens": [1, 2]},
    "too many": {"tokens": [1] * 60_000},
    "strings": {"tokens": ["a"] * 600},
    "null": {"tokens": None},
    "negative": {"input_tokens": -5},
    "cut off": Play([b'{"tokens": [1, 2'], b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", "cut", chunked=False),
    "gone": Play([], b"", "cut", chunked=False),
}


@pytest.mark.parametrize("kind", ["vllm", "llama.cpp"])
@pytest.mark.parametrize("messages", [[LONG], MANY], ids=["text", "prompt"])
@pytest.mark.parametrize("name", NONSENSE)
async def test_a_server_that_does_not_count_is_asked_once(kind: str, messages: list[Message], name: str) -> None:
    pages = dict.fromkeys(["/tokenize", "/v1/chat/completions/input_tokens"], NONSENSE[name])
    async with counter_for(kind, pages) as (counter, server):
        for _ in range(3):
            assert await counter.count(messages) == estimated(*messages)
        assert len(server.paths) == 1


async def test_a_server_that_is_slow_is_asked_once() -> None:
    async with counter_for("vllm", {"/tokenize": STALLED}, deadline=0.05) as (counter, server):
        for _ in range(3):
            assert await counter.count([LONG]) == estimated(LONG)
        assert len(server.paths) == 1


async def test_nothing_is_lost_when_nobody_listens_any_more() -> None:
    async with counter_for("vllm", {}) as (counter, server):
        server.stop_listening()
        assert await counter.count([LONG]) == estimated(LONG)


async def test_counting_can_be_cancelled() -> None:
    asked = asyncio.Event()

    def tokenize(_: Json) -> Play:
        asked.set()
        return STALLED

    async with counter_for("vllm", {"/tokenize": tokenize}, deadline=60.0) as (counter, _):
        task = asyncio.create_task(counter.count([LONG]))
        await asyncio.wait_for(asked.wait(), 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.usefixtures("tokenizer_loaded")
async def test_gpt_oss_is_counted_here() -> None:
    empty = {"role": "assistant", "content": ""}
    async with counter_for("vllm", {}, "openai/gpt-oss-20b") as (counter, server):
        counts = await counter.count([LONG, SHORT, empty, *MANY * 10])
        assert server.paths == []
    assert {count.by for count in counts} == {"tokenizer"}
    assert counts[1:3] == [TokenCount(3 + 8, "tokenizer"), TokenCount(8, "tokenizer")]


@pytest.mark.usefixtures("tokenizer_loaded")
async def test_what_takes_too_long_to_tokenize_is_estimated() -> None:
    async with counter_for("vllm", {}, "gpt-oss-20b", deadline=0.0) as (counter, _):
        messages = [{"role": "user", "content": "some words " * 10_000}]
        assert await counter.count(messages) == estimated(*messages)
        assert (await counter.count([SHORT]))[0].by == "tokenizer"


@pytest.mark.usefixtures("tokenizer_loaded")
async def test_counts_of_gpt_oss_are_barely_more_than_what_its_format_needs() -> None:
    """Compared with the format's own renderer, one message after the other."""
    arguments = '{"path": "src/app.py", "start_line": 1, "end_line": 200}'
    call = {"id": "c", "type": "function", "function": {"name": "read_file", "arguments": arguments}}
    said: list[tuple[Message, Any]] = [
        (LONG, HarmonyMessage.from_role_and_content(Role.USER, LONG["content"])),
        (
            {"role": "assistant", "content": "", "tool_calls": [call]},
            HarmonyMessage.from_role_and_content(Role.ASSISTANT, arguments)
            .with_channel("commentary")
            .with_recipient("functions.read_file")
            .with_content_type("<|constrain|>json"),
        ),
        (
            {"role": "tool", "tool_call_id": "c", "content": "def add(a, b):\n    return a - b\n"},
            HarmonyMessage.from_author_and_content(
                Author.new(Role.TOOL, "functions.read_file"), "def add(a, b):\n    return a - b\n"
            )
            .with_channel("commentary")
            .with_recipient("assistant"),
        ),
        (
            {"role": "assistant", "content": "The sum was a difference."},
            HarmonyMessage.from_role_and_content(Role.ASSISTANT, "The sum was a difference.").with_channel("final"),
        ),
    ]
    harmony = load_harmony_encoding(HarmonyEncodingName.HARMONY_GPT_OSS)
    async with counter_for("vllm", {}, "gpt-oss-20b") as (counter, _):
        counts = await counter.count([message for message, _ in said])
    for count, (_, message) in zip(counts, said, strict=True):
        needed = len(harmony.render_conversation(Conversation.from_messages([message])))
        assert needed <= count.tokens <= needed + 10
