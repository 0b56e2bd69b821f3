"""What an endpoint is found to do, by asking servers of every habit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from support.model_server import Answer, Json, ModelServer, Play, Reply, events, html, only, status, stream

from agentic.llm.endpoint import Endpoint, EndpointInfo
from agentic.llm.measure import Measured, measure

WEATHER = Reply(calls=[("get_weather", {"city": "Paris"})])
COUNT = Reply("one two three four five six seven eight", usage={"prompt_tokens": 600, "completion_tokens": 40})
NO_PARSER = status(
    400,
    {"error": {"message": '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'}},
)


def has_tools(request: Json) -> bool:
    return "tools" in request or "get_weather" in str(request["messages"])


def answers(with_tool: Answer, else_: Answer = COUNT) -> Callable[[Json], Answer]:
    return lambda request: with_tool if has_tools(request) else else_


async def measured(
    script: Callable[[Json], Answer],
    *,
    pages: dict[str, Json | str | Play] | None = None,
    seconds: float = 20.0,
    tools: Any = "auto",
) -> Measured:
    async with ModelServer(script, pages=pages or {}) as server:
        return await measure(Endpoint(server.url, tools=tools), EndpointInfo(server.url, "tiny", 8192), seconds)


@pytest.mark.parametrize(
    ("with_tool", "support"),
    [
        (WEATHER, "native"),
        (Reply("It is sunny."), "unused"),
        (Reply('<tool_call>{"name": "get_weather", "arguments": {"city": "Paris"}}</tool_call>'), "recovered"),
        (status(400, {"error": {"message": "the temperature of this request is wrong in some way"}}), "refused"),
        (only(WEATHER, 3, "cut"), "unknown"),
    ],
)
async def test_how_a_call_arrives(with_tool: Answer, support: str) -> None:
    assert (await measured(answers(with_tool))).tools == support


CALL = "<tool_call>\n<function=get_weather>\n<parameter=city>\nParis\n</parameter>\n</function>\n</tool_call>"


@pytest.mark.parametrize(("prompted", "support"), [(Reply(CALL), "prompted"), (Reply("Sunny."), "refused")])
async def test_a_server_that_refuses_tools_is_asked_in_the_prompt(prompted: Reply, support: str) -> None:
    found = await measured(_refusing(prompted))
    assert found.tools == support
    assert found.problems == []


def _refusing(prompted: Reply) -> Callable[[Json], Answer]:
    def answer(request: Json) -> Answer:
        if "tools" in request:
            return NO_PARSER
        return prompted if has_tools(request) else COUNT

    return answer


async def test_tools_that_are_set_to_be_prompted_are_not_refused() -> None:
    assert (await measured(answers(Reply(CALL)), tools="prompted")).tools == "prompted"
    assert (await measured(answers(Reply("Sunny.")), tools="prompted")).tools == "unused"
    assert (await measured(_refusing(Reply(CALL)), tools="native")).tools == "refused"


@pytest.mark.parametrize(
    ("reply", "where"),
    [
        (replace(COUNT, thinking="I count."), "reasoning"),
        (replace(COUNT, thinking="I count.", reasoning_field="reasoning_content"), "reasoning_content"),
        (replace(COUNT, text="<think>I count.</think> one two"), "text"),
        (COUNT, "none"),
    ],
)
async def test_where_thoughts_arrive(reply: Reply, where: str) -> None:
    assert (await measured(answers(WEATHER, reply))).reasoning == where


async def test_the_cache_is_told_by_the_answer() -> None:
    usage = {"prompt_tokens": 600, "completion_tokens": 40, "prompt_tokens_details": {"cached_tokens": 540}}
    found = await measured(answers(WEATHER, replace(COUNT, usage=usage)))
    assert (found.tells_cached, found.prefix_caching, found.hit_share) == (True, True, pytest.approx(0.9))


async def test_the_cache_is_told_by_the_gauges() -> None:
    pages: dict[str, Json | str | Play] = {"/metrics": _metrics(1000, 500)}

    def answer(request: Json) -> Answer:
        if has_tools(request):
            return WEATHER
        seen.append(request)
        if len(seen) == 2:
            pages["/metrics"] = _metrics(1600, 1040)
        return COUNT

    seen: list[Json] = []
    found = await measured(answer, pages=pages)
    assert (found.tells_cached, found.tells_gauges, found.prefix_caching) == (False, True, True)
    assert found.hit_share == pytest.approx(0.9)
    assert seen[0]["messages"] == seen[1]["messages"] != seen[2]["messages"]


def _metrics(queries: int, hits: int) -> str:
    return (
        f"vllm:prefix_cache_queries_total 0{queries}\nvllm:prefix_cache_hits_total {hits}\n"
        'vllm:cache_config_info{block_size="16",enable_prefix_caching="True"} 1.0\n'
    )


async def test_a_cache_of_which_nothing_is_told_is_unknown() -> None:
    found = await measured(answers(WEATHER))
    assert (found.tells_cached, found.tells_gauges, found.prefix_caching, found.hit_share) == (False, False, None, None)


async def test_speed_is_measured_alone_and_together() -> None:
    steps: list[str] = []
    async with ModelServer(answers(WEATHER, replace(COUNT, pace=0.002))) as server:
        found = await measure(Endpoint(server.url), EndpointInfo(server.url, "tiny", 8192), 20.0, steps.append)
    assert [speed.requests for speed in found.speeds] == [1, 4, 8]
    assert all(speed.tokens_per_second > 0 for speed in found.speeds)
    assert found.first_token_seconds is not None
    assert found.usage_in_stream
    assert not found.cut_short
    assert len(server.requests) == 1 + 2 + 4 + 8
    assert all(request["max_tokens"] <= 512 for request in server.requests)
    assert steps[-1] == "sends 8 requests at once"


async def test_usage_that_is_not_told() -> None:
    chunk: Json = {"choices": [{"delta": {"content": "one"}, "finish_reason": "stop"}]}
    assert (await measured(lambda _: events(chunk))).usage_in_stream is False


async def test_too_slow_a_server_costs_no_more_than_the_time_that_is_given() -> None:
    found = await measured(lambda _: only(COUNT, 3, "drip"), seconds=0.4)
    assert found.cut_short
    assert (found.tools, found.speeds, found.problems) == ("unknown", [], [])


@pytest.mark.parametrize(
    "answer",
    [
        html(),
        status(500, "crash"),
        status(404, {"error": {"message": "no such model"}}),
        stream([b"data: {\n\n"]),
        stream([b"data: [1]\n\n"], "cut"),
        stream([]),
        events({"choices": "many"}),
        events({"choices": [{"delta": {"tool_calls": [{}]}, "finish_reason": "tool_calls"}]}),
        stream([b"\xff\xfe\x00"]),
    ],
)
async def test_nonsense_becomes_problems(answer: Play) -> None:
    found = await measured(lambda _: answer)
    assert found.problems
    assert (found.tools, found.speeds) == ("unknown", [])


async def test_a_server_that_dies_under_load_is_told() -> None:
    count = 0

    def answer(request: Json) -> Answer:
        nonlocal count
        count += 1
        return WEATHER if has_tools(request) else COUNT if count < 6 else status(503, "busy")

    found = await measured(answer)
    assert [speed.requests for speed in found.speeds] == [1]
    assert any("busy" in str(problem) for problem in found.problems)
