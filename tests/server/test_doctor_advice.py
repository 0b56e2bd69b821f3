"""Each weakness of an endpoint, and the flag that mends it."""

from __future__ import annotations

from typing import Any

import pytest

from agentic.llm.endpoint import EndpointInfo
from agentic.llm.measure import Measured, Speed
from agentic_server.doctor_advice import advise
from agentic_server.doctor_parsers import parsers_for

FINE = {"window": 131_072, "model": "openai/gpt-oss-120b"}


def info(server: str, **fields: Any) -> EndpointInfo:
    return EndpointInfo(**{"url": "http://h/v1", "server": server, **FINE, **fields})


def good(**fields: Any) -> Measured:
    values: dict[str, Any] = {
        "tools": "native",
        "reasoning": "reasoning",
        "usage_in_stream": True,
        "prefix_caching": True,
        "hit_share": 0.97,
        "tells_cached": True,
        "tells_gauges": True,
        "first_token_seconds": 0.2,
        "speeds": [Speed(1, 100.0), Speed(4, 350.0), Speed(8, 600.0)],
    }
    return Measured(**(values | fields))


def hints(endpoint: EndpointInfo, measured: Measured | None) -> str:
    return "\n".join(f"{advice.problem} {advice.hint}" for advice in advise(endpoint, measured))


@pytest.mark.parametrize("server", ["vllm", "llama.cpp", "ollama", "sglang", "lmstudio", "tgi", ""])
def test_where_all_is_well_nothing_is_advised(server: str) -> None:
    assert advise(info(server), good()) == []
    assert advise(info(server), None) == []


@pytest.mark.parametrize(
    ("server", "flag"),
    [
        ("vllm", "--enable-auto-tool-choice --tool-call-parser openai."),
        ("sglang", "--tool-call-parser gpt-oss."),
        ("llama.cpp", "--jinja"),
        ("ollama", "`ollama show`"),
        ("lmstudio", "tool use"),
        ("", "manual"),
    ],
)
@pytest.mark.parametrize("support", ["refused", "prompted", "recovered"])
def test_tools(server: str, flag: str, support: str) -> None:
    assert flag in hints(info(server), good(tools=support))


def test_a_model_that_calls_no_tool() -> None:
    assert "--tool-call-parser openai. A larger model" in hints(info("vllm"), good(tools="unused"))
    assert "--tool-call-parser" not in hints(info("ollama"), good(tools="unused"))


def test_a_model_of_no_known_family_gets_a_reference() -> None:
    assert "docs/vllm.md" in hints(info("vllm", model="tiny"), good(tools="refused"))


@pytest.mark.parametrize(
    ("server", "fields", "flag"),
    [
        ("vllm", {}, "--max-model-len 65536"),
        ("vllm", {"trained_window": 40_960}, "--max-model-len 40960"),
        ("sglang", {}, "--context-length 65536"),
        ("llama.cpp", {"slots": 1}, "-c 65536."),
        ("llama.cpp", {"slots": 4, "window_source": "slot"}, "-c 262144, which its 4 slots share"),
        ("ollama", {"window_source": "runtime"}, "OLLAMA_CONTEXT_LENGTH=65536"),
        ("lmstudio", {"window_source": "runtime"}, "--context-length 65536"),
        ("tgi", {}, "--max-total-tokens 65536"),
        ("vllm", {"window_source": "set"}, "raise this endpoint's `window`"),
        ("", {}, "longer context"),
    ],
)
def test_a_small_window(server: str, fields: dict[str, Any], flag: str) -> None:
    told = hints(info(server, **({"window": 8192} | fields)), None)
    assert "8,192 tokens is small" in told
    assert flag in told


def test_a_window_that_is_not_told() -> None:
    assert "Set this endpoint's `window`" in hints(info("", window_source="guess"), None)
    assert "lms load" in hints(info("lmstudio", window_source="guess"), None)
    assert "OLLAMA_CONTEXT_LENGTH" in hints(info("ollama", window=4096, window_source="default"), None)


@pytest.mark.parametrize(
    ("server", "flag"),
    [
        ("vllm", "--reasoning-parser openai_gptoss"),
        ("sglang", "--reasoning-parser gpt-oss"),
        ("llama.cpp", "--reasoning-format deepseek"),
        ("ollama", "Nothing has to be done"),
    ],
)
def test_thoughts_in_the_text(server: str, flag: str) -> None:
    assert flag in hints(info(server), good(reasoning="text"))


