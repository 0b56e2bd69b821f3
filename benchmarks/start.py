"""From the start of the process to the answer of `initialize`, beside a server of nothing but pygls."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.editor import SERVE, Editor, folder
from benchmarks.report import Row, median

RUNS = 15
HEAVY = ("openai", "langgraph", "rich", "tree_sitter", "watchfiles", "pathspec", "sqlite3")
BARE = "from pygls.lsp.server import LanguageServer; LanguageServer('bare', '0').start_io()"


def measure() -> list[Row]:
    with folder() as root:
        serve = [*SERVE, "--state-dir", str(root / "state")]
        _start(serve, root)
        ours: list[float] = []
        bare: list[float] = []
        for _ in range(RUNS):
            ours.append(_start(serve, root))
            bare.append(_start([sys.executable, "-c", BARE], root))
        heavy = _heavy_modules(serve, root)
    beside = f"{median(ours):.0f} ms and {median(bare):.0f} ms, medians of {RUNS} in turns"
    return [
        Row("start", "`initialize` answered / bare pygls", median(ours) / median(bare), "×", 1.25, beside),
        Row("start", f"modules of {', '.join(HEAVY)} imported by then", heavy, "", 0),
    ]


def _start(command: list[str], root: Path) -> float:
    """Milliseconds."""
    editor = Editor(command, root)
    try:
        return (editor.initialize() - editor.started) / 1e6
    finally:
        editor.close()


def _heavy_modules(serve: list[str], root: Path) -> int:
    """How many of them the interpreter reports as imported when `initialized` has been dealt with."""
    said = root / "imports"
    with said.open("wb") as errors:
        editor = Editor([serve[0], "-X", "importtime", *serve[1:]], root, errors)
    try:
        editor.initialize()
        editor.command("agentic.cancel", {})
    finally:
        editor.close()
    names = [line.rpartition("|")[2].strip() for line in said.read_text().splitlines()]
    if "agentic_server.app" not in names:
        raise RuntimeError("the interpreter did not report its imports")
    return sum(name.partition(".")[0] in HEAVY for name in names)
