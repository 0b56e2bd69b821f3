"""A conversation read back after a compaction: every message whole, the window as it is sent now."""

from __future__ import annotations

from agentic.context.history import History
from agentic.ports.model import Answer, ToolCall
from agentic.ports.store import MemoryStore
from agentic_server.protocol import TranscriptResult
from agentic_server.transcript import transcript_of


async def compacted() -> TranscriptResult:
    store = MemoryStore()
    await store.open_session("s", "Look", [])
    history = History(store, "s", "t1", "system text")
    history.add_user("Look")
    for number in range(3):
        history.add_answer(Answer(calls={"i": ToolCall(f"c{number}", "read_file", f'{{"path": "{number}.py"}}')}))
        history.add_result(f"c{number}", "line\n" * 500)
    sent = list(history.for_server)
    summary = {"role": "user", "content": "[agentic] Summary of 4 earlier messages.\n\nAll read."}
    history.compact([*sent[:2], summary, *sent[-2:]])
    [info] = await store.sessions()
    return await transcript_of(info, await store.messages("s"), None)


async def test_the_messages_are_all_there_and_the_window_holds_what_is_sent() -> None:
    found = await compacted()
    assert [message.role for message in found.messages] == ["system", "user", *["assistant", "tool"] * 3]
    items = [item for item in found.window.items if item.what != "tools"]
    assert [item.what for item in items] == ["system", "task", "summary", "call", "result"]
    assert items[-1].name == "read_file 2.py"
    assert found.window.tokens < sum(message.tokens or 0 for message in found.messages) + 3000


async def test_without_a_model_the_counts_are_estimates_and_its_window_is_not_told() -> None:
    window = (await compacted()).window
    assert {item.by for item in window.items} == {"estimate"}
    assert (window.window, window.budget) == (None, None)
    assert round(sum(share.share for share in window.shares), 2) == 1
