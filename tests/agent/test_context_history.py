"""What the server is sent of a conversation, after compaction points too, and again in a later turn."""

import pytest

from agentic.context.history import COMPACTION, History
from agentic.ports.model import Answer
from agentic.ports.store import MemoryStore


@pytest.fixture
async def store() -> MemoryStore:
    store = MemoryStore()
    await store.open_session("s", "title", [])
    return store


def history(store: MemoryStore, turn: str = "t1") -> History:
    return History(store, "s", turn, "system text")


async def test_what_was_compacted_is_sent_alike_in_a_later_turn(store: MemoryStore) -> None:
    first = history(store)
    for text in ("task", "second", "third"):
        first.add_user(text)
    system, task, second, third = first.for_server
    first.compact([system, task, {"role": "user", "content": "(shortened)"}, third])
    first.add_answer(Answer(texts={"i": "hello"}))
    later = history(store, "t2")
    await later.load()
    assert later.for_server == first.for_server
    assert second not in later.for_server


async def test_two_compaction_points_follow_one_another(store: MemoryStore) -> None:
    first = history(store)
    for number in range(6):
        first.add_user(f"message {number}")
    for _ in range(2):
        messages = list(first.for_server)
        first.compact([messages[0], {"role": "user", "content": f"(was {messages[1]['content']})"}, *messages[3:]])
    later = history(store, "t2")
    await later.load()
    assert later.for_server == first.for_server
    assert [message["content"] for message in later.for_server][1:] == [
        "(was (was message 0))",
        "message 3",
        "message 4",
        "message 5",
    ]


async def test_the_log_keeps_what_is_not_sent_any_more(store: MemoryStore) -> None:
    first = history(store)
    first.add_user("task")
    first.add_user("a long text")
    first.compact(list(first.for_server)[:2])
    logged = [message for _, message in await store.messages("s")]
    assert [message.get("content") for message in logged] == ["task", "a long text", None]
    assert logged[-1] == {"role": COMPACTION, "view": [0, 1]}
