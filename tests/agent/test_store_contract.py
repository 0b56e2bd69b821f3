"""What every store promises, kept by the double in memory and by SQLite alike."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from agentic.errors import StoreError, UnknownSession
from agentic.events import Event, Metrics, Origin, TextDelta, TurnFinished, TurnStarted, decode
from agentic.ports.store import Intent, MemoryStore, Store
from agentic.store.sqlite import SqliteStore


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    if request.param == "memory":
        yield MemoryStore()
        return
    store = await SqliteStore.open(tmp_path / "state" / "sessions.db")
    try:
        yield store
    finally:
        await store.aclose()


def origin(session: str = "s1", turn: str = "t1", agent: str = "main") -> Origin:
    return Origin(session_id=session, turn_id=turn, agent=agent)


def delta(text: str, session: str = "s1") -> Event:
    return TextDelta(**origin(session), item="i1", text=text)


def started(turn: str = "t1", agent: str = "main") -> Event:
    return TurnStarted(**origin(turn=turn, agent=agent), text="do it", mode="ask")


def finished(turn: str = "t1", agent: str = "main") -> TurnFinished:
    return TurnFinished(**origin(turn=turn, agent=agent), stop_reason="end_turn", summary="done", metrics=Metrics())


async def test_events_come_back_in_order_with_gapless_numbers(store: Store) -> None:
    await store.open_session("s1", "title", ["/w"])
    await store.open_session("s2", "other", [])
    sent = [delta("α"), delta("b"), delta("c")]
    logged = [store.append(event) for event in sent]
    store.append(delta("elsewhere", "s2"))
    assert [entry.seq for entry in logged] == [1, 2, 3]
    assert await store.events("s1") == logged
    assert [decode(entry.body) for entry in logged] == sent
    assert await store.events("s1", since=2) == logged[2:]
    assert await store.events("s1", since=3) == []
    assert [entry.seq for entry in await store.events("s2")] == [1]


async def test_opening_a_session_again_changes_nothing(store: Store) -> None:
    await store.open_session("s1", "first", ["/w"])
    store.append(delta("a"))
    await store.open_session("s1", "second", ["/x"])
    assert store.append(delta("b")).seq == 2
    [info] = await store.sessions()
    assert (info.title, list(info.workspace)) == ("first", ["/w"])


async def test_messages_are_kept_whole_and_in_order(store: Store) -> None:
    await store.open_session("s1", "title", [])
    answer = {"role": "assistant", "content": None, "reasoning": "hm — \U0001f914\x00", "tool_calls": [{"id": "c1"}]}
    store.add_message("s1", "t1", {"role": "user", "content": "hello"})
    store.add_message("s1", "t1", answer)
    store.add_message("s1", "t2", {"role": "user", "content": "more"})
    messages = await store.messages("s1")
    assert [turn for turn, _ in messages] == ["t1", "t1", "t2"]
    assert messages[1][1] == answer


async def test_the_state_of_a_session_is_that_of_its_last_turn(store: Store) -> None:
    await store.open_session("s1", "title", [])

    async def state() -> tuple[str, int]:
        [info] = await store.sessions()
        return info.state, info.turns

    assert await state() == ("finished", 0)
    store.append(started("t1"))
    assert await state() == ("running", 1)
    store.append(finished("t1"))
    assert await state() == ("finished", 1)
    store.append(started("t2"))
    assert await state() == ("running", 2)
    store.append(msgspec.structs.replace(finished("t2"), stop_reason="error"))
    assert await state() == ("failed", 2)


async def test_a_sub_agent_neither_begins_nor_ends_the_turn(store: Store) -> None:
    await store.open_session("s1", "title", [])
    store.append(started())
    store.append(started(agent="scout"))
    store.append(finished(agent="scout"))
    [info] = await store.sessions()
    assert (info.state, info.turns) == ("running", 1)


async def test_sessions_come_with_the_last_used_first(store: Store) -> None:
    before = time.time()
    for name in ("s1", "s2", "s3"):
        await store.open_session(name, f"title of {name}", [])
    store.append(delta("a", "s2"))
    store.append(delta("b", "s1"))
    infos = await store.sessions()
    assert [info.id for info in infos] == ["s1", "s2", "s3"]
    assert all(before <= info.created <= info.updated <= time.time() for info in infos)
    assert [info.id for info in await store.sessions(limit=2)] == ["s1", "s2"]


async def test_intents_are_read_back_as_they_were_settled(store: Store) -> None:
    edit = Intent("e1", "s1", "t1", "edit", "a.py", "h0", "h1", "old\r\n", "new", existed=False)
    command = Intent("c1", "s1", "t2", "command", "make")
    await store.prepare(edit)
    await store.prepare(command)
    assert await store.intents("s1") == [edit, command]
    await store.settle("e1", "done")
    await store.settle("c1", "failed")
    assert [intent.state for intent in await store.intents("s1")] == ["done", "failed"]
    assert [intent.id for intent in await store.intents("s1", "t2")] == ["c1"]
    await store.prepare(edit)
    assert await store.intents("s1", "t1") == [edit]
    assert await store.intents("unknown") == []


async def test_an_approval_is_used_once_and_only_for_what_it_was_given(store: Store) -> None:
    later = time.time() + 3600
    await store.offer("a1", "hash of the call", later)
    assert not await store.use("a1", "hash of another call")
    assert await store.use("a1", "hash of the call")
    assert not await store.use("a1", "hash of the call")
    await store.offer("a1", "hash of the call", later)
    assert not await store.use("a1", "hash of the call")
    assert not await store.use("never offered", "")


async def test_an_expired_approval_is_worth_nothing_until_it_is_offered_anew(store: Store) -> None:
    await store.offer("a1", "hash", time.time() - 1)
    assert not await store.use("a1", "hash")
    await store.offer("a1", "hash", time.time() + 3600)
    assert await store.use("a1", "hash")


async def test_the_last_position_is_the_one_that_counts(store: Store) -> None:
    await store.open_session("s1", "title", [])
    assert await store.position("s1") is None
    for number in range(5):
        await store.save_position("s1", f"p{number}", bytes([number]))
    assert await store.position("s1") == ("p4", b"\x04")


async def test_a_copy_has_the_messages_up_to_a_turn_and_a_life_of_its_own(store: Store) -> None:
    await store.open_session("s1", "title", ["/w"])
    store.append(delta("a"))
    for turn, content in (("t1", "one"), ("t1", "two"), ("t2", "three")):
        store.add_message("s1", turn, {"role": "user", "content": content})
    await store.copy_session("s1", "fork", "a fork", "t1")
    await store.copy_session("s1", "whole", "a copy", None)
    assert [message["content"] for _, message in await store.messages("fork")] == ["one", "two"]
    assert [message["content"] for _, message in await store.messages("whole")] == ["one", "two", "three"]
    assert store.append(delta("b", "fork")).seq == 1
    store.add_message("fork", "t9", {"role": "user", "content": "other"})
    assert [turn for turn, _ in await store.messages("fork")] == ["t1", "t1", "t9"]
    assert len(await store.messages("s1")) == 3
    fork = next(info for info in await store.sessions() if info.id == "fork")
    assert (fork.title, list(fork.workspace), fork.turns) == ("a fork", ["/w"], 0)


async def test_a_copy_needs_a_known_source_and_a_new_name(store: Store) -> None:
    await store.open_session("s1", "title", [])
    store.add_message("s1", "t1", {"role": "user", "content": "one"})
    with pytest.raises(UnknownSession):
        await store.copy_session("nowhere", "fork", "a fork", None)
    with pytest.raises(UnknownSession):
        await store.copy_session("s1", "fork", "a fork", "t7")
    with pytest.raises(StoreError):
        await store.copy_session("s1", "s1", "a fork", None)
    assert [info.id for info in await store.sessions()] == ["s1"]


async def test_an_unknown_session_is_named(store: Store) -> None:
    with pytest.raises(UnknownSession, match="nowhere"):
        store.append(delta("a", "nowhere"))
    with pytest.raises(UnknownSession, match="nowhere"):
        store.add_message("nowhere", "t1", {"role": "user", "content": ""})
    for ask in (store.events, store.messages, store.position):
        with pytest.raises(UnknownSession, match="nowhere"):
            await ask("nowhere")
    with pytest.raises(UnknownSession, match="nowhere"):
        await store.save_position("nowhere", "p", b"")
    await store.flush()


async def test_half_a_character_is_kept_as_a_question_mark_or_as_it_is(store: Store) -> None:
    await store.open_session("s1", "title", [])
    store.append(delta("x\ud83d"))
    store.add_message("s1", "t1", {"role": "user", "content": "x\ud83d"})
    assert decode((await store.events("s1"))[0].body) == delta("x?")
    assert (await store.messages("s1"))[0][1]["content"] in ("x?", "x\ud83d")