@pytest.mark.parametrize(
    ("server", "flag"),
    [
        ("vllm", "--enable-prefix-caching"),
        ("sglang", "--disable-radix-cache"),
        ("llama.cpp", "--cache-reuse"),
        ("", "manual"),
    ],
)
def test_no_prefix_cache(server: str, flag: str) -> None:
    assert flag in hints(info(server), good(prefix_caching=False, hit_share=0.0))


def test_a_cache_that_forgets() -> None:
    assert "Only 12% of a prompt" in hints(info("vllm"), good(hit_share=0.12))


@pytest.mark.parametrize(
    ("server", "flag"), [("vllm", "--enable-prompt-tokens-details"), ("sglang", "--enable-cache-report")]
)
def test_cached_tokens_that_are_not_told(server: str, flag: str) -> None:
    assert flag in hints(info(server), good(tells_cached=False))


@pytest.mark.parametrize(
    ("server", "flag"),
    [
        ("vllm", "--max-num-seqs"),
        ("sglang", "--max-running-requests"),
        ("llama.cpp", "-np 4 -c 524288"),
        ("ollama", "OLLAMA_NUM_PARALLEL=4"),
        ("lmstudio", "Max Concurrent Predictions"),
    ],
)
def test_requests_that_wait_for_each_other(server: str, flag: str) -> None:
    slow = [Speed(1, 100.0), Speed(4, 101.0), Speed(8, 99.0)]
    assert flag in hints(info(server), good(speeds=slow))
    assert hints(info(server), good(speeds=slow[:1])) == ""


@pytest.mark.parametrize(
    ("server", "flag"), [("llama.cpp", "--metrics"), ("sglang", "--enable-metrics"), ("vllm", "/metrics")]
)
def test_load_that_is_not_told(server: str, flag: str) -> None:
    assert flag in hints(info(server), good(tells_gauges=False))
    assert hints(info("ollama"), good(tells_gauges=False)) == ""


def test_usage_that_is_not_told() -> None:
    assert "estimated" in hints(info("vllm"), good(usage_in_stream=False))


@pytest.mark.parametrize(
    ("model", "tools", "reasoning"),
    [
        ("openai/gpt-oss-20b", "openai", "openai_gptoss"),
        ("Qwen/Qwen2.5-Coder-7B-Instruct", "hermes", ""),
        ("Qwen/Qwen3-8B", "hermes", "qwen3"),
        ("Qwen/Qwen3-Coder-30B-A3B-Instruct", "qwen3_xml", "qwen3"),
        ("Qwen/Qwen3.5-27B", "qwen3_xml", "qwen3"),
        ("deepseek-ai/DeepSeek-R1-0528", "deepseek_v3", "deepseek_r1"),
        ("deepseek-ai/DeepSeek-V3.1", "deepseek_v31", "deepseek_v3"),
        ("deepseek-ai/DeepSeek-V3.2", "deepseek_v32", "deepseek_v3"),
        ("meta-llama/Llama-3.3-70B-Instruct", "llama3_json", ""),
        ("meta-llama/Llama-4-Scout-17B-16E-Instruct", "llama4_pythonic", ""),
        ("zai-org/GLM-4.6", "glm45", "glm45"),
        ("zai-org/GLM-4.7-Flash", "glm47", "glm47"),
        ("moonshotai/Kimi-K2-Instruct", "kimi_k2", "kimi_k2"),
        ("mistralai/Devstral-Small-2507", "mistral", "mistral"),
        ("MiniMaxAI/MiniMax-M2", "minimax_m2", "minimax_m2"),
        ("ByteDance-Seed/Seed-OSS-36B-Instruct", "seed_oss", "seed_oss"),
    ],
)
def test_the_parsers_of_vllm(model: str, tools: str, reasoning: str) -> None:
    assert parsers_for(model, "vllm") == (tools, reasoning)


def test_other_models_and_servers_have_no_parsers() -> None:
    assert parsers_for("tiny", "vllm") is None
    assert parsers_for("Qwen/Qwen3-8B", "ollama") is None
    assert parsers_for("Qwen/Qwen3-Coder-30B", "sglang") == ("qwen3_coder", "qwen3")
