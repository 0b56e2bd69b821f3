"""How much memory the daemon takes: idle, in a run, and after many turns."""

from __future__ import annotations

import time

from benchmarks.editor import Editor, daemon, folder
from benchmarks.model_server import ModelServer, Plan, model_server
from benchmarks.processes import pss, watched
from benchmarks.report import Row, slope

WARM_UP = 100
TURNS = 1000
SAMPLE = 20
IDLE_SECONDS = 1.0


def measure() -> list[Row]:
    with folder() as root, model_server() as server, daemon(server.url, root) as editor:
        editor.command("agentic.cancel", {})
        time.sleep(IDLE_SECONDS)
        idle = pss(editor.process.pid)
        running = _in_a_run(editor, server)
        server.plan(Plan())
        points = _many_turns(editor)
    growth = slope(points) * 1024
    beside = f"{points[0][1]:.1f} MB after {WARM_UP} turns, {points[-1][1]:.1f} MB after {TURNS} more"
    return [
        Row("memory", "idle, before the first task", idle, "MB", 60.0, "PSS"),
        Row("memory", "the most in a run", running, "MB", 110.0, "PSS"),
        Row("memory", f"growth over {TURNS:,} turns of a greeting", growth, "KB/turn", None, beside),
    ]


def _in_a_run(editor: Editor, server: ModelServer) -> float:
    """The highest of many looks while a turn reads files and streams an answer."""
    editor.root.joinpath("a.txt").write_text("some text\n" * 500)
    calls = [("read_file", {"path": "a.txt", "offset": number + 1}) for number in range(20)]
    server.plan(Plan(calls, tokens=300, rate=150.0))
    with watched(lambda: pss(editor.process.pid)) as looks:
        editor.run_turn("Read it.")
    return max(looks)


def _many_turns(editor: Editor) -> list[tuple[float, float]]:
    """(turns so far, PSS)."""
    points: list[tuple[float, float]] = []
    for turn in range(WARM_UP + TURNS + 1):
        editor.run_turn("Hello.")
        if turn >= WARM_UP and (turn - WARM_UP) % SAMPLE == 0:
            points.append((turn, pss(editor.process.pid)))
    return points
