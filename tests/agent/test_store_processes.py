"""The SQLite store among processes: kills, owners, approvals that are fought for, and a disk that fills up."""

import asyncio
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from agentic.errors import StoreError
from agentic.events import Event, TextDelta
from agentic.store.sqlite import SqliteStore

PRELUDE = """
import asyncio, sys
from pathlib import Path
from agentic.errors import StoreError
from agentic.events import Metrics, Origin, TextDelta, TurnFinished, TurnStarted
from agentic.ports.store import Intent
from agentic.store.sqlite import SqliteStore

path = Path(sys.argv[1])
origin = Origin(session_id="s1", turn_id="t1", agent="main")
delta = TextDelta(**origin, item="i1", text="token")

async def begin():
    store = await SqliteStore.open(path)
    await store.open_session("s1", "title", [])
    return store
"""


def program(body: str, path: Path, *arguments: str) -> subprocess.Popen[str]:
    """Another process with the store open, spoken to by lines."""
    command = [sys.executable, "-c", PRELUDE + body, str(path), *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    assert line, f"the process ended with {process.wait()}"
    return line


def kill(process: subprocess.Popen[str]) -> list[str]:
    """kill -9; returns the lines that it had still written."""
    process.kill()
    rest = process.communicate()[0]
    return rest.split()


def finish(process: subprocess.Popen[str]) -> str:
    output = process.communicate()[0]
    assert process.returncode == 0
    return output


def delta(text: str, session: str = "s1") -> Event:
    return TextDelta(session_id=session, turn_id="t1", agent="main", item="i1", text=text)


def sql(path: Path, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return connection.execute(statement).fetchall()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "agentic" / "sessions.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    store = await SqliteStore.open(path)
    await store.open_session("s1", "title", [])
    try:
        yield store
    finally:
        await store.aclose()


RUN_UNTIL_KILLED = """
import random
async def main():
    dice = random.Random(int(sys.argv[2]))
    store = await begin()
    store.append(TurnStarted(**origin, text="go", mode="ask"))
    number = 0
    while True:
        for _ in range(dice.randrange(40)):
            store.append(delta)
            store.add_message("s1", "t1", {"role": "assistant", "content": "word " * 50})
            if dice.random() < 0.3:
                await asyncio.sleep(0)
        await store.prepare(Intent(f"e{number}", "s1", "t1", "edit", "a.py", "h0", "h1", "old", "new"))
        print(f"e{number}", flush=True)
        number += 1
asyncio.run(main())
"""


@pytest.mark.parametrize("seed", range(15))
async def test_a_kill_loses_nothing_that_was_promised(path: Path, seed: int) -> None:
    process = program(RUN_UNTIL_KILLED, path, str(seed))
    promised = [line_of(process) for _ in range(random.Random(seed).randrange(1, 60))]
    promised += kill(process)

    assert sql(path, "PRAGMA quick_check") == [("ok",)]
    store = await SqliteStore.open(path)
    try:
        assert store.notice == ""
        [info] = await store.sessions()
        assert info.state == "interrupted"
        seqs = [entry.seq for entry in await store.events("s1")]
        assert seqs == list(range(1, len(seqs) + 1))
        intents = [intent.id for intent in await store.intents("s1")]
        assert intents[: len(promised)] == promised
        await store.open_session("s1", "title", [])
        assert store.append(delta("on")).seq == len(seqs) + 1
        assert len(await store.events("s1")) == len(seqs) + 1
    finally:
        await store.aclose()


RUN_A_TURN = """
async def main():
    store = await begin()
    store.append(TurnStarted(**origin, text="go", mode="ask"))
    await store.flush()
    print("running", flush=True)
    sys.stdin.readline()
    store.append(TurnFinished(**origin, stop_reason="end_turn", summary="", metrics=Metrics()))
    await store.aclose()
asyncio.run(main())
"""


async def test_a_session_belongs_to_the_process_that_runs_its_turn(path: Path) -> None:
    process = program(RUN_A_TURN, path)
    line_of(process)
    store = await SqliteStore.open(path)
    try:
        assert [info.state for info in await store.sessions()] == ["running"]
        with pytest.raises(StoreError, match=f"process {process.pid}\\b"):
            await store.open_session("s1", "title", [])
        finish(process)
        await store.open_session("s1", "title", [])
        assert store.append(delta("mine now")).seq == 3
        assert [info.state for info in await store.sessions()] == ["finished"]
    finally:
        await store.aclose()


USE_WHEN_TOLD = """
async def main():
    store = await begin()
    print("ready", flush=True)
    sys.stdin.readline()
    print([await store.use(f"a{n}", "hash") for n in range(20)].count(True))
    await store.aclose()
asyncio.run(main())
"""


async def test_two_processes_and_many_tasks_use_each_approval_once(store: SqliteStore, path: Path) -> None:
    for number in range(20):
        await store.offer(f"a{number}", "hash", time.time() + 3600)
    processes = [program(USE_WHEN_TOLD, path) for _ in range(2)]
    for process in processes:
        line_of(process)
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    mine = await asyncio.gather(*(store.use(f"a{number}", "hash") for number in range(20) for _ in range(3)))
    theirs = [int(finish(process)) for process in processes]
    assert mine.count(True) + sum(theirs) == 20


OPEN_AND_APPEND = """
async def main():
    store = await SqliteStore.open(path)
    await store.open_session(sys.argv[2], "title", [])
    store.add_message(sys.argv[2], "t1", {"role": "user", "content": "x"})
    for number in range(100):
        store.append(TextDelta(session_id=sys.argv[2], turn_id="t1", agent="main", item="i1", text="x"))
        await store.copy_session(sys.argv[2], f"{sys.argv[2]}-{number}", "copy", None)
    await store.aclose()
asyncio.run(main())
"""


async def test_daemons_that_begin_and_fill_one_file_at_once_do_not_disturb_each_other(path: Path) -> None:
    names = ["s1", "s2", "s3"]
    for process in [program(OPEN_AND_APPEND, path, name) for name in names]:
        finish(process)
    store = await SqliteStore.open(path)
    try:
        for name in names:
            assert [entry.seq for entry in await store.events(name)] == list(range(1, 101))
    finally:
        await store.aclose()


FILL_THE_DISK = """
import resource
async def refused(awaitable):
    try:
        await awaitable
    except StoreError as error:
        assert str(path) in str(error) and error.hint
        return "refused"
    return "done"

async def main():
    store = await begin()
    store.append(delta)
    await store.flush()
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    seqs = [store.append(delta).seq for _ in range(5000)]
    assert seqs == list(range(2, 5002))
    intent = Intent("e1", "s1", "t1", "edit", "a.py", "h0", "h1", "old", "new")
    print(await refused(store.flush()), await refused(store.prepare(intent)), await refused(store.events("s1")))
    assert store.append(delta).seq == 5002
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    print(await refused(store.flush()), await refused(store.prepare(intent)))
    print([entry.seq for entry in await store.events("s1")] == list(range(1, 5003)))
    await store.aclose()
asyncio.run(main())
"""


async def test_a_full_disk_is_told_and_nothing_is_lost_when_there_is_room_again(path: Path) -> None:
    output = finish(program(FILL_THE_DISK, path))
    assert output.split("\n") == ["refused refused refused", "done done", "True", ""]
