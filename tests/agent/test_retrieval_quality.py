"""How often the file that a developer would open first is among the first five, over this project's own code.

The tasks in `benchmarks/retrieval_tasks.jsonl` were written before the ranking was, but its points and stop words were
then chosen with them, and with the talk, in view: this guards against getting worse. The floors are below what is
reached, so that a change of the code that is searched does not break them.
"""

import json
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TypedDict

import pytest
from support.memory_index import MemoryIndex
from support.prose import PROSE

from agentic.context.retrieval import Budget, Offered, find, offer
from agentic.ports.workspace import MemoryWorkspace
from agentic.task import Task

ROOT = Path(__file__).parents[2]
LEAST_OFFERED, LEAST_FOUND = 0.8, 0.9
AMONG = 5


class Labelled(TypedDict):
    task: str
    query: str
    files: list[str]


@cache
def labelled() -> Sequence[Labelled]:
    lines = (ROOT / "benchmarks/retrieval_tasks.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


@cache
def project() -> tuple[MemoryWorkspace, MemoryIndex]:
    """The product and its tests, without what holds the very sentences that are searched for."""
    listed = subprocess.run(["git", "ls-files", "agent", "server", "tests"], cwd=ROOT, capture_output=True, check=True)
    paths = [path for path in listed.stdout.decode().split("\n") if path.endswith(".py") and "prose" not in path]
    files = {path: (ROOT / path).read_text("utf-8") for path in paths if (ROOT / path).is_file()}
    return MemoryWorkspace(files), MemoryIndex(files)


async def offered(text: str) -> Offered:
    return await offer(Task(text, "s-1", "t-1"), *project(), Budget(seconds=60))


async def found(query: str) -> list[str]:
    return list(dict.fromkeys(region.path for region in await find(query, *project(), 20, 60)))


def test_the_labels_name_files_that_exist() -> None:
    assert len(labelled()) >= 30
    assert [file for one in labelled() for file in one["files"] if not (ROOT / file).is_file()] == []


async def test_what_is_offered_holds_the_right_file() -> None:
    missed = [one["task"] for one in labelled() if not {*(await offered(one["task"])).paths[:AMONG]} & {*one["files"]}]
    assert len(missed) <= (1 - LEAST_OFFERED) * len(labelled()), missed


async def test_what_is_found_holds_the_right_file() -> None:
    missed = [one["query"] for one in labelled() if not {*(await found(one["query"]))[:AMONG]} & {*one["files"]}]
    assert len(missed) <= (1 - LEAST_FOUND) * len(labelled()), missed


@pytest.mark.parametrize("text", PROSE)
async def test_talk_is_offered_nothing(text: str) -> None:
    assert (await offered(text)).paths == ()
