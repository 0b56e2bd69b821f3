"""Edits carried over to texts that have moved on: nothing typed is lost, nothing is made twice or elsewhere."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agentic.change import Edit, apply_edits, minimal_edits, trim
from agentic.errors import Refusal
from agentic.merge import merge, place
from agentic.text import line_starts, split_lines

lines = st.sampled_from(["a\n", "b\n", "aab\n", "\n", "\r\n", "a\r\n", "  a\n", "\r", "x", "bbbbbb\n"])
texts = st.lists(lines, max_size=9).map("".join)
line_for_line = st.sampled_from(["new\n", "", "a\n\n"])
sets = st.sets(st.integers(0, 9))
TYPED = [chr(0xE000 + number) for number in range(40)]


def some(edits: Sequence[Edit], chosen: set[int]) -> list[Edit]:
    return [edit for index, edit in enumerate(edits) if index in chosen]


def type_into(text: str, places: Sequence[int]) -> str:
    """The text with a character of its own typed at each of these places, never between \\r and \\n."""
    for place_, char in zip(sorted(places, reverse=True), TYPED, strict=False):
        at = place_ % (len(text) + 1) if text else 0
        at += text[at - 1 : at + 1] == "\r\n"
        text = text[:at] + char + text[at:]
    return text


def without_typed(text: str) -> str:
    return "".join(char for char in text if char not in TYPED)


def typed(text: str) -> list[str]:
    return [char for char in text if char in TYPED]


@given(texts, texts)
def test_on_the_text_itself_the_edits_are_applied(base: str, after: str):
    assert merge(base, minimal_edits(base, after), base) == after


@settings(max_examples=300)
@given(texts, texts, sets)
def test_edits_that_are_there_in_part_are_finished_and_never_made_twice(base: str, after: str, chosen: set[int]):
    edits = minimal_edits(base, after)
    assert merge(base, edits, apply_edits(base, some(edits, chosen))) == after
    assert merge(base, edits, after) == after


@settings(max_examples=600)
@given(texts, texts, sets, st.lists(st.integers(0, 200), max_size=6))
@example("a\na\n", "b\na\n", set(), [1])
@example("a\na\n", "bbbbbb\na\nbbbbbb\na\n", {1}, [0])
def test_what_the_user_typed_stays_and_our_edits_are_there_once(
    base: str, after: str, chosen: set[int], places: list[int]
):
    edits = minimal_edits(base, after)
    now = type_into(apply_edits(base, some(edits, chosen)), places)
    merged = merge(base, edits, now)
    if not isinstance(merged, Refusal):
        assert without_typed(merged) == after
        assert typed(merged) == typed(now)
        assert merge(base, edits, merged) == merged


@settings(max_examples=300)
@given(st.lists(lines, min_size=5, max_size=12), st.integers(0, 11), sets)
def test_typing_on_other_lines_is_no_conflict(parts: list[str], at: int, chosen: set[int]):
    parts = [part if part.endswith(("\n", "\r")) else part + "\n" for part in parts]
    base = "".join(parts)
    starts = line_starts(base)
    whole = split_lines(base)
    at %= len(whole)
    edits = [Edit(starts[at], starts[at] + len(whole[at].rstrip("\r\n")), "ours")]
    others = [starts[n] for n in chosen if n < len(whole) and abs(n - at) > 1]
    now = base
    for offset, char in zip(sorted(others, reverse=True), TYPED, strict=False):
        now = now[:offset] + char + now[offset:]
    merged = merge(base, edits, now)
    assert not isinstance(merged, Refusal)
    assert without_typed(merged) == apply_edits(base, edits)


@settings(max_examples=300)
@given(texts, texts, st.data())
def test_what_the_user_typed_inside_of_an_edit_is_a_conflict(base: str, after: str, data: st.DataObject):
    edits = [edit for edit in minimal_edits(base, after) if edit.end - edit.start > 1]
    if not edits:
        return
    edit = data.draw(st.sampled_from(edits))
    at = data.draw(st.integers(edit.start + 1, edit.end - 1))
    if base[at - 1 : at + 1] == "\r\n":
        return
    assert isinstance(merge(base, [edit], base[:at] + TYPED[0] + base[at:]), Refusal)


@pytest.mark.parametrize(
    ("now", "conflict"), [("one\n\nthree\n", True), ("one\ntw\nthree\n", True), ("one\n2\nthree\n", True)]
)
def test_what_the_user_erased_or_wrote_anew_is_a_conflict(now: str, conflict: bool):
    base = "one\ntwo\nthree\n"
    assert isinstance(merge(base, [Edit(4, 7, "zwei")], now), Refusal) == conflict
    assert isinstance(merge(base, [Edit(4, 8, "")], "one\nt\nthree\n"), Refusal)


def test_single_characters_that_a_new_text_has_by_chance_are_not_taken_for_the_old_ones():
    base = "start\n    total = first + second\nend\n"
    at = base.index("+")
    now = "start\n    print(f'{name}+{other}')\nend\n"
    assert isinstance(merge(base, [Edit(at, at + 1, "-")], now), Refusal)


@settings(max_examples=300)
@given(st.lists(st.sampled_from(["a\r\n", "b\r\n", "\r\n", "c\n"]), max_size=8).map("".join), texts, texts)
def test_a_line_end_is_never_cut_in_two(base: str, after: str, now: str):
    for edit in minimal_edits(base, after):
        for at in (edit.start, edit.end):
            assert base[at - 1 : at + 1] != "\r\n" or at == 0
    for one in place(base, minimal_edits(base, after), now):
        if one.state == "pending":
            assert all(at == 0 or now[at - 1 : at + 1] != "\r\n" for at in (one.start, one.end))


def test_an_insertion_that_can_slide_is_found_where_it_went():
    before = "def a():\n    pass\n\n\ndef b():\n"
    ours = [Edit(18, 18, "\n\ndef c():\n    pass\n")]
    now = "# typed\n" + apply_edits(before, ours)
    assert merge(before, ours, now) == now


@pytest.mark.parametrize(
    ("now", "states"),
    [
        ("one\ntwo\nthree\n", ["pending", "pending"]),
        ("ONE\ntwo\nthree\n", ["made", "pending"]),
        ("one\ntwo\n3\n", ["pending", "conflict"]),
        ("ONxE\ntwo\nthree\n", ["conflict", "pending"]),
        ("typed\nONE\ntwo\n3\n", ["made", "conflict"]),
    ],
)
def test_each_edit_is_pending_made_or_in_conflict(now: str, states: list[str]):
    before = "one\ntwo\nthree\n"
    edits = [Edit(0, 3, "ONE"), Edit(8, 13, "THREE")]
    assert [one.state for one in place(before, edits, now)] == states
    assert isinstance(merge(before, edits, now), Refusal) == ("conflict" in states)


def test_typing_where_a_made_edit_has_erased_something_leaves_it_made():
    assert [one.state for one in place("one two\n", [Edit(3, 7, "")], "one!\n")] == ["made"]
    assert [one.state for one in place("one two\n", [Edit(3, 7, "")], "one tw\n")] == ["conflict"]


def test_texts_that_differ_much_are_compared_by_lines():
    chance = random.Random(7)
    base = "".join(f"line {number} {chance.random()}\n" for number in range(3000))
    words = "".join(f"pasted {chance.random()}\n" for _ in range(2000))
    at = base.index("line 2500")
    edits = [Edit(at, at + 4, "LINE"), Edit(at + 200, at + 200, "ours")]
    after = apply_edits(base, edits)
    assert merge(base, edits, words + base) == words + after
    assert merge(base, edits, words + after) == words + after
    rewritten = "".join(chance.sample(split_lines(base), 3000))
    assert isinstance(merge(base, [Edit(at, at + 4, "LINE")], rewritten.replace("line", "row")), Refusal)


def test_ten_thousand_lines_are_carried_over():
    chance = random.Random(1)
    parts = [chance.choice(["\n", "    pass\n", "}\n", f"value = {number}\n"]) for number in range(10_000)]
    base = "".join(parts)
    after = "".join("changed\n" if number % 20 == 0 else part for number, part in enumerate(parts))
    edits = minimal_edits(base, after)
    assert apply_edits(base, edits) == after
    half = apply_edits(base, edits[::2])
    assert merge(base, edits, TYPED[0] + half + TYPED[1]) == TYPED[0] + after + TYPED[1]
    deletions = [Edit(edit.start, edit.end, "") for edit in edits if edit.end > edit.start]
    assert merge(base, deletions, apply_edits(base, deletions[1::2])) == apply_edits(base, deletions)


@settings(max_examples=300)
@given(
    st.text(st.sampled_from("ab \n\r\t\f\u2028é𝒳"), max_size=40), st.text(st.sampled_from("ab \n\r\u2028"), max_size=40)
)
def test_the_smallest_edits_lead_to_the_new_text_and_are_in_order(before: str, after: str):
    edits = minimal_edits(before, after)
    assert apply_edits(before, edits) == after
    ends = [(edit.start, edit.end) for edit in edits]
    assert all(start <= end for start, end in ends)
    assert all(end <= start for (_, end), (start, _) in pairwise(ends))
    assert all(trim(before, edit) == edit for edit in edits)


@settings(max_examples=200)
@given(st.lists(lines.filter(lambda line: line != "\r"), max_size=9).map("".join), st.integers(0, 12), line_for_line)
def test_lines_that_are_not_changed_keep_their_bytes(before: str, number: int, new: str):
    whole = split_lines(before)
    number %= len(whole) + 1
    after = "".join([*whole[:number], new, *whole[number + 1 :]])
    first = sum(map(len, whole[:number]))
    last = sum(map(len, whole[: number + 1]))
    for edit in minimal_edits(before, after):
        assert edit.end - edit.start + len(edit.new) <= last - first + len(new)
