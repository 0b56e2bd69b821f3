"""Our layer and our program on llama.cpp's server, with the same model as on vLLM."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from itertools import pairwise
from pathlib import Path
from urllib.request import urlopen

import pytest
from real.program import CALC, make_workspace, run
from real.scenarios import ADD, ENDLESS, LOOP, SCENARIOS
from real.servers import Server, llama
from real.talk import answered_by, ask, calls_of, expected, play, pool, request, results, said, until

from agentic.events import DELTAS, Event, Failover, ItemWithdrawn, ModelFinished, TextDelta
from agentic.ports.model import Answer
from agentic.tools.registry import tool_specs

pytestmark = [pytest.mark.server, pytest.mark.timeout(600)]

IMPOSSIBLE = {"broken", "leak", "unknown"}
"""A grammar keeps calls to the tools that there are, and to their form."""
EXACT = [name for name in SCENARIOS if name not in {*ENDLESS, *IMPOSSIBLE, "naked"}]


def is_idle(server: Server) -> bool:
    with urlopen(f"{server.root}/slots", timeout=10) as answer:
        return not any(slot["is_processing"] for slot in json.load(answer))


async def test_a_whole_turn_repairs_a_file(llama_cpp: Server, tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    ran = await run(tmp_path, "Please play scenario fix", llama_cpp.url)
    assert ran.code == 0, ran.errors
    assert (workspace / "calc.py").read_text("utf-8") == CALC.replace("a - b", "a + b")
    assert [event["tool"] for event in ran.of("toolStarted")] == ["read_file", "edit_file", "run_command"]
    assert [event["text"].strip() for event in ran.of("thinkingFinished")][1] == "Minus must be plus."
    assert ran.said == "Fixed: add() in calc.py now returns a + b, and the test passes."
    for (before, _), (prompt, cached) in pairwise(ran.cached):
        assert before - 32 < cached <= prompt, "a prompt begins with all of the one before it"


@pytest.mark.parametrize("name", EXACT)
async def test_thoughts_text_and_calls_arrive_apart(llama_cpp: Server, name: str) -> None:
    model = pool(llama_cpp.url)
    messages = play(name)
    for words in SCENARIOS[name]:
        answer, _ = await ask(model, request(messages, name))
        thought, text, calls = expected(words)
        assert (answer.thinking.strip(), answer.text.strip(), calls_of(answer)) == (thought, text, calls)
        assert answer.finish_reason == ("tool_calls" if calls else "stop")
        messages = [*messages, said(answer), *results(answer)]
    await model.aclose()


async def test_text_of_any_kind_survives_a_call(llama_cpp: Server, tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    ran = await run(tmp_path, "Please play scenario write", llama_cpp.url)
    assert ran.code == 0, ran.errors
    assert (workspace / "add.py").read_text("utf-8") == ADD


async def test_a_call_without_tags_is_found(llama_cpp: Server) -> None:
    model = pool(llama_cpp.url)
    answer, _ = await ask(model, request(play("naked")))
    assert calls_of(answer) == [("read_file", {"path": "naked.py"})]
    await model.aclose()


async def test_the_window_is_that_of_a_slot(llama_cpp: Server) -> None:
    model = pool(llama_cpp.url)
    await model.connect()
    assert model.window == 8192
    await model.aclose()


async def test_usage_and_counts_are_the_servers(llama_cpp: Server) -> None:
    model = pool(llama_cpp.url)
    messages = play("reply")
    answer, _ = await ask(model, request(messages))
    total = sum(one.tokens for one in await model.count(messages, tool_specs()))
    print(f"the server counts {answer.usage.prompt}, we count {total}")
    assert answer.usage.prompt is not None
    assert 0.8 * answer.usage.prompt < total < 1.6 * answer.usage.prompt
    assert answer.usage.cached is not None
    await model.aclose()


async def test_closing_the_generator_stops_the_server(llama_cpp: Server) -> None:
    model = pool(llama_cpp.url)
    await model.connect()
    await until(lambda: is_idle(llama_cpp))
    async with aclosing(model.complete(request(play("loop"), max_tokens=6000))) as stream:
        async for event in stream:
            if isinstance(event, TextDelta):
                break
        assert not await asyncio.to_thread(is_idle, llama_cpp)
    closed = asyncio.get_running_loop().time()
    await until(lambda: is_idle(llama_cpp))
    print(f"idle {asyncio.get_running_loop().time() - closed:.2f} s after the generator was closed")
    await model.aclose()


async def test_many_answers_come_whole_over_kept_connections(llama_cpp: Server) -> None:
    """Now and then it closes a connection right after a streamed answer, without having said so."""
    model = pool(llama_cpp.url, waits=(0.1,))
    again = 0
    for _ in range(60):
        answer, events = await ask(model, request(play("reply")))
        assert answer.text.endswith("Hello! What shall we work on?")
        again += sum(isinstance(event, Failover) for event in events)
    print(f"{again} of 60 answers needed a second attempt")
    await model.aclose()


async def test_a_killed_server_hands_over_to_another(llama_cpp: Server, gguf: Path, logs: Path) -> None:
    with llama(gguf, log=logs / "doomed.log") as doomed:
        model = pool(doomed.url, llama_cpp.url)
        await asyncio.gather(model.connect(), until(doomed.is_healthy))
        answer, events = Answer(), list[Event]()
        async with aclosing(await answered_by(doomed.url, model, 1500)) as stream:
            async for event in stream:
                answer.add(event)
                events.append(event)
                if isinstance(event, TextDelta) and doomed.process.is_running():
                    doomed.process.kill()
                    doomed.process.wait(20)
        told = [event for event in events if not isinstance(event, DELTAS)]
        [failover] = [event for event in told if isinstance(event, Failover)]
        assert (failover.endpoint, failover.to) == (doomed.url, llama_cpp.url)
        assert any(isinstance(event, ItemWithdrawn) for event in told[: told.index(failover)])
        assert isinstance(events[-1], ModelFinished)
        assert answer.text.count(LOOP) > 100
        await model.aclose()
