"""Run the benchmarks: all of them, or the groups named on the command line.

    python -m benchmarks [GROUP ...]

A run of all groups is kept in `results.json`. A target that is missed is shown, not an error.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks import (
    code_index,
    memory,
    models,
    orchestration,
    overhead,
    prefix_cache,
    prompt,
    reaction,
    start,
    stream,
    team,
)
from benchmarks.report import Row, save, show

GROUPS: dict[str, Callable[[], list[Row]]] = {
    "start": start.measure,
    "stream": stream.measure,
    "overhead": overhead.measure,
    "reaction": reaction.measure,
    "models": models.measure,
    "cache": prefix_cache.measure,
    "prompt": prompt.measure,
    "orchestration": orchestration.measure,
    "team": team.measure,
    "memory": memory.measure,
    "index": code_index.measure,
}


def main() -> None:
    wanted = sys.argv[1:] or list(GROUPS)
    if unknown := [name for name in wanted if name not in GROUPS]:
        sys.exit(f"No group is called {', '.join(unknown)}; there are {', '.join(GROUPS)}.")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # What is installed has its bytecode.
    rows: list[Row] = []
    for name in wanted:
        print(f"measuring {name} …", file=sys.stderr, flush=True)
        rows += GROUPS[name]()
    show(rows)
    if wanted == list(GROUPS):
        save(rows, Path(__file__).with_name("results.json"))


if __name__ == "__main__":
    main()
