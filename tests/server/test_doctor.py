"""`agentic doctor` and the command `agentic.doctor`, against servers of several kinds and some that are none."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.daemon import environment
from support.model_server import Answer, Json, ModelServer, Play, Reply, html, only, status, stream
from support.raw_client import python

from agentic_server import settings
from agentic_server.doctor import examine
from agentic_server.doctor_wire import DoctorResult

PATIENCE = 60.0
PIPE = asyncio.subprocess.PIPE
NO_PARSER = status(
    400,
    {"error": {"message": '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'}},
)
WEATHER = Reply(calls=[("get_weather", {"city": "Paris"})])
CALL = "<tool_call>\n<function=get_weather>\n<parameter=city>\nParis\n</parameter>\n</function>\n</tool_call>"
USAGE = {"prompt_tokens": 600, "completion_tokens": 40, "prompt_tokens_details": {"cached_tokens": 576}}
GOOD_CARD = {"id": "openai/gpt-oss-20b", "owned_by": "vllm", "max_model_len": 131072}
METRICS = 'vllm:num_requests_running 0.0\nvllm:cache_config_info{block_size="16",enable_prefix_caching="%s"} 1.0\n'


def good(request: Json) -> Answer:
    return WEATHER if "tools" in request else Reply("one two three", thinking="hm", usage=USAGE, pace=0.001)


def weak(request: Json) -> Answer:
    if "tools" in request:
        return NO_PARSER
    return Reply(CALL) if "get_weather" in str(request["messages"]) else Reply("<think>hm</think> one two", pace=0.001)


@pytest.fixture
async def strong_server() -> AsyncIterator[ModelServer]:
    pages: dict[str, Json | str | Play] = {"/version": {"version": "0.32.0"}, "/metrics": METRICS % "True"}
    async with ModelServer(good, models={"data": [GOOD_CARD]}, pages={**pages}) as server:
        yield server


@pytest.fixture
async def weak_server() -> AsyncIterator[ModelServer]:
    card = {"id": "Qwen/Qwen3-8B", "owned_by": "vllm", "max_model_len": 8192}
    async with ModelServer(weak, models={"data": [card]}, pages={"/metrics": METRICS % "False"}) as server:
        yield server


async def doctor(*urls: str, measure: bool = True) -> DoctorResult:
    endpoints = [settings.Endpoint(url) for url in urls]
    return await examine(settings.Settings(endpoints=endpoints), measure=measure)


async def test_a_good_server_needs_nothing(strong_server: ModelServer) -> None:
    [found] = (await doctor(strong_server.url)).endpoints
    assert (found.server, found.version, found.window, found.tools) == ("vllm", "0.32.0", 131072, "native")
    assert (found.reasoning, found.usage_in_stream, found.prefix_caching) == ("reasoning", True, True)
    assert found.hit_share == pytest.approx(0.96)
    assert found.first_token_seconds is not None
    assert [speed.requests for speed in found.speeds] == [1, 4, 8]
    assert (found.problem, found.hint) == ("", "")
    assert [advice.hint for advice in found.advice if "--max-num-seqs" not in advice.hint] == []


async def test_a_weak_server_is_told_its_flags(weak_server: ModelServer) -> None:
    [found] = (await doctor(weak_server.url)).endpoints
    assert (found.tools, found.reasoning, found.prefix_caching) == ("prompted", "text", False)
    told = " ".join(advice.hint for advice in found.advice)
    for flag in (
        "--enable-auto-tool-choice --tool-call-parser hermes",
        "--max-model-len 65536",
        "--reasoning-parser qwen3",
        "--enable-prefix-caching",
        "--enable-prompt-tokens-details",
    ):
        assert flag in told


async def test_a_slow_endpoint_does_not_hold_up_the_others(strong_server: ModelServer) -> None:
    steps: list[tuple[str, str]] = []
    done = asyncio.Event()

    def tell(url: str, step: str) -> None:
        steps.append((url, step))
        if (url, step) == (strong_server.url, ""):
            done.set()

    async with ModelServer(lambda _: Play([], ending="stall")) as slow:
        endpoints = [settings.Endpoint(slow.url), settings.Endpoint(strong_server.url)]
        task = asyncio.create_task(examine(settings.Settings(endpoints=endpoints), measure=True, tell=tell))
        await asyncio.wait_for(done.wait(), PATIENCE)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (slow.url, "asks for a tool call") in steps
        assert (slow.url, "") not in steps
        await asyncio.wait_for(slow.client_closed.wait(), PATIENCE)


async def test_without_measuring_nothing_is_asked_of_the_model(strong_server: ModelServer) -> None:
    [found] = (await doctor(strong_server.url, measure=False)).endpoints
    assert strong_server.requests == []
    assert (found.tools, found.window_source, found.advice) == ("unknown", "served", [])


async def test_an_endpoint_that_is_dead_has_one_problem_and_one_hint() -> None:
    async with ModelServer([]) as server:
        url = server.url
    [found] = (await doctor(url)).endpoints
    assert not found.reachable
    assert url in found.problem
    assert "Start the model server" in found.hint


NONSENSE = {
    "a web page": html(),
    "a crash": status(500, "Traceback (most recent call last)"),
    "nothing": stream([]),
    "half a line": stream([b"data: {"], "cut"),
    "no text": stream([b"\xff\xfe\x00\x80\n\n"]),
    "lists": stream([b"data: [[[[]]]]\n\n", b"data: [DONE]\n\n"]),
    "numbers": stream([b'data: {"choices": [{"delta": {"content": 5}}], "usage": "no"}\n\n']),
    "a cut": only(Reply("one two"), 2, "cut"),
}


@pytest.mark.parametrize("answer", NONSENSE.values(), ids=NONSENSE.keys())
async def test_nonsense_is_told_and_harms_nobody(answer: Play) -> None:
    paths = ["/version", "/props", "/api/version", "/api/ps", "/api/show", "/server_info", "/api/v0/models", "/metrics"]
    async with ModelServer(lambda _: answer, pages=dict.fromkeys(paths, answer)) as server:
        [found] = (await doctor(server.url)).endpoints
    assert found.reachable
    assert (found.tools, found.speeds) == ("unknown", [])
    assert found.problem


async def agentic(folder: Path, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *python("-m", "agentic_server", "doctor", *arguments),
        env={"PATH": "/usr/bin:/bin", **environment(folder)},
        stdout=PIPE,
        stderr=PIPE,
    )


async def ended(process: asyncio.subprocess.Process) -> tuple[int | None, str, str]:
    out, err = await asyncio.wait_for(process.communicate(), PATIENCE)
    return process.returncode, out.decode(), err.decode()


async def test_on_a_pipe_it_is_plain_text(tmp_path: Path, strong_server: ModelServer, weak_server: ModelServer) -> None:
    urls = ["--base-url", strong_server.url, "--base-url", weak_server.url]
    code, out, err = await ended(await agentic(tmp_path, *urls))
    assert (code, err) == (0, "")
    assert f"{strong_server.url}\n    server        vLLM 0.32.0\n" in out
    assert "    tools         prompted: told in the prompt, called in text\n" in out
    assert "--tool-call-parser hermes" in out
    assert "\x1b" not in out
    assert all(len(line) <= 80 for line in out.splitlines() if "sessions:" not in line)


async def test_quick_asks_for_no_completion(tmp_path: Path, strong_server: ModelServer) -> None:
    code, out, _ = await ended(await agentic(tmp_path, "--quick", "--base-url", strong_server.url))
    assert code == 0
    assert "131,072 tokens (told by the server)" in out
    assert strong_server.requests == []


async def test_none_that_can_be_used_is_exit_code_1(tmp_path: Path) -> None:
    async with ModelServer([]) as server:
        url = server.url
    code, out, err = await ended(await agentic(tmp_path, "--base-url", url))
    assert (code, err) == (1, "")
    assert f"✘ {url}\n" in out


async def test_a_key_is_never_printed(tmp_path: Path) -> None:
    key = "sk-very-secret-key"
    denied = status(401, {"error": {"message": f"Invalid key {key}"}})
    async with ModelServer(lambda _: denied, models=denied) as shut, ModelServer(lambda _: denied) as ajar:
        urls = ["--base-url", shut.url, "--base-url", ajar.url, "--key", key]
        code, out, err = await ended(await agentic(tmp_path, *urls))
    assert code == 0
    assert out.count("Set the key of this endpoint") == 2
    assert key not in out + err


async def test_ctrl_c_ends_it_without_a_traceback(tmp_path: Path) -> None:
    async with ModelServer(lambda _: Play([], ending="stall")) as server:
        process = await agentic(tmp_path, "--base-url", server.url)
        await asyncio.wait_for(server.request_seen.wait(), PATIENCE)
        process.send_signal(signal.SIGINT)
        code, _, err = await ended(process)
    assert (code, err) == (130, "")


def test_the_report_is_json_that_clients_can_read() -> None:
    schema = json.loads((Path(__file__).parents[2] / "docs/schema/commands.json").read_text("utf-8"))
    report = schema["$defs"]["EndpointReport"]["properties"]
    assert {"windowSource", "hitShare", "firstTokenSeconds", "speeds", "advice"} <= set(report)
