"""From the server's chunk to the editor's notification, beside the plain client on the same stream."""

from __future__ import annotations

import gc
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from benchmarks import processes
from benchmarks.bare import bare
from benchmarks.editor import Editor, daemon, folder
from benchmarks.model_server import Plan, model_server
from benchmarks.report import Row, median, percentile

ROUNDS = 6
SLOW = Plan(tokens=300, rate=100.0)
FAST = Plan(tokens=2000, rate=1000.0)


@dataclass
class Delays:
    """Milliseconds on the way, and the daemon's CPU in microseconds a chunk."""

    ours: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    messages: int = 0


def measure() -> list[Row]:
    with folder() as root, model_server() as server, daemon(server.url, root) as editor, bare(server.url) as client:
        editor.run_turn("Say something.")
        client.stream()
        gc.disable()
        slow, fast = Delays(), Delays()
        for _ in range(ROUNDS):
            for plan, delays in ((SLOW, slow), (FAST, fast)):
                server.plan(plan)
                delays.bare += _delays(client.stream())
                _stream(editor, plan, delays)
        gc.enable()
    return [*_at_100(slow), *_at_1000(fast)]


def _stream(editor: Editor, plan: Plan, delays: Delays) -> None:
    before = processes.cpu(editor.process.pid)
    events = editor.run_turn("Say something long.")
    delays.cpu.append((processes.cpu(editor.process.pid) - before) / 1e3 / plan.tokens)
    deltas = [(at, body) for at, body in events if b'"kind":"textDelta"' in body]
    delays.messages += len(deltas)
    delays.ours += _delays((at, msgspec.json.decode(body)["params"]["text"]) for at, body in deltas)


def _delays(pieces: Iterable[tuple[int, str]]) -> list[float]:
    """The age of each token when it was read; a token's text is the time of its sending."""
    return [(at - int(sent)) / 1e6 for at, text in pieces for sent in text.split() if sent.isdecimal()]


def _at_100(delays: Delays) -> list[Row]:
    rows: list[Row] = []
    for share, limit in ((0.5, 0.5), (0.99, 1.0)):
        ours, theirs = percentile(delays.ours, share), percentile(delays.bare, share)
        beside = f"{ours:.2f} ms, the plain client {theirs:.2f} ms; {len(delays.ours)} chunks each"
        name = f"100 tokens/s: chunk → event, p{share * 100:.0f} beyond the plain client"
        rows.append(Row("stream", name, ours - theirs, "ms", limit, beside))
    return [*rows, Row("stream", "100 tokens/s: CPU of the daemon a chunk", median(delays.cpu), "µs")]


def _at_1000(delays: Delays) -> list[Row]:
    beside = f"{len(delays.ours)} chunks in {delays.messages} messages; plain {percentile(delays.bare, 0.99):.2f} ms"
    return [
        Row("stream", "1,000 tokens/s: chunk → event, p99", percentile(delays.ours, 0.99), "ms", 20.0, beside),
        Row("stream", "1,000 tokens/s: CPU of the daemon a chunk", median(delays.cpu), "µs"),
    ]
