"""Processes of a benchmark: one of its own at the other end of a pipe, and what the kernel knows of one (Linux)."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any


@contextmanager
def child(main: Callable[..., None], *arguments: Any) -> Generator[Connection]:
    """Run `main(pipe, *arguments)` in a fresh process, and kill it in the end."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=main, args=(theirs, *arguments), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours
    finally:
        process.kill()
        process.join()


def pss(pid: int) -> float:
    """Its proportional share of memory, in MB."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"no Pss of {pid}")


def children(pid: int) -> list[int]:
    """The processes that it has started and that still run."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


@contextmanager
def watched(look: Callable[[], float], every: float = 0.1) -> Generator[list[float]]:
    """What `look` finds meanwhile, again and again."""
    found, over = [look()], threading.Event()

    def watch() -> None:
        while not over.wait(every):
            found.append(look())

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield found
    finally:
        over.set()
        watching.join()


def cpu(pid: int) -> int:
    """Nanoseconds of CPU that its living threads have used."""
    threads = os.listdir(f"/proc/{pid}/task")
    return sum(int(Path(f"/proc/{pid}/task/{thread}/schedstat").read_text().split()[0]) for thread in threads)


def written(pid: int) -> int:
    """Bytes that it has given to `write`: files and pipes, not sockets."""
    fields = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    return int(fields["wchar"])
