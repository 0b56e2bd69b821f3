"""The index while files change, workers die, daemons come and go, and databases break."""

import asyncio
import contextlib
import os
import sqlite3
import sys
import time
from asyncio.subprocess import PIPE
from pathlib import Path

import psutil
import pytest
from support.indexing import PATIENCE, finds, indexed, paths, until, workers, write

from agentic.context.index.builder import FLOOD, Builder
from agentic.context.index.client import open_index
from agentic.context.index.guarded import GuardedReader
from agentic.context.index.places import Places
from agentic.context.index.queries import Queries
from agentic.context.index.schema import database_path, open_for_reading, open_for_writing
from agentic.ports.code_index import IndexState


async def test_changes_become_searchable(tmp_path: Path) -> None:
    root = tmp_path / "project"
    write(root, {"a.py": "def before(): ...\n", "old/b.py": "needle\n", ".gitignore": "skipped/\n"})
    async with indexed(("", root), state=tmp_path / "state") as index:
        write(root, {"a.py": "def after(): ...\n", "fresh/folder/c.py": "newcomer\n", "skipped/d.py": "newcomer\n"})
        await finds(index, "after", ["a.py"])
        await finds(index, "newcomer", ["fresh/folder/c.py"])
        assert await paths(index, "before") == []
        assert [one.name for one in await index.outline("a.py")] == ["after"]

        (root / "old").rename(root / "renamed")
        await finds(index, "needle", ["renamed/b.py"])
        (root / "renamed" / "b.py").unlink()
        await finds(index, "needle", [])

        write(root, {".gitignore": "fresh/\n"})
        await finds(index, "newcomer", ["skipped/d.py"])
        assert index.state.complete


async def test_a_file_may_become_a_folder_or_a_link(tmp_path: Path) -> None:
    root = tmp_path / "project"
    write(root, {"a": "needle\n", "b.py": "needle\n", "c.py": "other\n"})
    async with indexed(("", root), state=tmp_path / "state") as index:
        (root / "a").unlink()
        write(root, {"a/inner.py": "needle\n"})
        (root / "b.py").unlink()
        (root / "b.py").symlink_to("c.py")
        await finds(index, "needle", ["a/inner.py"])
        await finds(index, "other", ["c.py"])


async def test_a_flood_of_changes_is_taken_up(tmp_path: Path) -> None:
    root = tmp_path / "project"
    write(root, {"a.py": "x = 1\n"})
    async with indexed(("", root), state=tmp_path / "state") as index:
        write(root, {f"many/{number % 30}/f{number}.py": f"flooded{number}\n" for number in range(2 * FLOOD)})
        for number in (0, FLOOD, 2 * FLOOD - 1):
            await finds(index, f"flooded{number}", [f"many/{number % 30}/f{number}.py"])
        await until(lambda: index.state == IndexState(2 * FLOOD + 1, 2 * FLOOD + 1, True))


async def test_a_restart_reads_only_what_has_changed(tmp_path: Path) -> None:
    root = tmp_path / "project"
    write(root, {"same.py": "def kept(): ...\n", "other.py": "def early(): ...\n", "gone.py": "def gone(): ...\n"})
    async with indexed(("", root), state=tmp_path / "state"):
        pass
    times = (root / "same.py").stat()
    write(root, {"same.py": "def lost(): ...\n", "other.py": "def late_one(): ...\n"})
    os.utime(root / "same.py", ns=(times.st_atime_ns, times.st_mtime_ns))
    (root / "gone.py").unlink()
    async with indexed(("", root), state=tmp_path / "state") as index:
        assert [one.name for one in await index.symbols(["kept", "lost", "early", "late", "gone"], 9)] == [
            "kept",
            "late_one",
        ]


