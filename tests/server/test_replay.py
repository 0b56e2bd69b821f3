"""The replay server answers over real HTTP exactly what a cassette holds, and refuses what was not recorded."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentic_server import cassette
from agentic_server.cassette import Exchange, normalise
from agentic_server.replay import ReplayServer, replay

TASK = {"role": "user", "content": "Fix the lamp in /tmp/agentic-one/lamp.py."}
SAME_TASK = {"role": "user", "content": "Fix the lamp in /tmp/agentic-two/lamp.py."}
CALL = {"id": "call_1", "type": "function", "function": {"name": "read", "arguments": '{"path": "lamp.py"}'}}
ASSISTANT = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "Ran 3 tests in 0.004s\n\nOK"}

FIRST = Exchange(
    {"model": "lamp-7b", "messages": [TASK]},
    {
        "content": "I look — ✓.",
        "reasoning": "Read  first.\n",
        "tool_calls": [{"name": "read", "arguments": {"path": "é"}}],
    },
)
SECOND = Exchange(
    {"model": "lamp-7b", "messages": [TASK, ASSISTANT, RESULT]},
    {"content": "Done.", "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}},
)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ReplayServer]:
    path = tmp_path / "cassette.jsonl"
    for exchange in (FIRST, SECOND):
        cassette.append(path, exchange)
    async with ReplayServer(path, pause=0) as server:
        yield server


async def post(server: ReplayServer, *messages: dict[str, Any], **more: Any) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        body = {"model": server.model, "messages": messages, **more}
        return await client.post(f"{server.url}/chat/completions", json=body)


async def test_it_introduces_itself_as_the_recorded_model(server: ReplayServer) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        models = (await client.get(f"{server.url}/models")).json()
        health = await client.get(server.url.removesuffix("/v1") + "/health")
        nothing = await client.get(f"{server.url}/nothing")
    assert [(card["id"], card["max_model_len"]) for card in models["data"]] == [("lamp-7b", 131_072)]
    assert (health.status_code, nothing.status_code) == (200, 404)


async def test_the_openai_client_hears_a_stream_word_by_word(server: ReplayServer) -> None:
    client = openai.AsyncOpenAI(base_url=server.url, api_key="none")
    asked: Any = [SAME_TASK]
    options: Any = {"include_usage": True}
    stream = await client.chat.completions.create(model="lamp-7b", messages=asked, stream=True, stream_options=options)
    content, reasoning, arguments, names, finish, usage = list[str](), "", "", list[str](), "", None
    async for chunk in stream:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            content.append(choice.delta.content or "")
            reasoning += (choice.delta.model_extra or {}).get("reasoning", "")
            for call in choice.delta.tool_calls or []:
                assert call.function is not None
                names += [call.function.name] if call.function.name else []
                arguments += call.function.arguments or ""
            finish = choice.finish_reason or finish
    await client.close()
    assert [part for part in content if part] == ["I", " look", " —", " ✓."]
    assert (reasoning, names, json.loads(arguments)) == ("Read  first.\n", ["read"], {"path": "é"})
    assert finish == "tool_calls"
    assert usage is not None
    assert usage.prompt_tokens > 0


async def test_a_stream_is_server_sent_events_to_the_end(server: ReplayServer) -> None:
    answer = await post(server, TASK, stream=True)
    events = answer.text.split("\n\n")
    assert answer.headers["content-type"] == "text/event-stream"
    assert events[-2:] == ["data: [DONE]", ""]
    assert all(event.startswith("data: {") for event in events[:-2])
    assert "usage" not in json.loads(events[-3].removeprefix("data: ")), "usage comes only when it is asked for"


async def test_answers_come_in_order_and_without_a_stream_whole(server: ReplayServer) -> None:
    first = (await post(server, TASK)).json()["choices"][0]
    later = {**RESULT, "content": "Ran 3 tests in 1.230s\n\nOK"}
    second = (await post(server, SAME_TASK, ASSISTANT, later)).json()
    assert first["finish_reason"] == "tool_calls"
    assert first["message"]["tool_calls"][0]["function"] == {"name": "read", "arguments": '{"path": "é"}'}
    assert second["choices"][0]["message"]["content"] == "Done."
    assert second["usage"] == SECOND.response["usage"]
    assert (server.left, server.problems) == (0, [])


async def test_members_of_a_council_are_told_apart_by_their_roles(tmp_path: Path) -> None:
    path, system = tmp_path / "cassette.jsonl", {"role": "system", "content": "You sit in a council."}
    roles = [{"role": "user", "content": f"# Your role: {name}"} for name in ("tester", "developer")]
    for role in roles:
        cassette.append(path, Exchange({"messages": [system, TASK, role]}, {"content": role["content"]}))
    async with ReplayServer(path, pause=0) as server:
        for role in reversed(roles):
            answer = await post(server, system, TASK, role)
            assert answer.json()["choices"][0]["message"]["content"] == role["content"]


async def test_a_stale_recording_is_refused_with_the_place_where_it_parts(server: ReplayServer) -> None:
    await post(server, TASK)
    refused = await post(server, TASK, ASSISTANT, {**RESULT, "content": "Ran 3 tests in 0.004s\n\nFAILED (failures=1)"})
    assert refused.status_code == 409
    error = refused.json()["error"]
    assert error["type"] == "stale_recording"
    assert "FAILED (failures=1)" in error["message"]
    assert "'Ran 3 tests in <duration>\\n\\nOK'" in error["message"]
    assert server.problems == [error["message"]]
    right = await post(server, TASK, ASSISTANT, RESULT)
    assert right.status_code == 200, "a refused request uses no answer up"


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([{"role": "user", "content": "Paint the lamp."}], "No recorded conversation begins with this user message"),
        ([{"role": "system", "content": "You are a pirate."}, TASK], "No recorded conversation has this system text"),
        ([TASK, ASSISTANT], "but the recorded one is of the user"),
    ],
)
async def test_what_was_not_recorded_is_refused(
    server: ReplayServer, messages: list[dict[str, Any]], reason: str
) -> None:
    refused = await post(server, *messages)
    assert refused.status_code == 409
    assert reason in refused.json()["error"]["message"]


async def test_a_conversation_that_goes_on_too_long_is_refused(server: ReplayServer) -> None:
    await post(server, TASK)
    await post(server, TASK, ASSISTANT, RESULT)
    refused = await post(server, TASK, ASSISTANT, RESULT)
    assert refused.status_code == 409
    assert "is over" in refused.json()["error"]["message"]


async def test_an_answer_that_was_cut_off_can_be_asked_for_again(tmp_path: Path) -> None:
    path = tmp_path / "cassette.jsonl"
    cassette.append(path, FIRST)
    async with ReplayServer(path, pause=3600) as server, httpx.AsyncClient(trust_env=False) as client:
        body = {"model": "m", "messages": [TASK], "stream": True}
        async with client.stream("POST", f"{server.url}/chat/completions", json=body) as answer:
            await anext(answer.aiter_bytes())
            assert server.left == 0
        async with asyncio.timeout(30):
            while (await post(server, TASK)).status_code == 409:
                pass


async def test_recorded_chunks_are_streamed_as_they_are(tmp_path: Path) -> None:
    chunks: list[dict[str, Any]] = [{"id": "x", "odd": [1]}, {"id": "x", "choices": []}]
    path = tmp_path / "cassette.jsonl"
    cassette.append(path, Exchange(FIRST.request, {"chunks": chunks}))
    async with ReplayServer(path, pause=0) as server:
        events = (await post(server, TASK, stream=True)).text.split("\n\n")
    assert [json.loads(event.removeprefix("data: ")) for event in events[:-2]] == chunks


async def test_garbage_is_answered_too(server: ReplayServer) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        not_json = await client.post(f"{server.url}/chat/completions", content=b"{")
        no_messages = await client.post(f"{server.url}/chat/completions", json={"messages": []})
    reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(server.url).port)
    writer.write(b"EHLO lamp\r\n\r\n")
    raw = await reader.read()
    writer.close()
    assert (not_json.status_code, no_messages.status_code) == (400, 400)
    assert raw.startswith(b"HTTP/1.1 400 Bad Request\r\n")


def test_a_cassette_with_a_bad_line_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "tape.jsonl"
    path.write_text(FIRST.to_line() + '{"request": {}}\n', encoding="utf-8")
    with pytest.raises(ValueError, match=r"tape\.jsonl, line 2"):
        ReplayServer(path)
    path.write_text("", encoding="utf-8")
    with pytest.raises(ValueError, match="no exchange"):
        ReplayServer(path)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("see /tmp/agentic-demo-x1/a.py", "see /var/folders/ab/c9/T/agentic-demo-77/a.py"),
        ("file:///tmp/pytest-1/a.py:3", "/tmp/zz/a.py:3"),
        ("Ran 6 tests in 0.001s", "Ran 6 tests in 12.5s"),
        ("session s-18c2f0a1b2c3-9f3a1c", "session s-28c2f0a1b2c4-9f3a1d"),
        ("at 2026-07-01T10:00:00Z", "at 2027-11-30T23:59:59Z"),
        (
            "    self.assertEqual(a, b)\n    ^^^^^^^^^^^^^\nAssertionError",
            "    self.assertEqual(a, b)\n    ~~~~^^^^\nAssertionError",
        ),
        ("\x1b[31mFAIL\x1b[0m  \nx", "FAIL\nx"),
    ],
)
def test_what_differs_from_run_to_run_is_normalised(one: str, other: str) -> None:
    assert normalise(one) == normalise(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("/tmp/x/keeper.py", "/tmp/x/stairs.py"),
        ("FAILED (failures=1)", "FAILED (failures=2)"),
        ("floor = 3", "floor = 4"),
        ("a\nb", "a b"),
    ],
)
def test_what_means_something_is_not(one: str, other: str) -> None:
    assert normalise(one) != normalise(other)


def test_a_temporary_folder_of_ones_own_is_one_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert normalise(f"see {tmp_path}/agentic-demo-1/a.py") == normalise("see /tmp/agentic-demo-2/a.py")


@settings(max_examples=60)
@given(st.text())
def test_normalising_is_idempotent_on_any_text(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once


async def test_the_command_serves_a_cassette_until_it_is_interrupted(tmp_path: Path) -> None:
    tape = tmp_path / "tape.jsonl"
    cassette.append(
        tape, Exchange({"model": "m", "messages": [{"role": "user", "content": "hi"}]}, {"content": "Hello."})
    )
    command = (sys.executable, "-m", "agentic_server", "replay", str(tape))
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    assert process.stderr is not None
    said = (await asyncio.wait_for(process.stderr.readline(), 60)).decode()
    url = re.search(r"http://\S+/v1", said)
    assert url is not None
    async with httpx.AsyncClient(trust_env=False) as client:
        assert (await client.get(f"{url.group()}/models")).json()["data"][0]["id"] == "m"
    process.send_signal(signal.SIGINT)
    assert await asyncio.wait_for(process.wait(), 60) == 0


def test_a_cassette_that_is_none_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert replay(tmp_path / "missing.jsonl") == 2
    assert "agentic replay: " in capsys.readouterr().err
