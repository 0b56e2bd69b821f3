"""How fast a warm daemon does what it is told: begin a task, cancel a stream, end a command."""

from __future__ import annotations

import os
import select
import time
from pathlib import Path

from benchmarks.editor import FINISHED, Editor, daemon, folder
from benchmarks.model_server import ModelServer, Plan, model_server
from benchmarks.report import Row, median, percentile

RUNS = 25
COMMANDS = 15
ENDLESS = Plan(tokens=100_000, rate=50.0)


def measure() -> list[Row]:
    with folder() as root, model_server() as server, daemon(server.url, root) as editor:
        for _ in range(3):
            editor.run_turn("Hello.")
        begun = [_begin(editor, server, None) for _ in range(RUNS)]
        again = [_begin(editor, server, _session(editor)) for _ in range(RUNS)]
        server.plan(ENDLESS)
        cancelled = [_cancel(editor, server) for _ in range(RUNS)]
        gone = [_cancel_command(editor, server) for _ in range(COMMANDS)]
    return [
        _row("runTask → first request, a new session", begun, 30.0),
        _row("runTask → first request, a known session", again, 30.0),
        _row("agentic.cancel → the model's connection closed", [closed for closed, _ in cancelled], 5.0),
        _row("agentic.cancel → turnFinished", [finished for _, finished in cancelled], 20.0),
        _row("agentic.cancel → the running command's process gone", gone, 50.0),
    ]


def _row(name: str, values: list[float], limit: float) -> Row:
    beside = f"p90 {percentile(values, 0.9):.1f} ms of {len(values)}"
    return Row("reaction", f"{name}, median", median(values), "ms", limit, beside)


def _session(editor: Editor) -> str:
    return editor.command("agentic.sessions", {})["sessions"][0]["id"]


def _begin(editor: Editor, server: ModelServer, session: str | None) -> float:
    server.asked()
    began = time.monotonic_ns()
    editor.run_turn("Hello.", session)
    return (server.asked()[0].first - began) / 1e6


def _cancel(editor: Editor, server: ModelServer) -> tuple[float, float]:
    """To the connection's end, and to the turn's."""
    server.asked()
    editor.events.clear()
    editor.command("agentic.runTask", {"task": "Talk."})
    editor.wait_for_event(b'"kind":"textDelta"')
    began = time.monotonic_ns()
    editor.ask_command("agentic.cancel", {})
    finished = editor.wait_for_event(FINISHED)
    return (server.asked()[0].closed - began) / 1e6, (finished - began) / 1e6


def _cancel_command(editor: Editor, server: ModelServer) -> float:
    told = editor.root / "pid"
    told.unlink(missing_ok=True)
    server.plan(Plan([("run_command", {"command": "echo $$ > pid.new; mv pid.new pid; exec sleep 60"})]))
    editor.events.clear()
    editor.command("agentic.runTask", {"task": "Sleep."})
    editor.wait_for_event(b'"kind":"answered"')
    process = os.pidfd_open(_read_pid(told))
    try:
        began = time.monotonic_ns()
        editor.ask_command("agentic.cancel", {})
        select.select([process], [], [], 30)
        gone = time.monotonic_ns()
    finally:
        os.close(process)
    editor.wait_for_event(FINISHED)
    return (gone - began) / 1e6


def _read_pid(path: Path) -> int:
    while not path.exists():
        time.sleep(0.001)
    return int(path.read_text())
