"""What `/metrics` of vLLM, llama.cpp and SGLang says about load and prefix cache, in Prometheus' text."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from openai import AsyncOpenAI


@dataclass(frozen=True, slots=True)
class Gauges:
    """A server's figures at one moment; None where it does not tell.

    `running` and `waiting` count requests. `cache_use` is the part of the cache's memory that is taken, 0 to 1.
    `prefix_queries` and `prefix_hits` count prompt tokens since the server began: those looked up in the prefix cache
    and those found there. `block_size` is in tokens. `preemptions`: requests that lost their place for lack of memory.
    """

    running: int | None = None
    waiting: int | None = None
    cache_use: float | None = None
    prefix_queries: int | None = None
    prefix_hits: int | None = None
    block_size: int | None = None
    preemptions: int | None = None
    prefix_caching: bool | None = None

    def hit_share_since(self, before: Gauges) -> float | None:
        """The part, 0 to 1, of the prompt tokens since `before` that the prefix cache held."""
        if None in (self.prefix_queries, self.prefix_hits, before.prefix_queries, before.prefix_hits):
            return None
        queries = (self.prefix_queries or 0) - (before.prefix_queries or 0)
        hits = (self.prefix_hits or 0) - (before.prefix_hits or 0)
        return min(1.0, hits / queries) if queries > 0 and hits >= 0 else None


async def read_gauges(client: AsyncOpenAI, base_url: str, timeout: float = 0.5) -> Gauges | None:
    """The figures of the server behind `base_url`, None where it does not give them within `timeout` seconds."""
    from agentic.llm.failures import CLIENT_FAILURES

    try:
        async with asyncio.timeout(timeout):
            text = await client.get(f"{base_url.removesuffix('/v1')}/metrics", cast_to=str)
    except (TimeoutError, *CLIENT_FAILURES):
        return None
    return parse_gauges(text)


def parse_gauges(text: str) -> Gauges | None:
    """The figures in Prometheus' text; None where none of those we know is in it. Figures of several engines are
    added up, shares of memory averaged."""
    samples: dict[str, list[float]] = {}
    labels: dict[str, str] = {}
    for line in text.split("\n"):
        found = _SAMPLE.match(line)
        if found is None or found["name"] not in _KNOWN:
            continue
        value = float(found["value"])
        if math.isfinite(value) and value >= 0:
            samples.setdefault(found["name"], []).append(value)
        if found["name"] == _CACHE_CONFIG:
            labels |= {label["key"]: label["value"] for label in _LABEL.finditer(found["labels"] or "")}
    return _gauges(samples, labels) if samples else None


_CACHE_CONFIG = "vllm:cache_config_info"
_RUNNING = ("vllm:num_requests_running", "llamacpp:requests_processing", "sglang:num_running_reqs")
_WAITING = ("vllm:num_requests_waiting", "llamacpp:requests_deferred", "sglang:num_queue_reqs")
_CACHE_USE = (
    "vllm:kv_cache_usage_perc",
    "vllm:gpu_cache_usage_perc",
    "llamacpp:kv_cache_usage_ratio",
    "sglang:token_usage",
)
_QUERIES = ("vllm:prefix_cache_queries_total", "vllm:gpu_prefix_cache_queries_total", "sglang:prompt_tokens_total")
_HITS = ("vllm:prefix_cache_hits_total", "vllm:gpu_prefix_cache_hits_total", "sglang:cached_tokens_total")
_PREEMPTIONS = ("vllm:num_preemptions_total",)
_KNOWN = frozenset({*_RUNNING, *_WAITING, *_CACHE_USE, *_QUERIES, *_HITS, *_PREEMPTIONS, _CACHE_CONFIG})
_SAMPLE = re.compile(
    r"(?P<name>[A-Za-z_:][\w:]*)(?:\{(?P<labels>.*)\})?[ \t]+"
    r"(?P<value>[+-]?(?:[0-9]{1,300}(?:\.[0-9]{0,300})?(?:[eE][+-]?[0-9]{1,3})?|Inf|NaN))(?:\s|$)",
    re.ASCII,
)
_LABEL = re.compile(r'(?P<key>[A-Za-z_]\w*)="(?P<value>[^"\\]*)"', re.ASCII)
_BLOCK_SIZE = re.compile(r"[1-9][0-9]{0,5}", re.ASCII)


def _gauges(samples: Mapping[str, Sequence[float]], labels: Mapping[str, str]) -> Gauges:
    block_size = labels.get("block_size", "")
    use = next((samples[name] for name in _CACHE_USE if name in samples), None)
    return Gauges(
        running=_sum(samples, _RUNNING),
        waiting=_sum(samples, _WAITING),
        cache_use=min(1.0, sum(use) / len(use)) if use else None,
        prefix_queries=_sum(samples, _QUERIES),
        prefix_hits=_sum(samples, _HITS),
        block_size=int(block_size) if _BLOCK_SIZE.fullmatch(block_size) else None,
        preemptions=_sum(samples, _PREEMPTIONS),
        prefix_caching={"True": True, "False": False}.get(labels.get("enable_prefix_caching", "")),
    )


def _sum(samples: Mapping[str, Sequence[float]], names: Sequence[str]) -> int | None:
    found = next((samples[name] for name in names if name in samples), None)
    total = sum(found) if found is not None else None
    return int(total) if total is not None and math.isfinite(total) else None
