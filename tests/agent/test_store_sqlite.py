"""What only the SQLite store promises: owners, damage, failures, and the cost of an event."""

import asyncio
import shutil
import sqlite3
import stat
import time
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentic.errors import StoreError
from agentic.events import Event, Metrics, Origin, TextDelta, TurnFinished, TurnStarted, decode
from agentic.ports.store import LoggedEvent
from agentic.store.schema import SCHEMA_VERSION
from agentic.store.sqlite import SqliteStore


def delta(text: str, session: str = "s1") -> Event:
    return TextDelta(session_id=session, turn_id="t1", agent="main", item="i1", text=text)


def origin(turn: str = "t1") -> Origin:
    return Origin(session_id="s1", turn_id=turn, agent="main")


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


async def test_a_recycled_pid_is_not_taken_for_the_owner(store: SqliteStore, path: Path) -> None:
    store.append(TurnStarted(**origin(), text="go", mode="ask"))
    await store.flush()
    assert [info.state for info in await store.sessions()] == ["running"]
    sql(path, "UPDATE turns SET owner = substr(owner, 1, instr(owner, ' ')) || 'another time'")
    assert [info.state for info in await store.sessions()] == ["interrupted"]
    await store.open_session("s1", "title", [])


async def test_a_turn_taken_up_again_is_running_and_then_finished(store: SqliteStore, path: Path) -> None:
    store.append(TurnStarted(**origin(), text="go", mode="ask"))
    await store.flush()
    sql(path, "UPDATE turns SET owner = '1 never'")
    store.append(TurnStarted(**origin(), text="go", mode="ask"))
    assert [(info.state, info.turns) for info in await store.sessions()] == [("running", 1)]
    store.append(TurnFinished(**origin(), stop_reason="end_turn", summary="", metrics=Metrics()))
    assert [(info.state, info.turns) for info in await store.sessions()] == [("finished", 1)]


def spoil(path: Path, damage: str) -> None:
    if damage == "overwritten":
        path.write_bytes(b"this is no database, whatever its name says\n" * 100)
        return
    with path.open("r+b") as file:
        file.seek(4096 * 4)
        file.write(b"\xff" * 4096 * 20)


@pytest.mark.parametrize("damage", ["overwritten", "middle"])
async def test_a_damaged_file_is_moved_aside(store: SqliteStore, path: Path, damage: str) -> None:
    for number in range(2000):
        store.append(delta(f"text {number}"))
    await store.aclose()
    spoil(path, damage)
    again = await SqliteStore.open(path)
    try:
        [aside] = path.parent.glob("sessions.db.damaged-*")
        assert aside.stat().st_size > 0
        assert again.notice == (f"The session log was damaged; it was moved to {aside} and a new one was begun.")
        assert await again.sessions() == []
        await again.open_session("s1", "title", [])
        assert again.append(delta("new")).seq == 1
        await again.flush()
    finally:
        await again.aclose()


async def test_a_damaged_file_takes_its_journal_along(store: SqliteStore, path: Path) -> None:
    for number in range(2000):
        store.append(delta(f"text {number}"))
    await store.flush()
    sql(path, "PRAGMA wal_checkpoint")
    spoil(path, "middle")
    again = await SqliteStore.open(path)
    try:
        assert len(list(path.parent.glob("sessions.db.damaged-*-wal"))) == 1
        assert await again.sessions() == []
    finally:
        await again.aclose()


async def test_a_file_that_another_daemon_is_just_beginning_is_waited_for(path: Path) -> None:
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("CREATE TABLE begun (n)")
        asyncio.get_running_loop().call_later(0.3, other.execute, "ROLLBACK")
        store = await SqliteStore.open(path)
        await store.open_session("s1", "title", [])
        await store.aclose()


async def test_two_daemons_that_read_and_write_at_once_wait_for_each_other(store: SqliteStore, path: Path) -> None:
    other = await SqliteStore.open(path)

    async def copy(daemon: SqliteStore, name: str) -> None:
        for number in range(100):
            await daemon.copy_session("s1", f"{name}-{number}", "copy", None)

    try:
        await asyncio.gather(copy(store, "a"), copy(other, "b"))
        assert len(await store.sessions(limit=1000)) == 201
    finally:
        await other.aclose()


async def test_a_file_of_a_newer_version_is_left_alone(store: SqliteStore, path: Path) -> None:
    await store.aclose()
    sql(path, f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    before = await asyncio.to_thread(path.read_bytes)
    with pytest.raises(StoreError, match=f"version {SCHEMA_VERSION + 1}") as caught:
        await SqliteStore.open(path)
    assert "Update" in caught.value.hint
    assert await asyncio.to_thread(path.read_bytes) == before
    assert list(path.parent.glob("*damaged*")) == []


async def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"sessions\.db") as caught:
        await SqliteStore.open(tmp_path / "file" / "sessions.db")
    assert "AGENTIC_STATE_DIR" in caught.value.hint


