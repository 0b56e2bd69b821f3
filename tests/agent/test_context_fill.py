"""What fills the window: every token belongs to an item, and each item says what it is."""

from __future__ import annotations

import json
from pathlib import Path

from agentic.context import repo_map, retrieval, rules
from agentic.context.compaction import files_message, summary_message
from agentic.context.fill import SECTIONS, FillItem, fill, shares
from agentic.context.marks import MIDDLE, STUB
from agentic.context.prompts import load, render
from agentic.ports.model import Message, TokenCount, ToolSpec

RULES = 'Rules of this workspace\'s authors, on style.\n<rules from="AGENTS.md">\nTabs.\n</rules>'
POINTED = 'the user points at:\n<file path="a.py">\nx\n</file>'
FOUND = "Places in the workspace that may matter (found by search):\na.py:1"


def items_of(*messages: Message, tokens: int = 100) -> list[FillItem]:
    return fill(messages, [TokenCount(tokens)] * len(messages))


def user(text: str) -> Message:
    return {"role": "user", "content": text}


def test_a_task_is_parted_into_words_and_what_came_with_them() -> None:
    context = "\n".join(["mode: ask", RULES, POINTED, FOUND])
    items = items_of(user(render("task", task="Do it.", context=context)))
    assert [item.what for item in items] == ["task", "context", "rules", "mentions", "retrieval"]
    assert sum(item.tokens for item in items) == 100
    assert {item.message for item in items} == {0}


def test_the_sections_begin_as_they_are_written() -> None:
    """The words by which they are known stand where they are written, too."""
    for module, what in ((rules, "rules"), (retrieval, "retrieval"), (repo_map, "retrieval")):
        source = Path(module.__file__).read_text("utf-8")
        [begin] = [pattern.pattern.strip("^()") for name, pattern in SECTIONS if name == what]
        assert any(f'"{words}' in source for words in begin.split("|"))


def test_an_answer_is_reasoning_text_and_calls() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "read_file", "arguments": '{"path": "a.py"}'}}
    answer = {"role": "assistant", "content": "I look.", "reasoning": "Hm. " * 20, "tool_calls": [call]}
    result = {"role": "tool", "tool_call_id": "c", "content": "1\tx"}
    reasoning, text, called, gave = items_of(user("t"), answer, result)[1:]
    assert (reasoning.what, text.what, called.what, gave.what) == ("reasoning", "answer", "call", "result")
    assert called.name == gave.name == "read_file a.py"
    assert reasoning.tokens > called.tokens > text.tokens
    assert reasoning.tokens + text.tokens + called.tokens == 100


def test_what_was_shortened_says_so() -> None:
    stub = {"role": "tool", "tool_call_id": "c", "content": f"{STUB}what a tool gave."}
    cut = {"role": "tool", "tool_call_id": "c", "content": f"a{MIDDLE}b"}
    arguments = json.dumps({"content": f"a{MIDDLE}b"})
    call = {"id": "c", "type": "function", "function": {"name": "write_file", "arguments": arguments}}
    answer = {"role": "assistant", "content": "", "tool_calls": [call]}
    assert [item.state for item in items_of(user("t"), stub, cut, answer)] == ["whole", "stub", "cut", "cut"]


def test_what_agentic_said_is_told_from_what_the_user_said() -> None:
    summary, files = summary_message("word " * 20, [user("x")]), files_message([("a.py", "1\tx")])
    assert summary is not None
    assert files is not None
    note = user("[agentic] 3 earlier messages of this conversation had to be left out.")
    said = [user("Task"), summary, note, files, user(load("begin")), user("Be quick.")]
    found = [item.what for item in items_of({"role": "system", "content": "s"}, *said)]
    assert found == ["system", "task", "summary", "note", "files", "notice", "task"]


def test_the_tools_stand_before_all_and_shares_sum_up_to_one() -> None:
    tool: ToolSpec = {"type": "function", "function": {"name": "read_file", "parameters": {}}}
    items = fill([user("t")], [TokenCount(30, "server")], [tool], [TokenCount(90, "tokenizer")])
    assert [(item.what, item.name, item.by, item.message) for item in items] == [
        ("tools", "read_file", "tokenizer", None),
        ("task", "", "server", 0),
    ]
    assert [(share.what, share.tokens, share.share) for share in shares(items)] == [
        ("tools", 90, 0.75),
        ("task", 30, 0.25),
    ]


def test_nothing_fills_an_empty_window() -> None:
    assert (fill([], []), shares([])) == ([], [])
