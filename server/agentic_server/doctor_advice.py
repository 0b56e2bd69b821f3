"""From what was seen of an endpoint to what would mend it: the flags of its server."""

from __future__ import annotations

from collections.abc import Iterator

from agentic.llm.endpoint import EndpointInfo
from agentic.llm.measure import Measured
from agentic_server.doctor_parsers import Parsers, parsers_for
from agentic_server.doctor_wire import Advice

SMALL_WINDOW = 32_768
"""Tokens; in less than this a task over a few files is cut down again and again."""

GOOD_WINDOW = 65_536


def advise(info: EndpointInfo, measured: Measured | None) -> list[Advice]:
    """What could be better, the weightiest first; `measured` is None where nothing was."""
    found = list(_of_window(info))
    if measured is not None:
        found = [*_of_tools(info, measured), *found, *_of_reasoning(info, measured), *_of_cache(info, measured)]
        found += [*_of_speed(info, measured), *_of_figures(info, measured)]
    return found


def _of_window(info: EndpointInfo) -> Iterator[Advice]:
    if info.window_source == "guess":
        hint = _UNTOLD_WINDOW.get(info.server, "Set this endpoint's `window` to what the server was started with.")
        yield Advice(f"The window is not told: {info.window:,} tokens are assumed.", hint)
    elif info.window_source == "default":
        problem = f"Ollama tells the window of a loaded model only: its smallest default, {info.window:,}, is assumed."
        yield Advice(problem, _OLLAMA_WINDOW)
    elif info.window < SMALL_WINDOW:
        trained = info.trained_window
        more = f" The model was made for {trained:,}." if trained and trained > info.window else ""
        size = min(GOOD_WINDOW, trained or GOOD_WINDOW)
        yield Advice(f"The window of {info.window:,} tokens is small for an agent.{more}", _larger_window(info, size))


def _larger_window(info: EndpointInfo, size: int) -> str:
    if info.window_source == "set":
        return "It was set so: raise this endpoint's `window`, if the server serves more."
    if info.server == "llama.cpp":
        slots = info.slots or 1
        shared = f", which its {slots} slots share, or with fewer slots (-np)" if slots > 1 else ""
        return f"Start llama-server with -c {size * slots}{shared}."
    hint = _LARGER_WINDOW.get(info.server)
    return hint.format(size=size) if hint else "Start the server with a longer context, if its memory allows."


_UNTOLD_WINDOW = {
    "lmstudio": "Load the model first (lms load … --context-length 65536), or set this endpoint's `window`.",
}
_OLLAMA_WINDOW = (
    "Start it with OLLAMA_CONTEXT_LENGTH=65536, or write `PARAMETER num_ctx 65536` into the Modelfile; "
    "then load the model (ollama run …)."
)
_LARGER_WINDOW = {
    "vllm": "Start vLLM with --max-model-len {size}, if the memory for its cache allows.",
    "sglang": "Start SGLang with --context-length {size}, if its memory allows.",
    "ollama": "Start it with OLLAMA_CONTEXT_LENGTH={size}, or write `PARAMETER num_ctx {size}` into the Modelfile.",
    "lmstudio": "Load the model with lms load … --context-length {size}.",
    "tgi": "Start it with --max-total-tokens {size}.",
}


def _of_tools(info: EndpointInfo, measured: Measured) -> Iterator[Advice]:
    problem = _TOOL_PROBLEMS.get(measured.tools)
    if problem is None:
        return
    if measured.tools == "unused":
        hint = 'A larger model may do better; or try `tools = "prompted"` for this endpoint.'
        yield Advice(problem, f"{_tool_flags(info)} {hint}" if info.server in ("vllm", "sglang") else hint)
    else:
        yield Advice(problem, _tool_flags(info))


_TOOL_PROBLEMS = {
    "prompted": "The server refuses tools; they are told in the prompt instead, which works, but less surely.",
    "refused": "The server refuses requests with tools.",
    "recovered": "The tool call came as text. It was read out of it, but not every form can be.",
    "unused": "The model was asked to call a tool and answered in words.",
}


def _tool_flags(info: EndpointInfo) -> str:
    parsers = parsers_for(info.model, info.server)
    if info.server == "vllm":
        return f"Start vLLM with --enable-auto-tool-choice --tool-call-parser {_name(parsers and parsers.tools)}."
    if info.server == "sglang":
        return f"Start SGLang with --tool-call-parser {_name(parsers and parsers.tools)}."
    return _TOOL_FLAGS.get(info.server, "Look into the server's manual for tool calling, and at the model's template.")