async def test_only_the_user_can_read_the_log(store: SqliteStore, path: Path) -> None:
    await store.flush()
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}


async def test_a_failing_disk_does_not_keep_the_store_from_closing(store: SqliteStore, path: Path) -> None:
    await store.flush()
    sql(path, "DROP TABLE events")
    store.append(delta("a"))
    with pytest.raises(StoreError):
        await store.flush()
    with pytest.raises(StoreError):
        await store.aclose()
    with pytest.raises(StoreError, match="closed"):
        await store.flush()
    store.append(delta("after the end"))


async def test_an_event_that_another_process_has_overtaken_is_told_once(store: SqliteStore, path: Path) -> None:
    await store.flush()
    sql(path, "INSERT INTO events (session, seq, turn, kind, time, body) VALUES ('s1', 1, 't9', 'x', 0, x'7b7d')")
    store.append(delta("overtaken"))
    with pytest.raises(StoreError):
        await store.flush()
    await store.open_session("s1", "title", [])
    assert store.append(delta("next")).seq == 2
    assert [entry.seq for entry in await store.events("s1")] == [1, 2]


async def test_an_approval_is_written_even_when_its_caller_is_cancelled(store: SqliteStore) -> None:
    offering = asyncio.create_task(store.offer("a1", "hash", time.time() + 3600))
    await asyncio.sleep(0)
    offering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await offering
    assert await store.use("a1", "hash")


async def test_only_the_last_positions_are_kept(store: SqliteStore, path: Path) -> None:
    await store.open_session("s2", "other", [])
    await store.save_position("s2", "other", b"")
    for number in range(10):
        await store.save_position("s1", f"p{number}", b"")
    assert sql(path, "SELECT name FROM positions WHERE session = 's1' ORDER BY n") == [("p7",), ("p8",), ("p9",)]
    assert await store.position("s2") == ("other", b"")


async def bytes_of_50_events(store: SqliteStore, path: Path) -> int:
    """The bytes that 50 events cost when each is written by itself: what the write-ahead log grows by."""
    await store.flush()
    sql(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    for number in range(50):
        store.append(delta(f"text {number}"))
        await store.flush()
    return path.with_name(path.name + "-wal").stat().st_size


async def test_an_event_costs_the_same_in_a_long_conversation(store: SqliteStore, path: Path) -> None:
    message = {"role": "user", "content": "x" * 1000}
    for _ in range(10):
        store.add_message("s1", "t1", message)
    short = await bytes_of_50_events(store, path)
    for number in range(990):
        store.add_message("s1", "t1", message)
        store.append(delta(f"more {number}"))
    long = await bytes_of_50_events(store, path)
    assert 50 * 100 < short <= long < 2 * short
    assert long / 50 < 10_000


Step = tuple[str, str, str]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["append", "append", "append", "message", "flush", "read", "reopen"]),
        st.sampled_from(["s1", "s2"]),
        st.text(st.characters(exclude_categories=("Cs",)), max_size=20),
    ),
    max_size=40,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_what_is_read_is_what_was_appended_in_order(steps: list[Step], tmp_path: Path) -> None:
    folder = tmp_path / "example"
    shutil.rmtree(folder, ignore_errors=True)
    asyncio.run(follow(steps, folder / "sessions.db"))


async def follow(steps: list[Step], path: Path) -> None:
    """Do the steps on a store and on lists, and compare."""
    sent: dict[str, list[Event]] = {"s1": [], "s2": []}
    said: dict[str, list[str]] = {"s1": [], "s2": []}
    store = await open_both(path)
    for step, session, text in [*steps, ("read", "s1", ""), ("reopen", "s1", ""), ("read", "s2", "")]:
        if step == "append":
            sent[session].append(delta(text, session))
            assert store.append(sent[session][-1]).seq == len(sent[session])
        elif step == "message":
            said[session].append(text)
            store.add_message(session, "t1", {"role": "user", "content": text})
        elif step == "flush":
            await store.flush()
        elif step == "reopen":
            await store.aclose()
            store = await open_both(path)
        else:
            since = len(text)
            check(await store.events(session, since), sent[session], since)
            assert [message["content"] for _, message in await store.messages(session)] == said[session]
    await store.aclose()


async def open_both(path: Path) -> SqliteStore:
    store = await SqliteStore.open(path)
    for session in ("s1", "s2"):
        await store.open_session(session, "title", [])
    return store


def check(read: list[LoggedEvent], sent: list[Event], since: int) -> None:
    assert [entry.seq for entry in read] == list(range(since + 1, len(sent) + 1))
    assert [decode(entry.body) for entry in read] == sent[since:]
