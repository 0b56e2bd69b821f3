"""What a trimmed conversation keeps, over any conversation that a turn can make."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic.context.budget import budget_of
from agentic.context.marks import MIDDLE
from agentic.context.trim import KEPT_EXCHANGES, Trimmed, trim
from agentic.llm.tokens import estimate_message
from agentic.ports.model import Message

Json = dict[str, Any]


def say(role: str, text: str) -> Message:
    return {"role": role, "content": text}


def exchange(number: int, *outputs: str, arguments: Json | None = None, thinking: str = "") -> list[Message]:
    """An answer with a call for each output, and the outputs."""
    written = json.dumps(arguments if arguments is not None else {"path": f"file{number}.py"}, ensure_ascii=False)
    calls = [
        {"id": f"c{index}", "type": "function", "function": {"name": "read_file", "arguments": written}}
        for index in range(len(outputs))
    ]
    answer = {"role": "assistant", "content": "", "tool_calls": calls}
    results = [{"role": "tool", "tool_call_id": f"c{index}", "content": output} for index, output in enumerate(outputs)]
    return [{**answer, "reasoning": thinking} if thinking else answer, *results]


def wordy(number: int) -> Json:
    return {"path": f"file{number}.py", "why": "word " * 50}


def trimmed(messages: list[Message], budget: int) -> Trimmed:
    return trim(messages, [estimate_message(message) for message in messages], budget, estimate_message)


def size(messages: list[Message]) -> int:
    return sum(map(estimate_message, messages))


words = st.integers(0, 1500).flatmap(
    lambda length: st.sampled_from(["word ", "가나다 ", "x", "{}\n"]).map(lambda w: (w * length)[:length])
)


@st.composite
def conversations(draw: st.DrawFn) -> list[Message]:
    """A system text, then tasks, each followed by answers with and without calls, in any order but a valid one."""
    messages = [say("system", draw(words)), say("user", draw(words))]
    for number in range(draw(st.integers(0, 12))):
        kind = draw(st.sampled_from(["user", "assistant", "calls", "calls", "calls"]))
        if kind != "calls":
            messages.append(say(kind, draw(words)))
            continue
        outputs = draw(st.lists(words, min_size=1, max_size=3))
        arguments = draw(st.dictionaries(st.sampled_from(["path", "content"]), words, max_size=2))
        messages += exchange(number, *outputs, arguments=arguments, thinking=draw(words))
    return messages


budgets = st.integers(100, 6000)


@given(conversations(), budgets)
def test_the_budget_is_kept_or_it_is_said_that_it_is_not(messages: list[Message], budget: int) -> None:
    result = trimmed(messages, budget)
    assert result.counts == [estimate_message(message) for message in result.messages]
    assert result.fits == (size(result.messages) <= budget)


@given(conversations(), st.integers(2000, 6000))
def test_it_fits_whenever_system_text_and_the_users_words_leave_a_rest(messages: list[Message], rest: int) -> None:
    fixed = [message for message in messages if message["role"] in ("system", "user")]
    assert trimmed(messages, size(fixed) + rest).fits


@given(conversations(), budgets)
def test_system_text_task_and_last_messages_stay(messages: list[Message], budget: int) -> None:
    result = trimmed(messages, budget).messages
    assert result[0] is messages[0]
    for before, after in zip(pinned(messages), pinned(result), strict=True):
        assert_is_or_was_cut(before, after)
    if messages[-1]["role"] != "user":
        assert result[-1]["role"] == messages[-1]["role"]


@given(conversations(), budgets)
def test_a_call_and_its_results_are_never_parted(messages: list[Message], budget: int) -> None:
    valid = sorted(map(str, shapes(messages)))
    for shape in shapes(trimmed(messages, budget).messages):
        assert str(shape) in valid
        assert shape[0] == "assistant" or len(shape) == 1


@given(conversations(), budgets)
def test_every_message_is_valid_for_every_server(messages: list[Message], budget: int) -> None:
    for message in trimmed(messages, budget).messages:
        assert isinstance(message["content"], str)
        assert message.get("tool_calls") != []
        for call in message.get("tool_calls", ()):
            assert isinstance(json.loads(call["function"]["arguments"]), dict)


@given(conversations(), budgets)
def test_twice_is_once_and_the_input_stays_as_it_was(messages: list[Message], budget: int) -> None:
    before = copy.deepcopy(messages)
    once = trimmed(messages, budget)
    assert messages == before
    assert once.messages == trimmed(before, budget).messages
    again = trimmed(once.messages, budget)
    assert again.messages == once.messages
    assert not again.changed


@given(conversations(), budgets, st.lists(words, min_size=1, max_size=6))
def test_there_is_one_note_however_often_is_trimmed(messages: list[Message], budget: int, later: list[str]) -> None:
    for number, output in enumerate(later):
        messages = trimmed([*messages, *exchange(number, output)], budget).messages
        assert len(notes(messages)) <= 1


@given(conversations(), budgets)
def test_what_is_not_changed_is_the_same_object_in_the_same_order(messages: list[Message], budget: int) -> None:
    places = {id(message): place for place, message in enumerate(messages)}
    result = trimmed(messages, budget)
    kept = [places[id(message)] for message in result.messages if id(message) in places]
    assert kept == sorted(kept)
    changed = len(result.messages) - len(kept) - len(notes(result.messages))
    assert (result.shortened, result.dropped) == (changed, len(messages) - len(kept) - changed)


def test_a_conversation_that_fits_is_left_alone() -> None:
    messages = [say("system", "s"), say("user", "u"), *exchange(1, "x" * 500)]
    result = trimmed(messages, size(messages))
    assert (result.messages, result.changed, result.fits) == (messages, False, True)


def test_first_the_outputs_of_all_but_the_last_exchanges_go_at_once() -> None:
    messages = [say("system", "s"), say("user", "u"), *(one for n in range(10) for one in exchange(n, "line\n" * 300))]
    result = trimmed(messages, size(messages) - 1)
    outputs = [message["content"] for message in result.messages if message["role"] == "tool"]
    assert [len(output) > 1000 for output in outputs] == [False] * (10 - KEPT_EXCHANGES) + [True] * KEPT_EXCHANGES
    assert 'read_file {"path": "file0.py"}' in outputs[0]
    assert (result.dropped, result.shortened) == (0, 10 - KEPT_EXCHANGES)


def test_with_old_outputs_goes_what_was_thought_before_the_calls() -> None:
    messages = [say("system", "s"), say("user", "u")]
    messages += [one for n in range(10) for one in exchange(n, "line\n" * 300, thinking="hm " * 100)]
    result = trimmed(messages, size(messages) - 1).messages
    thoughts = ["reasoning" in message for message in result if message["role"] == "assistant"]
    assert thoughts == [False] * (10 - KEPT_EXCHANGES) + [True] * KEPT_EXCHANGES


def test_then_the_oldest_exchanges_go_until_half_of_the_budget_is_free() -> None:
    messages = [say("system", "s"), say("user", "the task")]
    messages += [one for number in range(200) for one in exchange(number, "ok", arguments=wordy(number))]
    result = trimmed(messages, 8000)
    note = result.messages[2]["content"]
    assert 3000 < size(result.messages) <= 4000
    assert note.startswith(f"[agentic] {result.dropped} earlier messages")
    assert f"file{result.dropped // 2 - 1}.py" in note
    assert result.messages[3:] == messages[2 + result.dropped :]


def test_a_second_trim_adds_to_the_note_of_the_first() -> None:
    messages = [say("system", "s"), say("user", "u")]
    dropped = 0
    for number in range(200):
        result = trimmed([*messages, *exchange(number, "ok", arguments=wordy(number))], 4000)
        messages, dropped = result.messages, dropped + result.dropped
    assert notes(messages) == [2]
    assert messages[2]["content"].startswith(f"[agentic] {dropped} earlier messages")


def test_trims_are_rare() -> None:
    messages, trims = [say("system", "s" * 2000), say("user", "u")], 0
    for number in range(300):
        result = trimmed([*messages, *exchange(number, "line\n" * 150)], 12_000)
        messages, trims = result.messages, trims + result.changed
    assert trims <= 30


def test_last_the_longest_text_loses_its_middle() -> None:
    messages = [say("system", "s"), say("user", "u"), *exchange(1, "head " + "line\n" * 5000 + " tail", "short")]
    result = trimmed(messages, 3072)
    long, short = result.messages[-2:]
    assert result.fits
    assert long["content"].startswith("head ")
    assert MIDDLE in long["content"]
    assert long["content"].endswith(" tail")
    assert short == messages[-1]


def test_arguments_that_are_too_long_lose_their_middle_and_stay_json() -> None:
    arguments = {"path": "a.py", "edits": [{"old": "x", "new": "line\n" * 5000}], "count": 3}
    messages = [say("system", "s"), say("user", "u"), *exchange(1, "ok", arguments=arguments)]
    result = trimmed(messages, 3072)
    read = json.loads(result.messages[2]["tool_calls"][0]["function"]["arguments"])
    assert result.fits
    assert MIDDLE in read["edits"][0]["new"]
    assert (read["path"], read["count"], read["edits"][0]["old"]) == ("a.py", 3, "x")


DEEP = "[" * 900 + "]" * 900


@pytest.mark.parametrize("arguments", ['{"a": ' * 100_000, DEEP, f'{{"a": "{"long " * 2000}", "b": {DEEP}}}'])
def test_arguments_that_cannot_be_read_are_left(arguments: str) -> None:
    messages = [say("system", "s"), say("user", "u"), *exchange(1, "line\n" * 3000)]
    messages[2]["tool_calls"][0]["function"]["arguments"] = arguments
    assert trimmed(messages, 200).messages[2] is messages[2]


def test_exact_counts_far_below_our_estimates_do_not_keep_a_text_long() -> None:
    messages = [say("system", "s"), say("assistant", "word " * 2000)]
    assert trim(messages, [1, 900], 800, estimate_message).fits


def test_there_is_no_note_where_there_is_no_room_for_one() -> None:
    messages = [say("system", "rule " * 100), say("user", "u"), *exchange(1, "ok"), say("assistant", "done")]
    kept = [messages[0], messages[1], messages[-1]]
    result = trimmed(messages, size(kept) + 5)
    assert (result.messages, result.dropped, result.fits) == (kept, 2, True)


def test_a_system_text_is_never_shortened() -> None:
    messages = [say("system", "rule " * 1000), say("user", "u " * 1000)]
    result = trimmed(messages, 200)
    assert result.messages[0] is messages[0]
    assert not result.fits


@pytest.mark.parametrize(
    ("window", "limit", "budget"),
    [
        (4096, None, 3072),
        (131_072, None, 98_304),
        (131_072, 4096, 126_976),
        (8192, None, 6144),
        (3000, None, 1976),
        (1000, None, 500),
        (4096, 100, 3996),
        (0, None, 0),
    ],
)
def test_a_part_of_the_window_is_kept_for_the_answer(window: int, limit: int | None, budget: int) -> None:
    assert budget_of(window, limit) == budget


def pinned(messages: list[Message]) -> list[Message]:
    """The task, the last words of the user, and the last answer if there is one."""
    users = [m for place, m in enumerate(messages) if m["role"] == "user" and place not in notes(messages)]
    return [users[0], users[-1], *[m for m in messages if m["role"] == "assistant"][-1:]]


def notes(messages: list[Message]) -> list[int]:
    return [
        place for place, message in enumerate(messages) if "of this conversation had to be left" in message["content"]
    ]


def shapes(messages: list[Message]) -> Iterator[list[str]]:
    """Each message with the ids of its calls, and of the results right after it."""
    found: list[list[str]] = []
    for message in messages:
        if message["role"] == "tool":
            found[-1].append(message["tool_call_id"])
        else:
            found.append([message["role"], *(f"calls {call['id']}" for call in message.get("tool_calls", ()))])
    for shape in found:
        calls = [name.removeprefix("calls ") for name in shape[1:] if name.startswith("calls ")]
        assert shape[1:] == [*(f"calls {call}" for call in calls), *calls]
        yield shape


def assert_is_or_was_cut(before: Message, after: Message) -> None:
    assert {**before, **TEXTLESS} == {**after, **TEXTLESS} or after.get("tool_calls")
    assert [call["id"] for call in before.get("tool_calls", ())] == [c["id"] for c in after.get("tool_calls", ())]
    if after["content"] != before["content"]:
        head, _, tail = after["content"].partition(MIDDLE)
        assert before["content"].startswith(head)
        assert before["content"].endswith(tail)


TEXTLESS = {"content": "", "reasoning": ""}


def test_what_the_user_said_in_between_goes_last() -> None:
    context = "\n\n<context>\nmode: ask\n" + "line\n" * 200 + "</context>"
    messages = [say("system", "s"), say("user", "first" + context)]
    messages += [one for n in range(5) for one in (say("user", f"more {n}"), *exchange(n, "line\n" * 300))]
    messages += [say("user", "[agentic] Begin now."), say("user", "last" + context), *exchange(9, "line\n" * 300)]
    said = ["first", *(f"more {n}" for n in range(5)), "last" + context]
    tight = trimmed(messages, 1100)
    assert [m["content"] for m in tight.messages if m["role"] == "user" and "[agentic]" not in m["content"]] == said
    tighter = trimmed(messages, 500).messages
    assert [m["content"] for m in tighter if m["role"] == "user" and "[agentic]" not in m["content"]] == [
        *said[:-1],
        "last",
    ]
    tightest = trimmed(messages, 300).messages
    assert [m["content"] for m in tightest if m["role"] == "user"] == ["first", "last"]


def test_the_users_own_words_are_never_shortened() -> None:
    messages = [say("system", "s"), say("user", "word " * 2000), say("assistant", "x"), say("user", "more " * 2000)]
    trimmed = trim(messages, [1, 2000, 1, 2000], 1000, estimate_message)
    assert not trimmed.fits
    assert trimmed.messages[1] is messages[1]
    assert trimmed.messages[-1] is messages[-1]
