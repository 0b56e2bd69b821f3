"""JSON as models write it: what is read, and what is cut off and therefore not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic import json_text

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text(), VALUES, max_size=4)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1}', {"a": 1}),
        (' [1, 2,] ', [1, 2]),
        ('{"a": ",}", "b": [1,\n],}', {"a": ",}", "b": [1]}),
        ('{"a": "x\ny\tz"}', {"a": "x\ny\tz"}),
        ("{'a': True, 'b': None, 'c': 'it\\'s, }'}", {"a": True, "b": None, "c": "it's, }"}),
        ('{"a": True, "b": [False, None]}', {"a": True, "b": [False, None]}),
        ("{'a': true, 'b': (1, 2), 'c': \"true\"}", {"a": True, "b": [1, 2], "c": "true"}),
        ("{'a': 'C:\\d'}", {"a": "C:\\d"}),
        ('"text"', "text"),
        ("-1.5e3", -1500.0),
    ],
)  # fmt: skip
def test_is_read(text: str, value: Any) -> None:
    assert json_text.loads(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        '{"a": "b',
        '{"a": 1',
        "[1, 2",
        "{'a': 'b",
        "{'a': f(1)}",
        "{'a'}",
        "[" * 100_000,
        "a",
        "'a'",
        "{1: {2}}",
    ],
)
def test_is_not_read(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        json_text.loads(text)


def test_a_fence_is_taken_off_only_where_one_may_be() -> None:
    fenced = '```json\n{"a": 1,}\n```'
    assert json_text.loads(fenced, fenced=True) == {"a": 1}
    with pytest.raises(json.JSONDecodeError):
        json_text.loads(fenced)


@given(VALUES)
def test_what_is_json_is_read_as_json(value: Any) -> None:
    assert json_text.loads(json.dumps(value)) == value
    assert json_text.loads(json_text.dumps(value)) == value


@given(OBJECTS)
def test_what_is_a_python_literal_is_read_as_one(value: Any) -> None:
    assert json_text.loads(repr(value)) == value


@given(OBJECTS)
def test_a_block_ends_where_its_bracket_is_closed_and_nowhere_before(value: Any) -> None:
    text = json_text.dumps(value)
    assert json_text.block_end(f"x{text}]}}", 1) == len(text) + 1
    assert all(json_text.block_end(text[:end], 0) is None for end in range(1, len(text)))


def test_half_characters_are_written_so_that_they_can_be_sent() -> None:
    assert json_text.dumps({"a": "ü"}) == '{"a": "ü"}'
    assert json_text.dumps({"a": "\ud800"}) == '{"a": "\\ud800"}'
