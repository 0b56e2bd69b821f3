"""Answers of many servers, folded into events over a real socket."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.model_server import ModelServer, Play, Reply, call_delta, delta, events, recorded

from agentic.events import (
    FirstToken,
    ModelEvent,
    ModelFinished,
    ModelStarted,
    Origin,
    TextDelta,
    TextFinished,
    ThinkingFinished,
    ToolCallDelta,
    Usage,
)
from agentic.llm.endpoint import Endpoint
from agentic.llm.pool import Pool
from agentic.ports.model import Answer, ModelRequest

STREAMS = Path(__file__).parent / "streams"
ORIGIN: Origin = {"session_id": "s", "turn_id": "t", "agent": "main"}
QUESTION = ModelRequest(ORIGIN, [{"role": "user", "content": "Hello?"}])


def model_at(server: ModelServer) -> Pool:
    return Pool([Endpoint(server.url)], retries=0)


async def ask(server: ModelServer, request: ModelRequest = QUESTION) -> list[ModelEvent]:
    model = model_at(server)
    try:
        return [event async for event in model.complete(request)]
    finally:
        await model.aclose()


def fold(happened: list[ModelEvent]) -> Answer:
    answer = Answer()
    for event in happened:
        answer.add(event)
    return answer


async def answer_to(play: Play | Reply) -> Answer:
    async with ModelServer([play]) as server:
        return fold(await ask(server))


def summary(answer: Answer) -> tuple[str, str, list[tuple[str, str]], str, Usage]:
    calls = [(call.name, call.arguments) for call in answer.tool_calls]
    return answer.text, answer.thinking, calls, answer.finish_reason, told(answer.usage)


def told(usage: Usage) -> Usage:
    """What the server itself said."""
    return Usage(usage.prompt, None, usage.completion, usage.reasoning) if usage.computed else usage


RECORDED: dict[str, tuple[str, str, list[tuple[str, str]], str, Usage]] = {
    "llama-cpp-python-tool_named_stream": (
        "",
        "",
        [("get_weather", '{"city":":instanceey\x0e", "unit": "f"} ')],
        "tool_calls",
        Usage(),
    ),
    "llama-server-scen_plain_stream": (
        "Hello. I am a very small model, and this is one plain answer.",
        "",
        [],
        "stop",
        Usage(623, 614, 17),
    ),
    "llama-server-scen_thinkcall_stream": (
        "",
        "I need the file first.\n",
        [("read_file", '{"path": "think.py"}')],
        "tool_calls",
        Usage(623, 614, 35),
    ),
    "llama-server-scen_two_stream": (
        "Reading both files.\n",
        "",
        [("read_file", '{"path": "a.py"}'), ("read_file", '{"path": "b.py", "limit": 10}')],
        "tool_calls",
        Usage(623, 614, 58),
    ),
    "llama-server-scen_write_stream": (
        "",
        "",
        [
            (
                "write_file",
                '{"path": "add.py", "content": "def add(a, b):\\n    \\"\\"\\"Sum of a and b.\\"\\"\\"\\n'
                "    return a + b\\n\\n"
                'if __name__ == \\"__main__\\":\\n    print(\\"sum:\\", add(2, 3))\\t# \\\\ ✓\\n"}',
            )
        ],
        "tool_calls",
        Usage(623, 614, 79),
    ),
    "transformers-scen_plain_stream": (
        "Hello. I am a + b and this is 21 degrees in Seoul.",
        "",
        [],
        "stop",
        Usage(623, None, 16),
    ),
    "transformers-tool_auto_stream": ("", "", [], "length", Usage(389, None, 12)),
    "vllm-chat_stream_usage": ("\n\n\n\n", "", [], "length", Usage(32, 0, 4)),
    "vllm-gptoss-scen_preamble_stream": (
        "I will read the file.",
        "",
        [("read_file", '{"path": "a.py"}')],
        "tool_calls",
        Usage(223, 128, 33, 7),
    ),
    "vllm-gptoss-scen_weather_stream": (
        "",
        "Need the weather tool.",
        [("get_weather", '{"city": "Seoul", "unit": "c"}')],
        "tool_calls",
        Usage(222, 0, 37, 18),
    ),
    "vllm-scen_broken_stream": (
        "",
        "",
        [("read_file", '{"path": "broken.py"')],
        "tool_calls",
        Usage(623, 608, 24, 0),
    ),
    "vllm-scen_korean_stream": (
        "안녕하세요! 파일을 읽었습니다. 🎉 오류는 없습니다.",
        "",
        [],
        "stop",
        Usage(623, 608, 10, 9),
    ),
    "vllm-scen_think_stream": (
        "\n\nThe answer is 5.",
        "\nThe user wants an answer. Two plus three is five.\n",
        [],
        "stop",
        Usage(623, 608, 24, 14),
    ),
    "vllm-scen_thinkcall_stream": (
        "\n\n",
        "\nI need the file first.\n",
        [("read_file", '{"path": "think.py"}')],
        "tool_calls",
        Usage(623, 608, 35, 8),
    ),
    "vllm-scen_two_stream": (
        "",
        "Reading both files.\n",
        [("read_file", '{"path": "a.py"}'), ("read_file", '{"path": "b.py", "limit": 10}')],
        "tool_calls",
        Usage(623, 608, 58, 5),
    ),
}


@pytest.mark.parametrize("name", RECORDED)
async def test_recorded_streams_fold_to_the_same_answer_however_they_are_sliced(name: str) -> None:
    raw = (STREAMS / f"{name}.http").read_bytes()
    dice = random.Random(name)
    whole = recorded(raw)
    sliced = [recorded(raw, sorted(dice.sample(range(1, len(raw)), dice.randint(1, 40)))) for _ in range(2)]
    for play in [whole, *sliced, recorded(raw, range(1, len(raw), 61))]:
        assert summary(await answer_to(play)) == RECORDED[name]


async def test_events_come_in_the_order_of_the_grammar() -> None:
    async with ModelServer([Reply("Done now.", "Let me see.", [("stop", {"why": "done"})])]) as server:
        happened = await ask(server)
    kinds = [type(event).__name__ for event in happened]
    assert kinds == [
        *("ModelStarted", "FirstToken"),
        *("ThinkingDelta", "ThinkingDelta", "ThinkingDelta", "ThinkingFinished"),
        *("TextDelta", "TextDelta", "TextFinished"),
        *("ToolCallDelta", "ToolCallDelta", "ToolCallDelta"),
        *("EndpointStatus", "ModelFinished"),
    ]
    started, first, finished = happened[0], happened[1], happened[-1]
    assert isinstance(started, ModelStarted)
    assert isinstance(first, FirstToken)
    assert isinstance(finished, ModelFinished)
    assert started.request == first.request == finished.request
    assert (started.attempt, started.model, started.endpoint) == (1, "tiny", server.url)
    assert started.prompt_tokens > 0
    assert 0 < first.seconds <= finished.seconds
    assert finished.finish_reason == "tool_calls"
    assert [event.text for event in happened if isinstance(event, ThinkingFinished)] == ["Let me see."]
    assert [event.text for event in happened if isinstance(event, TextFinished)] == ["Done now."]


async def test_text_items_are_parted_by_calls_and_thoughts() -> None:
    play = events(
        delta(content="one"),
        delta(reasoning="hm"),
        delta(content="two"),
        call_delta(index=0, id="c", name="f", arguments="{}"),
        delta(content="three"),
        delta("stop"),
    )
    answer = await answer_to(play)
    assert list(answer.texts.values()) == ["one", "two", "three"]
    assert answer.thinking == "hm"


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
async def test_reasoning_is_read_under_both_names(field: str) -> None:
    assert (await answer_to(Reply("Yes.", "Is it so?", reasoning_field=field))).thinking == "Is it so?"


TOOL_CALLS = {
    "by index": [
        call_delta(index=0, id="a", name="f", arguments=""),
        call_delta(index=0, arguments='{"x"'),
        call_delta(index=1, id="b", name="g"),
        call_delta(index=0, arguments=": 1}"),
        call_delta(index=1, arguments='{"y": 2}'),
    ],
    "without index": [
        call_delta(id="a", name="f", arguments='{"x"'),
        call_delta(arguments=": 1}"),
        call_delta(id="b", name="g", arguments='{"y": 2}'),
    ],
    "without index and id": [
        call_delta(name="f", arguments='{"x": 1}'),
        call_delta(name="g", arguments='{"y": 2}'),
    ],
    "arguments as objects, every index 0": [
        call_delta(index=0, id="a", name="f", arguments={"x": 1}),
        call_delta(index=0, id="b", name="g", arguments={"y": 2}),
    ],
    "every index 0, no ids": [
        call_delta(index=0, name="f", arguments='{"x": 1}'),
        call_delta(index=0, name="g", arguments='{"y": 2}'),
    ],
    "both in one chunk": [
        delta(
            tool_calls=[
                {"index": 0, "id": "a", "function": {"name": "f", "arguments": '{"x": 1}'}},
                {"index": 1, "id": "b", "function": {"name": "g", "arguments": '{"y": 2}'}},
            ]
        )
    ],
    "id and name repeated": [
        call_delta(index=0, id="a", name="f", arguments='{"x"'),
        call_delta(index=0, id="a", name="f", arguments=": 1"),
        call_delta(index=0, id="a", name="f", arguments="}"),
        call_delta(index=0, id="a", name="f", arguments=""),
        call_delta(index=1, id="b", name="g", arguments='{"y"'),
        call_delta(index=1, id="b", name="g", arguments=": 2}"),
    ],
    "name repeated, no id": [
        call_delta(index=0, name="f", arguments='{"x"'),
        call_delta(index=0, name="f", arguments=": 1}"),
        call_delta(index=1, name="g", arguments='{"y": 2}'),
    ],
    "name after its arguments": [
        call_delta(index=0, id="a", arguments='{"x": '),
        call_delta(index=0, name="f", arguments="1}"),
        call_delta(index=1, id="b", name="g", arguments='{"y": 2}'),
    ],
    "nulls everywhere": [
        call_delta(index=0, id="a", name="f", arguments=None),
        call_delta(index=0, id=None, name=None, arguments='{"x": 1}'),
        {"choices": None},
        {"choices": [{"delta": None}]},
        {"choices": [{"delta": {"content": None, "tool_calls": None, "role": None}}], "usage": None},
        call_delta(index=1, id="b", name="g", arguments='{"y": 2}'),
        delta(tool_calls=[{"index": 1, "function": None}]),
    ],
}


@pytest.mark.parametrize("finish", ["stop", "tool_calls"])
@pytest.mark.parametrize("shape", TOOL_CALLS)
async def test_tool_calls_of_every_shape(shape: str, finish: str) -> None:
    async with ModelServer([events(*TOOL_CALLS[shape], delta(finish))]) as server:
        happened = await ask(server)
    answer = fold(happened)
    assert [(call.name, json.loads(call.arguments)) for call in answer.tool_calls] == [("f", {"x": 1}), ("g", {"y": 2})]
    assert answer.finish_reason == "tool_calls"
    assert {event.name for event in happened if isinstance(event, ToolCallDelta)} == {"f", "g"}


async def test_the_servers_call_ids_are_kept_and_missing_or_doubled_ones_replaced() -> None:
    play = events(
        call_delta(index=0, id="functions.f:0", name="f", arguments="{}"),
        call_delta(index=1, id="functions.f:0", name="f", arguments="{}"),
        call_delta(index=2, id="", name="f", arguments="{}"),
        delta("tool_calls"),
    )
    first, second, third = (call.id for call in (await answer_to(play)).tool_calls)
    assert first == "functions.f:0"
    assert len({first, second, third}) == 3
    assert third


async def test_a_call_without_arguments_has_an_empty_object() -> None:
    answer = await answer_to(events(call_delta(index=0, id="a", name="f"), delta("tool_calls")))
    assert [call.arguments for call in answer.tool_calls] == ["{}"]


async def test_usage_is_read_in_the_finish_chunk_and_after_it() -> None:
    counts = {
        "prompt_tokens": 9,
        "completion_tokens": 2,
        "prompt_tokens_details": {"cached_tokens": 8},
        "completion_tokens_details": {"reasoning_tokens": 1},
    }
    inside = events(delta(content="x"), {**delta("stop"), "usage": counts})
    after = events(delta(content="x"), delta("stop"), {"choices": [], "usage": counts})
    for play in (inside, after):
        assert (await answer_to(play)).usage == Usage(prompt=9, cached=8, completion=2, reasoning=1)


async def test_a_stream_without_done_is_whole_when_it_has_a_finish_reason() -> None:
    assert (await answer_to(events(delta(content="x"), delta("stop"), done=False))).text == "x"


async def test_what_follows_the_finish_reason_cannot_spoil_the_answer() -> None:
    broken = {"error": {"message": "engine died"}}
    assert (await answer_to(events(delta(content="x"), delta("stop"), broken))).text == "x"
    assert (await answer_to(events(delta(content="x"), delta("stop"), done=False, ending="cut"))).text == "x"


async def test_the_first_finish_reason_counts() -> None:
    answer = await answer_to(events(delta(content="x"), delta("length"), delta("stop")))
    assert answer.finish_reason == "length"


async def test_messages_and_tools_reach_the_wire_as_they_are() -> None:
    messages = [
        {"role": "system", "content": "Zuerst ✓"},
        {"content": "out of order", "role": "user", "unknown": {"b": 1, "a": [None, 1.5, True]}},
    ]
    tools: list[dict[str, Any]] = [
        {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
    ]
    async with ModelServer([Reply("a"), Reply("b")]) as server:
        await ask(server, ModelRequest(ORIGIN, messages, tools, temperature=0.0, max_tokens=77))
        await ask(server)
    full, plain = server.requests
    assert json.dumps(full["messages"]) == json.dumps(messages)
    assert json.dumps(full["tools"]) == json.dumps(tools)
    assert "Zuerst ✓".encode() in server.bodies[0]
    assert (full["model"], full["temperature"], full["max_tokens"]) == ("tiny", 0.0, 77)
    assert full["stream"] is True
    assert full["stream_options"] == {"include_usage": True}
    assert set(plain) == {"model", "messages", "stream", "stream_options", "max_tokens"}
    assert plain["max_tokens"] == 8192 // 4


async def test_half_a_surrogate_pair_does_not_stop_a_request() -> None:
    async with ModelServer([Reply("a")]) as server:
        await ask(server, ModelRequest(ORIGIN, [{"role": "user", "content": "x\ud800y"}]))
    assert server.requests[0]["messages"][0]["content"] == "x?y"


async def test_one_connection_serves_all_requests() -> None:
    async with ModelServer([Reply(f"answer {n}") for n in range(5)]) as server:
        model = model_at(server)
        await model.connect()
        probes = len(server.connections)
        for number in range(5):
            assert fold([event async for event in model.complete(QUESTION)]).text == f"answer {number}"
        await model.aclose()
        assert server.paths.count("/v1/chat/completions") == 5
        assert 5 in [connection.requests for connection in server.connections[probes:]]


async def test_requests_run_side_by_side() -> None:
    async with ModelServer([Reply("a b c d", pace=0.01)] * 4) as server:
        model = model_at(server)
        streams = [model.complete(QUESTION) for _ in range(4)]
        begun = [[await anext(stream) for _ in range(3)][-1] for stream in streams]
        assert all(isinstance(event, TextDelta) for event in begun)
        rest = [[event async for event in stream] for stream in streams]
        assert all(isinstance(happened[-1], ModelFinished) for happened in rest)
        await model.aclose()


@settings(max_examples=25, deadline=None)
@given(text=st.text(max_size=60), thinking=st.text(max_size=20), arguments=st.dictionaries(st.text(), st.text()))
async def test_any_text_comes_through(text: str, thinking: str, arguments: dict[str, str]) -> None:
    answer = await answer_to(Reply(text, thinking, [("f", arguments)]))
    assert (answer.text, answer.thinking) == (text, thinking)
    assert [json.loads(call.arguments) for call in answer.tool_calls] == [arguments]


async def test_call_ids_that_repeat_between_answers_are_items_of_their_own_and_the_servers_again_on_the_wire() -> None:
    play = events(call_delta(index=0, id="functions.f:0", name="f", arguments="{}"), delta("tool_calls"))
    async with ModelServer([play, play, play]) as server:
        model = model_at(server)
        first = fold([event async for event in model.complete(QUESTION)]).tool_calls[0]
        second = fold([event async for event in model.complete(QUESTION)]).tool_calls[0]
        await model.aclose()
        message = {"role": "assistant", "content": "", "tool_calls": [{"id": "functions.f:0"}]}
        third = fold(await ask(server, ModelRequest(ORIGIN, [message]))).tool_calls[0]
    assert len({first.id, second.id, third.id}) == 3
    assert [call.server_id for call in (first, second, third)] == ["functions.f:0"] * 3
