"""What a step costs beside the model: time between an answer and the next request, and bytes written, by history."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

from agentic.store.sqlite import SqliteStore
from benchmarks import processes
from benchmarks.bare import Bare, bare
from benchmarks.editor import Editor, daemon, folder
from benchmarks.model_server import Asked, ModelServer, Plan, model_server
from benchmarks.report import Row, median, percentile

DEPTHS = (10, 100, 1000)
ROUNDS = 6
CALLS = 12
TEXT = "The lighthouse keeper climbs the stairs and counts them, one after the other, until the lamp is lit. " * 3


class Gaps(defaultdict[int, list[float]]):
    """Milliseconds, by the messages in the history."""

    def __init__(self) -> None:
        super().__init__(list)


def measure() -> list[Row]:
    ours, plain, bytes_a_step = Gaps(), Gaps(), Gaps()
    with folder() as root, model_server() as server:
        asyncio.run(_seed(root / "state" / "sessions.db"))
        with daemon(server.url, root) as editor, bare(server.url) as client:
            _write_files(editor.root)
            server.plan(Plan([("read_file", {"path": f"{number}.txt"}) for number in range(CALLS)]))
            editor.run_turn("Read the files.")
            server.asked()
            for turn in range(ROUNDS):
                for depth in DEPTHS:
                    bytes_a_step[depth].append(_run_ours(editor, f"d{depth}-{turn}"))
                    asked = server.asked()
                    ours[depth] += _gaps(asked)
                    plain[depth] += _run_bare(client, server, asked[0], editor.root)
    return [*_gap_rows(ours, plain), _bytes_row(bytes_a_step)]


def _run_ours(editor: Editor, session: str) -> float:
    """Bytes written a step, without what the editor was told."""
    pid = editor.process.pid
    written, told = processes.written(pid), editor.bytes_read
    editor.run_turn("Read the files.", session)
    return (processes.written(pid) - written - (editor.bytes_read - told)) / (CALLS + 1)


def _run_bare(client: Bare, server: ModelServer, first: Asked, root: Path) -> list[float]:
    client.loop(json.loads(first.body), root)
    return _gaps(server.asked())


def _gaps(asked: list[Asked]) -> list[float]:
    return [(after.first - before.answered) / 1e6 for before, after in pairwise(asked) if before.calls]


def _write_files(root: Path) -> None:
    for number in range(CALLS):
        root.joinpath(f"{number}.txt").write_text(f"File {number}.\n{TEXT}\n")


async def _seed(path: Path) -> None:
    """Sessions with this many messages, as earlier turns would have left them."""
    store = await SqliteStore.open(path)
    for depth in DEPTHS:
        for turn in range(ROUNDS):
            session = f"d{depth}-{turn}"
            await store.open_session(session, "seeded", [])
            for number in range(depth):
                role = "assistant" if number % 2 else "user"
                store.add_message(session, "t0", {"role": role, "content": f"{number}: {TEXT}"})
    await store.aclose()


def _gap_rows(ours: Gaps, plain: Gaps) -> list[Row]:
    rows = [
        Row(
            "overhead",
            f"answer → next request, {depth:,} messages, median",
            median(ours[depth]),
            "ms",
            15.0,
            f"p90 {percentile(ours[depth], 0.9):.1f} ms; plain client's loop {median(plain[depth]):.1f} ms",
        )
        for depth in DEPTHS
    ]
    flat = median(ours[DEPTHS[-1]]) / median(ours[DEPTHS[0]])
    plainly = median(plain[DEPTHS[-1]]) / median(plain[DEPTHS[0]])
    name = f"answer → next request, {DEPTHS[-1]:,} / {DEPTHS[0]} messages"
    return [*rows, Row("overhead", name, flat, "×", None, f"plain client's loop {plainly:.1f} ×")]


def _bytes_row(written: Gaps) -> Row:
    few, many = (sum(written[depth]) / len(written[depth]) for depth in (DEPTHS[0], DEPTHS[-1]))
    name = f"bytes written a step, {DEPTHS[-1]:,} / {DEPTHS[0]} messages"
    return Row("overhead", name, many / few, "×", 1.25, f"{many / 1024:.1f} KB and {few / 1024:.1f} KB")
