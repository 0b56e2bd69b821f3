"""gpt-oss's path through vLLM: its prompt is rendered, and its answers are parsed, as Harmony."""

from __future__ import annotations

from pathlib import Path

import pytest
from real.harmony import ENDLESS, SCENARIOS
from real.program import CALC, make_workspace, run
from real.servers import Server
from real.talk import ask, calls_of, play, pool, request, results, said

pytestmark = [pytest.mark.server, pytest.mark.timeout(600)]


async def test_a_whole_turn_repairs_a_file(gpt_oss: Server, tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    ran = await run(tmp_path, "Please play scenario fix", gpt_oss.url)
    assert ran.code == 0, ran.errors
    assert (workspace / "calc.py").read_text("utf-8") == CALC.replace("a - b", "a + b")
    assert [event["text"] for event in ran.of("thinkingFinished")][1] == "Minus must be plus."
    assert [event["tool"] for event in ran.of("toolStarted")] == ["read_file", "edit_file", "run_command"]
    assert ran.said == SCENARIOS["fix"][-1].text


@pytest.mark.parametrize("name", [name for name in SCENARIOS if name not in {*ENDLESS, "nochannel"}])
async def test_reasoning_text_and_calls_arrive_apart(gpt_oss: Server, name: str) -> None:
    model = pool(gpt_oss.url)
    messages = play(name)
    for wanted in SCENARIOS[name]:
        answer, _ = await ask(model, request(messages, name))
        calls = [(wanted.tool, wanted.arguments)] if wanted.tool else []
        assert (answer.thinking, answer.text, calls_of(answer)) == (wanted.thought, wanted.text, calls)
        messages = [*messages, said(answer), *results(answer)]
    await model.aclose()
