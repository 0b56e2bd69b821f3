"""Which parsers a server needs to read a model's tool calls and thoughts, by the model's family.

The names are those of vLLM 0.32 (its registries of tool and reasoning parsers) and of SGLang's.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Parsers(NamedTuple):
    """The names for `--tool-call-parser` and `--reasoning-parser`; empty where there is none to name."""

    tools: str
    reasoning: str


def parsers_for(model: str, server: str) -> Parsers | None:
    """The parsers of this model's family in this kind of server; None where the family or the server is unknown."""
    for pattern, vllm, sglang in _FAMILIES:
        if re.search(pattern, model, re.IGNORECASE):
            return {"vllm": vllm, "sglang": sglang}.get(server)
    return None


_FAMILIES = (
    (r"gpt-?oss", Parsers("openai", "openai_gptoss"), Parsers("gpt-oss", "gpt-oss")),
    (r"qwen-?3[-_.]?coder|qwen-?3\.\d", Parsers("qwen3_xml", "qwen3"), Parsers("qwen3_coder", "qwen3")),
    (r"qwen-?3", Parsers("hermes", "qwen3"), Parsers("qwen", "qwen3")),
    (r"qwq", Parsers("hermes", "deepseek_r1"), Parsers("qwen", "deepseek-r1")),
    (r"qwen-?2\.5", Parsers("hermes", ""), Parsers("qwen", "")),
    (r"deepseek.*v4", Parsers("deepseek_v4", "deepseek_v4"), Parsers("deepseekv4", "")),
    (r"deepseek.*v3\.2", Parsers("deepseek_v32", "deepseek_v3"), Parsers("deepseekv32", "deepseek-v3")),
    (r"deepseek.*v3\.1", Parsers("deepseek_v31", "deepseek_v3"), Parsers("deepseekv31", "deepseek-v3")),
    (r"deepseek.*r1", Parsers("deepseek_v3", "deepseek_r1"), Parsers("deepseekv3", "deepseek-r1")),
    (r"deepseek.*v3", Parsers("deepseek_v3", ""), Parsers("deepseekv3", "deepseek-v3")),
    (r"llama-?4", Parsers("llama4_pythonic", ""), Parsers("pythonic", "")),
    (r"llama-?3", Parsers("llama3_json", ""), Parsers("llama3", "")),
    (r"glm-?4\.7", Parsers("glm47", "glm47"), Parsers("glm47", "")),
    (r"glm-?4\.[56]", Parsers("glm45", "glm45"), Parsers("glm45", "glm45")),
    (r"kimi[-_]?k3", Parsers("kimi_k3", "kimi_k3"), Parsers("kimi_k3", "")),
    (r"kimi[-_]?k2", Parsers("kimi_k2", "kimi_k2"), Parsers("kimi_k2", "kimi_k2")),
    (r"(?:mi|devs|minis|magis|codes)tral", Parsers("mistral", "mistral"), Parsers("mistral", "")),
    (r"minimax-?m2", Parsers("minimax_m2", "minimax_m2"), Parsers("minimax-m2", "")),
    (r"seed-?oss", Parsers("seed_oss", "seed_oss"), Parsers("", "")),
    (r"gemma-?4", Parsers("gemma4", "gemma4"), Parsers("gemma4", "")),
    (r"hermes", Parsers("hermes", ""), Parsers("hermes", "")),
)
"""A pattern of the model's name, and its parsers in vLLM and in SGLang. The first that fits counts."""