@pytest.mark.parametrize("damage", ["garbage", "newer", "emptied", "half", "table"])
async def test_a_broken_database_is_built_anew(tmp_path: Path, damage: str) -> None:
    root, state = tmp_path / "project", tmp_path / "state"
    write(root, {f"f{number}.py": f"def needle{number}(): ...\n" for number in range(50)})
    async with indexed(("", root), state=state):
        pass
    database = database_path([("", root)], state / "index")
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    if damage == "newer":
        connection.execute("PRAGMA user_version = 99")
    elif damage == "table":
        connection.execute("DROP TABLE uses")
    connection.commit()
    connection.close()
    size = database.stat().st_size
    if damage == "garbage":
        database.write_bytes(os.urandom(size))
    elif damage == "emptied":
        database.write_bytes(b"")
    elif damage == "half":
        os.truncate(database, size // 2)
    async with indexed(("", root), state=state) as index:
        await finds(index, "needle7", ["f7.py"])
        assert index.state == IndexState(50, 50, True)


async def test_a_database_that_is_thrown_away_is_opened_anew(tmp_path: Path) -> None:
    root, database = tmp_path / "project", tmp_path / "own" / "a.db"
    write(root, {"a.py": "needle\n"})
    queries = Queries(database, [("", root)])
    assert queries.text(["needle"], 5) == []
    for _ in range(2):
        database.unlink(missing_ok=True)
        scan(root, database)
        assert [one.path for one in queries.text(["needle"], 5)] == ["a.py"]
    queries.close()


def scan(root: Path, database: Path) -> list[IndexState]:
    told: list[IndexState] = []
    connection = open_for_writing(database)

    def report(files: int, total: int | None, complete: bool) -> None:
        told.append(IndexState(files, total, complete))

    Builder(connection, Places([("", root)], database.parent), database.with_suffix(".reading"), report).scan()
    connection.close()
    return told


def test_files_are_searchable_before_all_are_found(tmp_path: Path) -> None:
    write(tmp_path / "project", {f"{number % 9}/f{number}.py": f"word{number}\n" for number in range(1_000)})
    told = scan(tmp_path / "project", tmp_path / "own" / "a.db")
    assert any(state.files >= 200 and state.total is None and not state.complete for state in told)
    assert [state.complete for state in told].index(True) == len(told) - 1
    assert told[-1] == IndexState(1_000, 1_000, True)


async def test_a_worker_that_dies_is_replaced(tmp_path: Path) -> None:
    root = tmp_path / "project"
    write(root, {"a.py": "needle\n"})
    async with indexed(("", root), state=tmp_path / "state") as index:
        for number in range(2):
            (worker,) = workers()
            worker.kill()
            write(root, {f"b{number}.py": f"later{number}\n"})
            await finds(index, f"later{number}", [f"b{number}.py"])
        assert await paths(index, "needle") == ["a.py"]


async def test_a_file_that_ends_the_parser_is_spared(tmp_path: Path) -> None:
    root = tmp_path / "project"
    write(root, {"a.py": "def early(): ...\n", "endless.py": "/*\n" * 20_000 + "poison\n", "z.py": "def late(): ...\n"})
    async with indexed(("", root), state=tmp_path / "state") as index:
        assert [one.name for one in await index.symbols(["early", "late"], 5)] == ["early", "late"]
        assert await paths(index, "poison") == ["endless.py"]


def test_the_note_of_the_file_before_is_read_once(tmp_path: Path) -> None:
    note = tmp_path / "note"
    note.write_bytes("ä b.py\0rest".encode())
    reader = GuardedReader(note)
    assert reader.spared == "ä b.py"
    assert reader("ä b.py", "def f(): ...\n").symbols == []
    assert [one.name for one in reader("other.py", "def f(): ...\n").symbols] == ["f"]
    assert GuardedReader(note).spared == ""


async def test_closing_ends_the_worker_at_once(tmp_path: Path) -> None:
    write(tmp_path / "project", {"a.py": "needle\n"})
    index = open_index([("", tmp_path / "project")], tmp_path / "state")
    assert index.state == IndexState()
    assert await index.text(["needle"], 5) == []
    await index.start()
    await index.start()
    await until(lambda: index.state.complete)
    assert len(workers()) == 1
    await index.aclose()
    assert workers() == []
    assert await index.text(["needle"], 5) == []
    await index.start()
    await index.aclose()
    assert workers() == []


async def test_closing_before_anything_has_happened(tmp_path: Path) -> None:
    index = open_index([("", tmp_path)], tmp_path / "state")
    await index.aclose()
    other = open_index([("", tmp_path)], tmp_path / "state")
    await other.start()
    await other.aclose()
    assert workers() == []


DAEMON = """
import asyncio, sys
from pathlib import Path
from agentic.context.index.client import open_index
async def main():
    index = open_index([("", Path(sys.argv[1]))], Path(sys.argv[2]))
    await index.start()
    while not index.state.complete:
        await asyncio.sleep(0.02)
    print("ready", flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


async def test_two_daemons_share_one_index(tmp_path: Path) -> None:
    """One writes, the other reads; when the first is killed, its worker ends, and the second takes over."""
    root, state = tmp_path / "project", tmp_path / "state"
    write(root, {"a.py": "needle\n"})
    first = await asyncio.create_subprocess_exec(sys.executable, "-c", DAEMON, root, state, stdout=PIPE)
    try:
        assert first.stdout is not None
        assert await first.stdout.readline() == b"ready\n"
        (writer,) = psutil.Process(first.pid).children()
        async with indexed(("", root), state=state) as index:
            write(root, {"b.py": "shared\n"})
            await finds(index, "shared", ["b.py"])
            first.kill()
            await first.wait()
            writer.wait(PATIENCE)
            write(root, {"c.py": "inherited\n"})
            await finds(index, "inherited", ["c.py"])
            assert index.state.complete
    finally:
        with contextlib.suppress(ProcessLookupError):
            first.kill()
        await first.wait()


async def test_the_state_folder_inside_the_workspace_is_no_part_of_it(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": "needle\n"})
    async with indexed(("", tmp_path), state=tmp_path / "state") as index:
        write(tmp_path, {"b.py": "second\n"})
        await finds(index, "second", ["b.py"])
        assert index.state == IndexState(2, 2, True)
        assert await paths(index, "lock") == []


async def test_without_a_place_for_the_database_nothing_is_found(tmp_path: Path) -> None:
    root, state = tmp_path / "project", tmp_path / "state"
    write(root, {"a.py": "needle\n"})
    state.write_text("a file where the folder should be")
    index = open_index([("", root)], state)
    await index.start()
    await until(lambda: "There is no index" in index.message)
    assert await index.text(["needle"], 5) == []
    assert not index.state.complete
    await index.aclose()


async def test_a_root_that_does_not_exist_is_empty(tmp_path: Path) -> None:
    async with indexed(("", tmp_path / "missing"), state=tmp_path / "state") as index:
        assert index.state == IndexState(0, 0, True)
        assert await index.text(["needle"], 5) == []


class Unwatchable(Places):
    """Places with a folder that is gone when it is to be watched."""

    @property
    def folders(self) -> list[Path]:
        return [Path("/nowhere/at/all")]


def test_what_cannot_be_watched_is_compared_now_and_then(tmp_path: Path) -> None:
    root, database = tmp_path / "project", tmp_path / "own" / "a.db"
    write(root, {"a.py": "early\n"})
    places = Unwatchable([("", root)], database.parent)
    builder = Builder(open_for_writing(database), places, database.with_suffix(".reading"), lambda *_: None)
    builder.start()
    assert builder.failure
    write(root, {"b.py": "late\n"})
    queries = Queries(database, [("", root)])
    end = time.monotonic() + PATIENCE
    while not queries.text(["late"], 5):
        assert time.monotonic() < end
        builder.step()
    queries.close()


def test_a_database_of_another_version_is_not_read(tmp_path: Path) -> None:
    assert open_for_reading(tmp_path / "missing.db") is None
    connection = sqlite3.connect(tmp_path / "other.db")
    connection.execute("CREATE TABLE files (id)")
    connection.close()
    assert open_for_reading(tmp_path / "other.db") is None
