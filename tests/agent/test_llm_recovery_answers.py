"""What the reader of answers makes of calls and thoughts that come as text, and of calls in odd shapes."""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from agentic.events import ItemWithdrawn, ModelEvent, Origin, TextDelta, TextFinished, ToolCallDelta
from agentic.llm.answers import AnswerReader
from agentic.llm.recovery.whole import recover
from agentic.llm.wire import read_chunk
from agentic.ports.model import Answer
from agentic.tools.registry import tool_specs

CORPUS = [
    json.loads(line)
    for name in ("corpus", "second")
    for line in (Path(__file__).parent / f"recovery_{name}.jsonl").open(encoding="utf-8")
]
ORIGIN: Origin = {"session_id": "s", "turn_id": "t", "agent": "main"}
CALL = '<tool_call>\n{"name": "read_file", "arguments": {"path": "a.py"}}\n</tool_call>'


def chunk(finish: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"choices": [{"delta": delta, "finish_reason": finish}]}


def call(**fields: Any) -> dict[str, Any]:
    function = {key: fields.pop(key) for key in ("name", "arguments") if key in fields}
    return chunk(tool_calls=[{**fields, "function": function}])


def read(*chunks: dict[str, Any], reader: AnswerReader | None = None) -> tuple[AnswerReader, list[ModelEvent], Answer]:
    reader = reader or AnswerReader(ORIGIN, set(), tool_specs())
    happened = [event for data in chunks for event in reader.read(read_chunk(data))]
    happened += reader.finish()
    answer = Answer()
    for event in happened:
        answer.add(event)
    return reader, happened, answer


def calls_of(answer: Answer) -> list[tuple[str, Any]]:
    return [(call.name, json.loads(call.arguments)) for call in answer.tool_calls]


@pytest.mark.parametrize("finish", ["stop", "tool_calls", "eos_token"])
def test_a_call_in_the_text_becomes_a_call(finish: str) -> None:
    taken = set[str]()
    reader = AnswerReader(ORIGIN, taken, tool_specs())
    _, happened, answer = read(*(chunk(content=char) for char in f"I read.\n{CALL}"), chunk(finish), reader=reader)
    assert (answer.text, calls_of(answer)) == ("I read.\n", [("read_file", {"path": "a.py"})])
    assert (reader.recovered, reader.promoted, reader.finish_reason) == (True, False, "tool_calls")
    assert [type(event).__name__ for event in happened[-2:]] == ["TextFinished", "ToolCallDelta"]
    assert taken == {answer.tool_calls[0].id}
    assert {event.item for event in reader.withdraw() if isinstance(event, ItemWithdrawn)} == {
        *answer.texts,
        answer.tool_calls[0].id,
    }


@pytest.mark.parametrize("sample", CORPUS, ids=lambda sample: sample["id"])
def test_every_sample_of_the_corpus_streams_to_its_calls(sample: dict[str, Any]) -> None:
    text, whole = sample["text"], recover(sample["text"], tool_specs())
    reader, happened, answer = read(*(chunk(content=text[at : at + 3]) for at in range(0, len(text), 3)), chunk("stop"))
    assert calls_of(answer) == [(call.name, json.loads(call.arguments)) for call in whole.calls]
    assert (answer.text, reader.recovered) == (whole.text, bool(whole.calls))
    withdrawn = {event.item for event in happened if isinstance(event, ItemWithdrawn)}
    assert not withdrawn or sample["family"] == "unopened"
    grown = "".join(event.text for event in happened if isinstance(event, TextDelta) and event.item not in withdrawn)
    assert grown == "".join(event.text for event in happened if isinstance(event, TextFinished)) == answer.text


@pytest.mark.parametrize("finish", ["length", "content_filter"])
def test_nothing_is_recovered_from_an_answer_that_the_model_did_not_end(finish: str) -> None:
    reader, _, answer = read(chunk(content=CALL), chunk(finish))
    assert (answer.text, answer.tool_calls, reader.recovered) == (CALL, [], False)


def test_nothing_is_recovered_beside_a_call_that_came_as_one() -> None:
    both = chunk(content=f"Look:\n{CALL}"), call(index=0, id="c", name="list_files", arguments="{}")
    reader, _, answer = read(*both, chunk(content=CALL), chunk("tool_calls"))
    assert answer.text == f"Look:\n{CALL}{CALL}"
    assert (calls_of(answer), reader.recovered) == ([("list_files", {})], False)


def test_a_request_without_tools_has_no_calls() -> None:
    reader, _, answer = read(chunk(content=CALL), chunk("stop"), reader=AnswerReader(ORIGIN))
    assert (answer.text, reader.finish_reason) == (CALL, "stop")


def test_what_is_held_back_is_progress_all_the_same() -> None:
    reader = AnswerReader(ORIGIN, set(), tool_specs())
    assert reader.read(read_chunk(chunk(content="<tool_call>\n"))) == []
    assert reader.grew
    assert reader.read(read_chunk(chunk(role="assistant", content=""))) == []
    assert not reader.grew


def test_thoughts_in_the_text_are_thoughts() -> None:
    _, _, answer = read(chunk(content="<thi"), chunk(content="nk>Hm.</think>Yes."), chunk("stop"))
    assert (answer.thinking, answer.text) == ("Hm.", "Yes.")


