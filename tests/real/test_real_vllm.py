"""Our layer and our program on real vLLM, with a model that answers by heart (README.md beside this)."""

from __future__ import annotations

import asyncio
import json
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from real.batching import measure
from real.program import CALC, make_workspace, run
from real.scenarios import ADD, ENDLESS, LOOP, SCENARIOS
from real.servers import BLOCK, MODEL, Server, output_of
from real.talk import answered_by, ask, calls_of, expected, play, pool, request, results, said, until

from agentic.errors import EndpointUnreachable, RequestRefused, ServerBusy, StreamBroken
from agentic.events import (
    DELTAS,
    Event,
    Failover,
    FirstToken,
    ModelFinished,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
)
from agentic.llm.endpoint import Endpoint
from agentic.llm.pool import Pool
from agentic.ports.model import Answer, ModelRequest
from agentic.tools.registry import tool_specs

pytestmark = [pytest.mark.server, pytest.mark.timeout(600)]

PATIENCE = 60.0
EXACT = [name for name in SCENARIOS if name not in {*ENDLESS, "plain", "broken", "leak", "naked"}]
"""Scenarios in which the server can tell apart thought, text and calls."""


def is_idle(server: Server) -> bool:
    return not server.gauge("vllm:num_requests_running") and not server.gauge("vllm:num_requests_waiting")


