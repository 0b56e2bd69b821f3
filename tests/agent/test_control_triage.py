"""The classification line: parted from the text however the stream is cut, and never shown."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic.control.triage import MAX_LINE, Classification, Splitter, guess, override, parse
from agentic.task import Overrides

LINE = {
    "route": "work",
    "domain": "coding",
    "confidence": 0.9,
    "complexity": 0.25,
    "language": "en",
    "plan": ["look at {x}", 'fix "it"'],
}
FOUND = Classification("work", "coding", 0.9, 0.25, "en", ("look at {x}", 'fix "it"'))


def feed(pieces: list[str]) -> tuple[Classification | None, str]:
    splitter = Splitter()
    shown = "".join(splitter.feed(piece) for piece in pieces) + splitter.finish()
    return splitter.found, shown


def cuts(text: str, places: list[int]) -> list[str]:
    at = sorted({place % (len(text) + 1) for place in places})
    return [text[a:b] for a, b in zip([0, *at], [*at, len(text)], strict=True)]


@given(st.lists(st.integers(0, 10_000), max_size=30), st.sampled_from(["", "\n", "  \n", "\n\n"]))
def test_is_parted_from_the_text_wherever_the_stream_is_cut(places: list[int], lead: str) -> None:
    text = lead + json.dumps(LINE) + "\nI read it first. {not json}\n\nThen more."
    assert feed(cuts(text, places)) == (FOUND, "I read it first. {not json}\n\nThen more.")


@given(st.lists(st.integers(0, 10_000), max_size=30))
def test_a_fence_around_it_is_not_shown(places: list[int]) -> None:
    text = f"```json\n{json.dumps(LINE, indent=1)}\n```\nText."
    assert feed(cuts(text, places)) == (FOUND, "Text.")


@given(st.lists(st.integers(0, 10_000), max_size=30))
def test_a_code_block_that_follows_is_text(places: list[int]) -> None:
    text = f"{json.dumps(LINE)}\n```python\nx = 1\n```"
    assert feed(cuts(text, places)) == (FOUND, "```python\nx = 1\n```")


@given(st.text(max_size=200), st.lists(st.integers(0, 10_000), max_size=20))
def test_text_without_a_classification_comes_out_whole(text: str, places: list[int]) -> None:
    found, shown = feed(cuts(text, places))
    assert found is None
    assert shown == text


def test_an_answer_that_comes_in_one_piece_is_parted_too_however_long_it_is() -> None:
    assert feed([json.dumps(LINE) + "\n" + "word " * MAX_LINE]) == (FOUND, "word " * MAX_LINE)


@pytest.mark.parametrize("value", ["[" * 1_500 + "]" * 1_500, "9" * 4_400])
def test_what_cannot_be_read_is_text(value: str) -> None:
    text = f'{{"route": "work", "confidence": {value}}}'
    assert feed([text]) == (None, text)


@pytest.mark.parametrize(
    ("confidence", "taken"), [("9" * 400, 1.0), ("-" + "9" * 400, 0.0), ("NaN", 0.5), ("1e999", 1)]
)
def test_numbers_that_are_no_share_are_brought_into_range(confidence: str, taken: float) -> None:
    found, _ = feed([f'{{"route": "work", "confidence": {confidence}}}'])
    assert found is not None
    assert found.confidence == taken


@pytest.mark.parametrize("value", ['{"a": 1}', '{"route": "fly"}', '{"route": "work"', "[1]", "{" * (MAX_LINE + 1)])
def test_other_json_is_text(value: str) -> None:
    assert feed([value]) == (None, value)


def test_odd_fields_fall_back() -> None:
    odd = {"route": "work", "domain": "x", "confidence": "high", "complexity": 7, "plan": "none", "language": None}
    assert parse(odd) == Classification("work", "coding", 0.5, 1.0, "und")
    assert parse({"route": "work", "confidence": float("nan")}) == Classification("work")


@pytest.mark.parametrize(
    ("task", "calls", "route", "language"),
    [
        ("hi", 0, "reply", "und"),
        ("안녕하세요", 0, "reply", "ko"),
        ("hi", 1, "work", "und"),
        ("fix a.py", 0, "work", "und"),
        ("please make all of the tests pass again", 0, "work", "und"),
    ],
)
def test_without_the_models_word_a_heuristic_decides(task: str, calls: int, route: str, language: str) -> None:
    found = guess(task, calls)
    assert (found.route, found.language, found.by) == (route, language, "heuristic")


def test_the_user_overrides_each() -> None:
    found = override(FOUND, Overrides(domain="data", complexity=0.9, route="reply"))
    assert (found.domain, found.complexity, found.route, found.by) == ("data", 0.9, "reply", "user")
    assert override(FOUND, Overrides()) == FOUND