def _name(parser: str | None) -> str:
    return parser or "X (the parser of this model's family, see docs/vllm.md)"


_TOOL_FLAGS = {
    "llama.cpp": "Start llama-server with --jinja, and with a chat template that knows tools (--chat-template-file).",
    "ollama": "Take a model whose `ollama show` lists the capability `tools`.",
    "lmstudio": "Take a model that LM Studio marks as trained for tool use.",
}


def _of_reasoning(info: EndpointInfo, measured: Measured) -> Iterator[Advice]:
    if measured.reasoning != "text":
        return
    parsers = parsers_for(info.model, info.server) or Parsers("", "")
    flag = f"--reasoning-parser {_name(parsers.reasoning)}"
    hint = {
        "vllm": f"Start vLLM with {flag}.",
        "sglang": f"Start SGLang with {flag}.",
        "llama.cpp": "Start llama-server with --jinja --reasoning-format deepseek.",
    }.get(info.server, "Nothing has to be done: they are parted from the text here.")
    yield Advice("The model's thoughts come in the answer's text.", hint)


def _of_cache(info: EndpointInfo, measured: Measured) -> Iterator[Advice]:
    if measured.prefix_caching is False:
        hint = _CACHE_FLAGS.get(info.server, "Look into the server's manual for prefix (prompt) caching.")
        yield Advice("Prompts are not cached: each request computes the whole conversation anew.", hint)
    elif measured.prefix_caching and measured.hit_share is not None and measured.hit_share < 0.5:
        problem = f"Only {measured.hit_share:.0%} of a prompt that was just sent was found in the prefix cache."
        yield Advice(problem, "Give the cache more memory, or find out what else fills it.")
    if measured.tells_cached is False and info.server in _TELL_CACHED:
        yield Advice("The answers do not tell how much of a prompt was cached.", _TELL_CACHED[info.server])


_CACHE_FLAGS = {
    "vllm": "Start vLLM with --enable-prefix-caching (and without --no-enable-prefix-caching).",
    "sglang": "Start SGLang without --disable-radix-cache.",
    "llama.cpp": "Start llama-server without --no-cache-prompt; --cache-reuse 256 also reuses what has moved.",
}
_TELL_CACHED = {
    "vllm": "Start vLLM with --enable-prompt-tokens-details.",
    "sglang": "Start SGLang with --enable-cache-report.",
}


def _of_speed(info: EndpointInfo, measured: Measured) -> Iterator[Advice]:
    speeds = {speed.requests: speed.tokens_per_second for speed in measured.speeds}
    alone, together = speeds.get(1), speeds.get(max(speeds, default=1))
    hint = _SIDE_BY_SIDE.get(info.server)
    if hint is None or alone is None or together is None or len(speeds) < 2 or together > 1.25 * alone:
        return
    problem = f"{max(speeds)} requests at once are hardly faster than one after the other."
    slots = 2 * (info.slots or 2)
    yield Advice(problem, hint.format(slots=slots, context=slots * info.window))


_SIDE_BY_SIDE = {
    "vllm": "If the machine has power to spare, raise --max-num-seqs (and --gpu-memory-utilization).",
    "sglang": "If the machine has power to spare, raise --max-running-requests.",
    "llama.cpp": "If the machine has power to spare: -np {slots} -c {context}, for more slots of this window.",
    "ollama": "If the machine has power to spare, start it with OLLAMA_NUM_PARALLEL=4.",
    "lmstudio": "If the machine has power to spare, raise the model's Max Concurrent Predictions.",
}


def _of_figures(info: EndpointInfo, measured: Measured) -> Iterator[Advice]:
    if measured.usage_in_stream is False:
        yield Advice("The stream does not tell the tokens used; they are estimated.", "A newer server may tell them.")
    if measured.speeds and not measured.tells_gauges and info.server in _METRICS_FLAGS:
        yield Advice("The server does not tell its load.", _METRICS_FLAGS[info.server])


_METRICS_FLAGS = {
    "llama.cpp": "Start llama-server with --metrics.",
    "sglang": "Start SGLang with --enable-metrics.",
    "vllm": "Let /metrics of vLLM through to this machine.",
}
