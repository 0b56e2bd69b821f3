"""Calls and thoughts that arrive as text: what is recovered, and what is prose and stays prose."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentic.llm.recovery.gate import TextGate
from agentic.llm.recovery.toolbox import RecoveredCall
from agentic.llm.recovery.whole import Recovered, join, recover
from agentic.tools.registry import tool_specs

FIRST, SECOND = (
    [json.loads(line) for line in (Path(__file__).parent / f"recovery_{name}.jsonl").open(encoding="utf-8")]
    for name in ("corpus", "second")
)
"""Two collections by two authors; the second was begun without knowledge of the first and of the parser."""
CORPUS = FIRST + SECOND
TOOLS = tool_specs()
READ = '{"name": "read_file", "arguments": {"path": "a.py"}}'
HERMES = f"<tool_call>\n{READ}\n</tool_call>"


def tools_of(sample: dict[str, Any]) -> Any:
    return TOOLS if sample["tools"] == "default" else sample["tools"]


def calls_in(calls: tuple[RecoveredCall, ...]) -> list[dict[str, Any]]:
    return [{"name": call.name, "arguments": json.loads(call.arguments)} for call in calls]


def fed(slices: list[str], recover: bool = True, tools: Any = TOOLS) -> tuple[str, str, tuple[RecoveredCall, ...]]:
    gate = TextGate(tools)
    pieces = [piece for text in slices for piece in gate.feed(text)]
    last, calls = gate.finish(recover)
    return *join([*pieces, *last]), calls


def cut_at(text: str, places: list[int]) -> list[str]:
    edges = [0, *sorted({place % (len(text) + 1) for place in places}), len(text)]
    return [text[start:end] for start, end in pairwise(edges)]


@pytest.mark.parametrize("corpus", [FIRST, SECOND], ids=["first", "second"])
def test_calls_are_recovered_from_the_corpus_and_prose_never_becomes_one(corpus: list[dict[str, Any]]) -> None:
    wanted, found, invented = Counter[str](), Counter[str](), list[str]()
    wrong = list[str]()
    for sample in corpus:
        got = calls_in(recover(sample["text"], tools_of(sample)).calls)
        if sample["calls"]:
            wanted[sample["family"]] += 1
            found[sample["family"]] += got == sample["calls"]
        elif got:
            invented.append(sample["id"])
        if got and got != sample["calls"]:
            wrong.append(sample["id"])
    for family, count in wanted.items():
        print(f"{family:16} {found[family]:3} of {count:3}")
    assert len(corpus) >= 170
    assert sum(not sample["calls"] for sample in corpus) >= 50
    assert invented == []
    assert wrong == []
    assert found.total() / wanted.total() >= 0.95


@pytest.mark.parametrize("sample", [s for s in CORPUS if s["expected_text"] is not None], ids=lambda s: s["id"])
def test_the_text_beside_the_calls_is_kept(sample: dict[str, Any]) -> None:
    assert recover(sample["text"], tools_of(sample)).text == sample["expected_text"]


@pytest.mark.parametrize("sample", CORPUS, ids=lambda s: s["id"])
def test_one_character_at_a_time_gives_what_the_whole_gives(sample: dict[str, Any]) -> None:
    for allowed in (True, False):
        whole = fed([sample["text"]], allowed)
        assert fed(list(sample["text"]), allowed) == whole


@settings(max_examples=300, deadline=None)
@given(sample=st.sampled_from(CORPUS), places=st.lists(st.integers(0, 10_000), max_size=12), allowed=st.booleans())
def test_the_slices_do_not_matter(sample: dict[str, Any], places: list[int], allowed: bool) -> None:
    assert fed(cut_at(sample["text"], places), allowed) == fed([sample["text"]], allowed)


MARKS = [
    *("<tool_call>", "</tool_call>", "<function=", "<parameter=", "read_file", "list_files", READ, HERMES),
    *("{", "}", "[", "]", "(", ")", "```", "`", "\n", " ", '"', "'", "a", "path", ":", "=", ".", '{"path": "a"}'),
    *("<think>", "</think>", "<|channel|>", "analysis", "commentary", " to=functions.", "final", "<|message|>"),
    *("<|end|>", "<|start|>assistant", "<|call|>", "<|im_end|>", "[TOOL_CALLS]", "[ARGS]"),
    *("<|tool_call_begin|>", "<｜tool▁call▁begin｜>", "<|tool_call_end|>"),
]  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(marks=st.lists(st.sampled_from(MARKS), max_size=14), places=st.lists(st.integers(0, 500)), allowed=st.booleans())
def test_nothing_is_lost_from_any_mixture_of_marks(marks: list[str], places: list[int], allowed: bool) -> None:
    text = "".join(marks)
    whole = fed([text], allowed)
    assert fed(cut_at(text, places), allowed) == whole
    shown, thinking, calls = whole
    if not calls and not any(mark in text for mark in ("<think>", "</think>", "<|")):
        assert shown == text
    assert all(call.name in ("read_file", "list_files") for call in calls)
    assert len(shown) + len(thinking) <= len(text)


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=200).filter(lambda text: not any(mark in text for mark in ("<|", "<t", "<seed", "[TH"))))
def test_any_text_without_a_call_comes_through(text: str) -> None:
    assert fed([text]) == (text, "", ())


@pytest.mark.parametrize(
    "sample", [s for s in CORPUS if s["calls"] and s["family"] != "unopened"], ids=lambda s: s["id"]
)
def test_no_markup_of_a_call_is_shown_before_the_end(sample: dict[str, Any]) -> None:
    gate = TextGate(tools_of(sample))
    shown, _ = join([piece for char in sample["text"] for piece in gate.feed(char)])
    assert recover(sample["text"], tools_of(sample)).text.startswith(shown)


@pytest.mark.parametrize("sample", [s for s in CORPUS if s["calls"]], ids=lambda s: s["id"])
def test_no_call_is_recovered_where_it_may_not_be(sample: dict[str, Any]) -> None:
    text, thinking, calls = fed([sample["text"]], recover=False)
    assert calls == ()
    assert sample["text"].endswith(text[-10:])
    if not thinking and not any(mark in sample["text"] for mark in ("<|channel|>", "</think>")):
        assert text == sample["text"]


@pytest.mark.parametrize("sample", [s for s in CORPUS if s["calls"]], ids=lambda s: s["id"])
def test_no_call_is_recovered_to_a_tool_that_is_not_registered(sample: dict[str, Any]) -> None:
    assert recover(sample["text"], ["other_tool"]).calls == ()
    assert recover(sample["text"], []).calls == ()


@pytest.mark.parametrize(
    "sample", [s for s in CORPUS if len(s["calls"]) == 1 and s["family"] != "unopened"], ids=lambda s: s["id"]
)
def test_what_is_cut_off_is_never_completed(sample: dict[str, Any]) -> None:
    text = sample["text"]
    for end in range(len(text)):
        calls = calls_in(recover(text[:end], tools_of(sample)).calls)
        assert calls in ([], sample["calls"])


def test_prose_is_shown_as_it_comes() -> None:
    prose = "Compare a < b, then x[0] and {y}; `<tool_call>` is a tag, and so on. Next line:\n- a [link](x)\n"
    words = prose.split()
    gate = TextGate(TOOLS)
    shown, late, sent = 0, 0, 0
    for word in (f"{word} " for word in words):
        sent += len(word)
        shown += sum(len(text) for _, text in gate.feed(word))
        late = max(late, sent - shown)
    assert late <= 3


def test_what_begins_like_a_call_is_held_and_then_shown() -> None:
    gate = TextGate(TOOLS)
    assert gate.feed("Look:\n") == [("text", "Look:\n")]
    assert gate.feed('{"na') == []
    assert gate.feed('me": "my-pack') == [("text", '{"name": "my-pack')]
    assert gate.feed("age.\n<tool") == [("text", "age.\n")]
    assert gate.feed("box>") == [("text", "<toolbox>")]


def test_what_is_in_a_fence_passes_at_once() -> None:
    gate = TextGate(TOOLS)
    for text in ("```json\n", '{"name": "read_file"', ', "arguments": {}}\n', "<tool_call>", "\n```\n"):
        assert join(gate.feed(text)) == (text, "")
    assert gate.feed("<tool_call>") == []


def test_values_get_the_types_of_the_tools_schema_where_it_is_known() -> None:
    properties = {
        "count": {"type": "integer"},
        "share": {"type": ["number", "null"]},
        "flag": {"type": "boolean"},
        "items": {"anyOf": [{"type": "array"}, {"type": "null"}]},
        "where": {"type": "object"},
        "text": {"type": "string"},
    }
    spec = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": properties}}}
    values = {
        "count": "3",
        "share": "null",
        "flag": "True",
        "items": "[1]",
        "where": '{"a": 1,}',
        "text": "5",
        "new": "6",
    }
    body = "".join(f"<parameter={key}>\n{value}\n</parameter>\n" for key, value in values.items())
    text = f"<tool_call>\n<function=f>\n{body}</function>\n</tool_call>"
    typed = {"count": 3, "share": None, "flag": True, "items": [1], "where": {"a": 1}, "text": "5", "new": "6"}
    assert calls_in(recover(text, {"f": spec}).calls) == [{"name": "f", "arguments": typed}]
    assert calls_in(recover(text, ["f"]).calls) == [{"name": "f", "arguments": values}]


def test_values_that_do_not_fit_their_type_stay_as_they_are_written() -> None:
    text = "<function=read_file>\n<parameter=path>\n1\n</parameter>\n<parameter=limit>\nten\n</parameter>\n</function>"
    assert calls_in(recover(text, TOOLS).calls) == [{"name": "read_file", "arguments": {"path": "1", "limit": "ten"}}]


def test_line_ends_inside_a_value_are_kept() -> None:
    text = "<function=write_file><parameter=path>a</parameter><parameter=content>\n\n  x\n\n\n</parameter></function>"
    assert calls_in(recover(text, TOOLS).calls)[0]["arguments"]["content"] == "\n  x\n\n"


@pytest.mark.parametrize(
    ("text", "parted"),
    [
        ("<think>Hm.</think>\n\nYes.", Recovered("\n\nYes.", "Hm.", ())),
        ("\n<think>\nHm.\n</think>Yes.", Recovered("\nYes.", "\nHm.\n", ())),
        ("Say <think> to think.", Recovered("Say <think> to think.", "", ())),
        ("<think>Hm.", Recovered("", "Hm.", ())),
        ("Hm.\n</think>\n\nYes.", Recovered("\n\nYes.", "Hm.\n", ())),
        ("Hm.</think>Yes.", Recovered("Yes.", "Hm.", ())),
        ("Hm.</think>", Recovered("", "Hm.", ())),
        ("</think>\nYes.", Recovered("\nYes.", "", ())),
        (f"Perhaps\n{HERMES}\n</think>Yes.", Recovered("Yes.", f"Perhaps\n{HERMES}\n", ())),
        ("<think>Hm.</think>Yes.\n</think>", Recovered("Yes.\n</think>", "Hm.", ())),
        ("Write <think>, then\n</think>", Recovered("Write <think>, then\n</think>", "", ())),
        ("It ends. </think> is its tag.", Recovered("It ends. </think> is its tag.", "", ())),
        ('It ends with "...</think>".', Recovered('It ends with "...</think>".', "", ())),
        ('read("Hm.</think>Yes.")\nprint()', Recovered('read("Hm.</think>Yes.")\nprint()', "", ())),
        ('I say "4".</think>4', Recovered("4", 'I say "4".', ())),
        ("```\nHm.\n</think>\nYes.\n```", Recovered("```\nHm.\n</think>\nYes.\n```", "", ())),
        (
            "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Yes.<|return|>",
            Recovered("Yes.", "Hm.", ()),
        ),
        ("<|channel|>final<|message|>Yes.<|return|>", Recovered("Yes.", "", ())),
        ("<|channel|>analysis<|message|>Hm.<|channel|>final<|message|>Yes.", Recovered("Yes.", "Hm.", ())),
        ("Yes.<|return|>", Recovered("Yes.", "", ())),
        ("Yes.<|im_end|>\n", Recovered("Yes.", "", ())),
        ("The token <|return|> ends it.", Recovered("The token <|return|> ends it.", "", ())),
    ],
)
def test_thoughts_and_headers_are_parted_from_the_text(text: str, parted: Recovered) -> None:
    assert recover(text, TOOLS) == parted


def test_a_call_that_begins_the_answer_counts_though_words_follow() -> None:
    assert recover(f"{HERMES}\n\nI wait for the result.", TOOLS) == Recovered(
        "I wait for the result.", "", (RecoveredCall("read_file", '{"path": "a.py"}'),)
    )


@pytest.mark.parametrize(
    "mark",
    [
        "<|end|>",
        "<|im_end|>",
        "<tool_call>",
        '<tool_call>{"name": "read_file", "arguments": {}\n',
        '{"name": "read_file", \n',
    ],
)
def test_marks_that_a_model_repeats_without_end_are_dealt_with(mark: str) -> None:
    """Each of them would take minutes if every one were read up to the answer's end."""
    text = f"x {mark * (60_000 // len(mark))} y"
    assert fed([text]) == (text, "", ())


def test_a_long_call_is_not_read_again_and_again() -> None:
    """Held text is looked at a number of times that grows with the logarithm of its length: this ends at once."""
    content = json.dumps("x = {'a': [1]}\n" * 20_000)
    text = f'<tool_call>\n{{"name": "write_file", "arguments": {{"path": "a", "content": {content}}}}}\n</tool_call>'
    shown, _, calls = fed([text[at : at + 4] for at in range(0, len(text), 4)])
    assert (shown, len(calls)) == ("", 1)
