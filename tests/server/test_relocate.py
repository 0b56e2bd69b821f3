from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentic.change import Edit, apply_edits, minimal_edits
from agentic.errors import Refusal
from agentic_server.relocate import carry, distance, place

texts = st.lists(st.sampled_from(["a\n", "b\n", "aab\n", "\n", "x", "é\r\n"]), max_size=8).map("".join)


@settings(max_examples=300, deadline=None)
@given(texts, texts, st.sets(st.integers(0, 7)))
def test_a_change_that_is_there_in_part_is_finished_and_never_made_twice(before: str, after: str, chosen: set[int]):
    edits = minimal_edits(before, after)
    now = apply_edits(before, [edit for index, edit in enumerate(edits) if index in chosen])
    assert carry(before, edits, now) == after
    assert carry(before, edits, after) == after
    pending = [one.edit for one in place(before, edits, now) if one.state == "pending"]
    assert apply_edits(now, pending) == after


@settings(max_examples=300, deadline=None)
@given(texts, st.integers(0, 20), st.integers(0, 20))
def test_the_distance_is_what_must_be_typed_and_erased(text: str, start: int, length: int):
    start = min(start, len(text))
    end = min(start + length, len(text))
    now = text[:start] + "0123" + text[end:]
    assert distance(text, now) == distance(now, text) == 4 + end - start
    assert distance(text, text) == 0


def test_an_insertion_that_can_slide_is_found_where_it_went():
    before = "def a():\n    pass\n\n\ndef b():\n"
    ours = [Edit(18, 18, "\n\ndef c():\n    pass\n")]
    after = apply_edits(before, ours)
    typed = "# typed\n" + after
    assert carry(before, ours, typed) == typed


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
    assert isinstance(carry(before, edits, now), Refusal) == ("conflict" in states)