async def test_a_whole_turn_repairs_a_file(hermes: Server, tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    ran = await run(tmp_path, "Please play scenario fix", hermes.url)
    assert ran.code == 0, ran.errors
    assert (workspace / "calc.py").read_text("utf-8") == CALC.replace("a - b", "a + b")
    output_of(sys.executable, workspace / "test_calc.py")
    assert ran.of("classified")[0]["by"] == "model"
    assert [event["tool"] for event in ran.of("toolStarted")] == ["read_file", "edit_file", "run_command"]
    assert [event["text"].strip() for event in ran.of("thinkingFinished")][1] == "Minus must be plus."
    assert ran.said == "Fixed: add() in calc.py now returns a + b, and the test passes."


async def test_the_prefix_cache_holds_all_but_what_is_new(hermes: Server, tmp_path: Path) -> None:
    make_workspace(tmp_path)
    queries, hits = (hermes.gauge(f"vllm:prefix_cache_{name}_total") for name in ("queries", "hits"))
    first = await run(tmp_path, "Please play scenario fix", hermes.url)
    second = await run(tmp_path, "Please play scenario thinkcall", hermes.url, session=first.session)
    prompts = [*first.cached, *second.cached]
    for (before, _), (prompt, cached) in pairwise(prompts):
        assert cached > before - 2 * BLOCK, "a prompt begins with all of the one before it"
        assert cached <= prompt
    told = first.events[-1]["metrics"]
    assert told["cachedTokens"] == sum(cached for _, cached in first.cached)
    share = sum(cached for _, cached in prompts[1:]) / sum(prompt for prompt, _ in prompts[1:])
    counted = hermes.gauge("vllm:prefix_cache_hits_total") - hits
    asked = hermes.gauge("vllm:prefix_cache_queries_total") - queries
    print(f"hit share after the first request: {share:.1%}; by the server's counters: {counted / asked:.1%}")
    assert share > 0.9
    assert counted == sum(cached for _, cached in prompts)
    assert asked == sum(prompt for prompt, _ in prompts)


@pytest.mark.parametrize("name", EXACT)
async def test_thoughts_text_and_calls_arrive_apart(hermes: Server, name: str) -> None:
    model = pool(hermes.url)
    messages = play(name)
    for words in SCENARIOS[name]:
        answer, events = await ask(model, request(messages, name))
        thought, text, calls = expected(words)
        assert (answer.thinking.strip(), answer.text.strip(), calls_of(answer)) == (thought, text, calls)
        assert answer.finish_reason == ("tool_calls" if calls else "stop")
        assert sum(isinstance(event, TextDelta | ThinkingDelta | ToolCallDelta) for event in events) > 5
        messages = [*messages, said(answer), *results(answer)]
    await model.aclose()


async def test_text_of_any_kind_survives_a_call(hermes: Server, tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    ran = await run(tmp_path, "Please play scenario write", hermes.url)
    assert ran.code == 0, ran.errors
    assert (workspace / "add.py").read_text("utf-8") == ADD


@pytest.mark.parametrize("name", ["leak", "naked"])
async def test_a_slip_in_a_call_is_mended(hermes: Server, tmp_path: Path, name: str) -> None:
    """A tag that was not closed; no tags at all."""
    make_workspace(tmp_path)
    ran = await run(tmp_path, f"Please play scenario {name}", hermes.url)
    assert ran.code == 0, ran.errors
    [call] = ran.of("toolStarted")
    assert (call["tool"], json.loads(call["arguments"])) == ("read_file", {"path": f"{name}.py"})
    assert ran.said == f"There is no {name}.py."


async def test_arguments_that_were_not_closed_do_no_harm(hermes: Server, tmp_path: Path) -> None:
    """vLLM passes them on as they are. They may be half of what was meant, and would break every later request."""
    make_workspace(tmp_path)
    ran = await run(tmp_path, "Please play scenario broken", hermes.url)
    assert ran.code == 0, ran.errors
    [finished] = ran.of("toolFinished")
    assert (finished["status"], finished["code"]) == ("failed", "bad_arguments")
    assert ran.said == "There is no broken.py."


async def test_an_answer_that_vllm_takes_for_a_thought_is_not_empty(hermes: Server, tmp_path: Path) -> None:
    """Its Qwen parser gives an answer without think tags as reasoning, with no content at all."""
    make_workspace(tmp_path)
    ran = await run(tmp_path, "Please play scenario plain", hermes.url)
    assert ran.code == 0, ran.errors
    assert SCENARIOS["plain"][0] in json.dumps(ran.events)


async def test_the_window_is_the_servers(hermes: Server) -> None:
    model = pool(hermes.url)
    await model.connect()
    assert model.window == 8192
    await model.aclose()


async def test_usage_is_what_the_server_counts(hermes: Server) -> None:
    model = pool(hermes.url)
    messages = play("reply")
    body = {"model": MODEL, "messages": messages, "tools": tool_specs(), "add_generation_prompt": True}
    count = (await asyncio.to_thread(hermes.post, "/tokenize", body))["count"]
    answer, _ = await ask(model, request(messages))
    assert answer.usage.prompt == count
    assert answer.usage.cached is not None
    assert not answer.usage.computed
    counts = await model.count(messages, tool_specs())
    total = sum(one.tokens for one in counts)
    print(f"the server counts {count}, we count {total}")
    assert 0.8 * count < total < 1.6 * count
    await model.aclose()


async def test_a_limit_of_tokens_ends_an_answer(hermes: Server) -> None:
    model = pool(hermes.url)
    answer, _ = await ask(model, request(play("loop"), max_tokens=80))
    assert answer.finish_reason == "length"
    assert answer.usage.completion == 80
    assert answer.text.count(LOOP) > 5
    await model.aclose()


async def test_closing_the_generator_stops_the_server(hermes: Server) -> None:
    model = pool(hermes.url)
    await until(lambda: is_idle(hermes))
    stream = model.complete(request(play("loop"), max_tokens=6000))
    async for event in stream:
        if isinstance(event, TextDelta):
            break
    assert hermes.gauge("vllm:num_requests_running") == 1
    await stream.aclose()
    closed = asyncio.get_running_loop().time()
    await until(lambda: is_idle(hermes))
    print(f"idle {asyncio.get_running_loop().time() - closed:.2f} s after the generator was closed")
    await model.aclose()


async def test_four_requests_at_once_are_faster_than_in_turn(hermes: Server) -> None:
    found = await measure(hermes.url, repeats=2)
    print(found)
    assert found.tokens == 4 * 256


async def test_a_server_without_parsers_is_told_about_tools_in_the_prompt(plain: Server, tmp_path: Path) -> None:
    """It refuses requests with tools: they go into the prompt, and calls and thoughts are found in the text."""
    workspace = make_workspace(tmp_path)
    ran = await run(tmp_path, "Please play scenario fix", plain.url)
    assert ran.code == 0, ran.errors
    assert "a + b" in (workspace / "calc.py").read_text("utf-8")
    assert any(notice["code"] == "tools_prompted" for notice in ran.of("modelNotice"))
    assert [event["tool"] for event in ran.of("toolStarted")] == ["read_file", "edit_file", "run_command"]
    assert "<tool_call>" not in ran.said
    assert [event["text"].strip() for event in ran.of("thinkingFinished")][1] == "Minus must be plus."


async def test_native_tools_on_a_server_without_parsers_are_a_named_error(plain: Server) -> None:
    model = Pool([Endpoint(plain.url, tools="native")], temperature=0.0)
    with pytest.raises(RequestRefused, match="enable-auto-tool-choice"):
        await ask(model, request(play("fix")))
    await model.aclose()


async def test_a_server_that_is_full_is_asked_again(plain: Server) -> None:
    patient = pool(plain.url, waits=(0.2,), retries=300)
    await patient.connect()
    await until(lambda: is_idle(plain))
    asked = [_untooled("loop", 1500)] * 4
    told = await asyncio.wait_for(asyncio.gather(*(ask(patient, one) for one in asked)), 3 * PATIENCE)
    assert all(LOOP in answer.text for answer, _ in told)
    failovers = [event for _, events in told for event in events if isinstance(event, Failover)]
    assert "server_busy" in {event.code for event in failovers}
    assert plain.gauge("vllm:admission_rejections_total") >= 1
    await patient.aclose()


async def test_a_killed_engine_hands_over_to_another_server(plain: Server, hermes: Server) -> None:
    """The last test of this server: its engine dies in the middle of an answer, twice told."""
    alone = pool(plain.url, retries=1, waits=(0.1,))
    both = pool(plain.url, hermes.url)
    await asyncio.gather(alone.connect(), both.connect())
    await until(lambda: is_idle(plain))
    answer, events, killed = Answer(), list[Event](), False
    stream = await answered_by(plain.url, both, 6000)
    frozen = asyncio.create_task(asyncio.to_thread(plain.freeze))
    async for event in stream:
        answer.add(event)
        events.append(event)
        if isinstance(event, FirstToken) and not killed:
            killed = True
            await frozen
            plain.child("EngineCore").kill()
            await until(lambda: not plain.is_healthy())
    told = [event for event in events if not isinstance(event, DELTAS)]
    failover = next((event for event in told if isinstance(event, Failover)), None)
    assert failover is not None, told
    assert (failover.endpoint, failover.to) == (plain.url, hermes.url)
    assert failover.code in {StreamBroken.code, ServerBusy.code, EndpointUnreachable.code}
    assert isinstance(events[-1], ModelFinished)
    assert answer.text.count(LOOP) > 100
    assert len(answer.texts) == 1, "what the dead server said is gone"
    assert sum(isinstance(event, FirstToken) for event in events) == 2
    with pytest.raises((EndpointUnreachable, ServerBusy)) as failure:
        await ask(alone, _untooled("reply"))
    assert failure.value.hint
    await alone.aclose()
    await both.aclose()


def _untooled(scenario: str, max_tokens: int | None = None) -> ModelRequest:
    messages = [{"role": "user", "content": f"scenario {scenario}"}]
    return request(messages, scenario, tools=[], max_tokens=max_tokens)
