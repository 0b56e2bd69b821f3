"""The figures of a server's /metrics: real lines, older names, and whatever else may come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.model_server import ModelServer, Play, html, status

from agentic.llm.client import open_client
from agentic.llm.gauges import Gauges, parse_gauges, read_gauges

VLLM = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="tiny"} 3.0
vllm:num_requests_waiting{engine="0",model_name="tiny"} 2.0
vllm:num_requests_waiting_by_reason{engine="0",model_name="tiny",reason="capacity"} 7.0
vllm:kv_cache_usage_perc{engine="0",model_name="tiny"} 0.25
vllm:prefix_cache_queries_total{engine="0",model_name="tiny"} 1.6526e+05
vllm:prefix_cache_queries_created{engine="0",model_name="tiny"} 1.7952024619712322e+09
vllm:prefix_cache_hits_total{engine="0",model_name="tiny"} 155936.0
vllm:num_preemptions_total{engine="0",model_name="tiny"} 1.0
vllm:cache_config_info{_block_size_resolved="True",block_size="128",enable_prefix_caching="True",engine="0"} 1.0
"""
OLDER_VLLM = """\
vllm:num_requests_running{model_name="a {brace} \\"b\\""} 1.0
vllm:gpu_cache_usage_perc{model_name="a"} 0.5
vllm:gpu_prefix_cache_queries_total{model_name="a"} 10.0
vllm:gpu_prefix_cache_hits_total{model_name="a"} 4.0
vllm:cache_config_info{block_size="16",enable_prefix_caching="False"} 1.0
"""
LLAMA = """\
# HELP llamacpp:prompt_tokens_total Number of prompt tokens processed.
llamacpp:prompt_tokens_total 5532
llamacpp:kv_cache_usage_ratio 0.125
llamacpp:requests_processing 2
llamacpp:requests_deferred 1
"""
SGLANG = """\
sglang:num_running_reqs{model_name="a",tp_rank="0"} 161.0
sglang:num_queue_reqs{model_name="a",tp_rank="0"} 2826.0
sglang:token_usage{model_name="a"} 0.28
sglang:prompt_tokens_total{model_name="a"} 1000.0
sglang:cached_tokens_total{model_name="a",cache_source="device"} 200.0
sglang:cached_tokens_total{model_name="a",cache_source="host"} 50.0
sglang:cache_hit_rate{model_name="a"} 0.0075
"""


@pytest.mark.parametrize(
    ("text", "gauges"),
    [
        (VLLM, Gauges(3, 2, 0.25, 165260, 155936, 128, 1, True)),
        (OLDER_VLLM, Gauges(1, None, 0.5, 10, 4, 16, None, False)),
        (LLAMA, Gauges(2, 1, 0.125)),
        (SGLANG, Gauges(161, 2826, 0.28, 1000, 250)),
        (VLLM.replace("\n", "\r\n"), Gauges(3, 2, 0.25, 165260, 155936, 128, 1, True)),
    ],
)
def test_what_servers_tell(text: str, gauges: Gauges) -> None:
    assert parse_gauges(text) == gauges


def test_engines_are_added_up() -> None:
    other = VLLM.replace('engine="0"', 'engine="1"').replace("0.25", "0.75")
    assert parse_gauges(VLLM + other) == Gauges(6, 4, 0.5, 330520, 311872, 128, 2, True)


@pytest.mark.parametrize("text", ["", "# HELP x", "python_gc_objects_collected_total 5", "<html></html>", "vllm:"])
def test_other_pages_tell_nothing(text: str) -> None:
    assert parse_gauges(text) is None


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf", "-1", "1e999", "many", "", "1_0", "٣"])
def test_values_that_are_no_counts_are_left_out(value: str) -> None:
    gauges = parse_gauges(f'vllm:num_requests_running {value}\nvllm:cache_config_info{{block_size="None"}} 1.0\n')
    assert gauges == Gauges()


NAMES = [line.partition("{")[0].partition(" ")[0] for line in (VLLM + LLAMA + SGLANG).splitlines() if line[0] != "#"]
LINES = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(NAMES) | st.text(max_size=5),
    st.just("") | st.text(max_size=20).map("{{{}}}".format),
    st.sampled_from([" ", "\t", ""]),
    st.floats().map(str) | st.integers().map(str) | st.text(max_size=10),
)


@given(st.lists(LINES | st.text()).map("\n".join))
def test_nonsense_is_survived(text: str) -> None:
    gauges = parse_gauges(text)
    if gauges is not None:
        counts = (gauges.running, gauges.waiting, gauges.prefix_queries, gauges.prefix_hits, gauges.preemptions)
        assert all(count is None or count >= 0 for count in counts)
        assert gauges.cache_use is None or 0 <= gauges.cache_use <= 1


def test_the_share_of_hits_between_two_readings() -> None:
    before, after = Gauges(prefix_queries=1000, prefix_hits=500), Gauges(prefix_queries=1600, prefix_hits=1040)
    assert after.hit_share_since(before) == pytest.approx(0.9)
    assert before.hit_share_since(before) is None
    assert before.hit_share_since(after) is None
    assert after.hit_share_since(Gauges()) is None


async def test_they_are_read_from_the_server() -> None:
    async with ModelServer([], pages={"/metrics": VLLM}) as server, open_client(server.url, "", 1.0) as client:
        gauges = await read_gauges(client, server.url)
    assert gauges is not None
    assert (gauges.running, gauges.block_size) == (3, 128)
    assert server.paths == ["/metrics"]


@pytest.mark.parametrize(
    "page", [html(), status(404, "no"), status(501, "use --metrics"), status(200, "", drip=True), status(200, {"a": 1})]
)
async def test_a_server_without_figures(page: Play) -> None:
    async with ModelServer([], pages={"/metrics": page}) as server, open_client(server.url, "", 1.0) as client:
        assert await read_gauges(client, server.url, 0.3) is None