def test_a_thought_whose_opening_tag_stood_in_the_prompt_is_taken_back_as_text() -> None:
    reader, happened, answer = read(*(chunk(content=char) for char in f"Hm.\n</think>\nYes.\n{CALL}"), chunk("stop"))
    assert (answer.thinking, answer.text) == ("Hm.\n", "\nYes.\n")
    assert calls_of(answer) == [("read_file", {"path": "a.py"})]
    kinds = [kind for kind, _ in groupby(type(event).__name__ for event in happened)]
    thought = ["TextDelta", "ItemWithdrawn", "ThinkingDelta", "ThinkingFinished"]
    assert kinds == [*thought, "TextDelta", "TextFinished", "ToolCallDelta"]
    assert {event.item for event in reader.withdraw() if isinstance(event, ItemWithdrawn)} == {
        *answer.texts,
        *answer.thoughts,
        *answer.calls,
    }


def test_a_call_that_came_as_one_ends_such_a_thought_too() -> None:
    parts = chunk(content="Hm.</thi"), chunk(content="nk>"), call(index=0, id="c", name="list_files", arguments="{}")
    _, _, answer = read(*parts, chunk("tool_calls"))
    assert (answer.thinking, answer.text, calls_of(answer)) == ("Hm.", "", [("list_files", {})])


@pytest.mark.parametrize("text", ["안녕하세요! 🎉", CALL])
def test_an_answer_that_came_as_reasoning_is_promoted_where_the_two_are_not_known_to_be_parted(text: str) -> None:
    reader = AnswerReader(ORIGIN, set(), tool_specs(), reasoning_splits=False)
    chunks = [chunk(content=""), *(chunk(reasoning=char) for char in text), chunk("stop")]
    _, happened, answer = read(*chunks, reader=reader)
    assert (reader.promoted, reader.recovered, answer.thinking) == (True, text == CALL, "")
    assert (answer.text, calls_of(answer)) == (("", [("read_file", {"path": "a.py"})]) if text == CALL else (text, []))
    assert sum(isinstance(event, ItemWithdrawn) for event in happened) == 1
    assert {event.item for event in reader.withdraw() if isinstance(event, ItemWithdrawn)} == {
        *answer.texts,
        *answer.calls,
    }


@pytest.mark.parametrize(
    ("chunks", "splits"),
    [
        ([chunk(reasoning="Hm."), chunk("stop")], True),
        ([chunk(reasoning="Hm."), chunk("length")], False),
        ([chunk(reasoning="Hm."), chunk(content="Yes."), chunk("stop")], False),
        ([chunk(reasoning="Hm."), call(name="list_files", arguments="{}"), chunk("stop")], False),
        ([chunk(reasoning="Hm."), chunk(content=CALL), chunk("stop")], False),
    ],
)
def test_reasoning_stays_reasoning_otherwise(chunks: list[dict[str, Any]], splits: bool) -> None:
    reader, happened, answer = read(*chunks, reader=AnswerReader(ORIGIN, set(), tool_specs(), reasoning_splits=splits))
    assert (answer.thinking, reader.promoted) == ("Hm.", False)
    assert not any(isinstance(event, ItemWithdrawn) for event in happened)


ARGUMENTS = '{"path": "a.py", "limit": 2}'
SHAPES = {
    "no index": [call(id="c", name="read_file", arguments=ARGUMENTS[:9]), call(arguments=ARGUMENTS[9:])],
    "an object": [call(index=0, name="read_file", arguments=json.loads(ARGUMENTS))],
    "one chunk": [call(index=0, id="c", name="read_file", arguments=ARGUMENTS)],
    "id and name in every piece": [call(index=0, id="c", name="read_file", arguments=char) for char in ARGUMENTS],
    "the whole call twice": [call(index=0, id="c", name="read_file", arguments=ARGUMENTS)] * 2,
    "the same object twice": [call(index=0, id="c", name="read_file", arguments=json.loads(ARGUMENTS))] * 2,
    "a function_call twin": [
        {"choices": [{"delta": {**call(index=0, id="c", name="read_file", arguments=ARGUMENTS)["choices"][0]["delta"],
                                "function_call": {"name": "read_file", "arguments": ARGUMENTS}}}]},
    ],
    "harmony in the name": [call(index=0, id="c", name="read_file<|channel|>commentary", arguments=ARGUMENTS)],
    "a name space in the name": [call(index=0, id="c", name="functions.read_file", arguments=ARGUMENTS)],
}  # fmt: skip


@pytest.mark.parametrize("finish", ["stop", "tool_calls", "function_call"])
@pytest.mark.parametrize("shape", SHAPES)
def test_calls_of_every_shape_are_one_call(shape: str, finish: str) -> None:
    reader, happened, answer = read(*SHAPES[shape], chunk(finish))
    assert calls_of(answer) == [("read_file", {"path": "a.py", "limit": 2})]
    assert (reader.finish_reason, reader.recovered) == ("tool_calls", False)
    assert {event.name for event in happened if isinstance(event, ToolCallDelta)} == {"read_file"}


def test_a_name_that_is_no_tool_stays_as_it_is() -> None:
    _, _, answer = read(call(index=0, id="c", name="nope<|x|>", arguments="{}"), chunk("stop"))
    assert [call.name for call in answer.tool_calls] == ["nope<|x|>"]


def test_two_calls_that_are_alike_are_two() -> None:
    pieces = [call(index=n, id=f"c{n}", name="list_files", arguments="{}") for n in range(2)]
    assert calls_of(read(*pieces, chunk("stop"))[2]) == [("list_files", {}), ("list_files", {})]
