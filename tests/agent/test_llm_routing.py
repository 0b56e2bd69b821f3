"""Which endpoint a request goes to."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from agentic.llm.routing import Snapshot, choose

A, B, C = (Snapshot(name, 8192) for name in ("a", "b", "c"))
SESSIONS = [f"session-{number}" for number in range(600)]


def test_nobody_is_chosen_where_there_is_nobody() -> None:
    assert choose([], "s") is None


def test_a_conversation_stays_where_its_prefix_is() -> None:
    busy = replace(B, in_flight=7, waiting=2, covered=100)
    for session in SESSIONS[:20]:
        assert choose([A, busy, C], session, home="b") == "b"


def test_it_leaves_an_overloaded_home_for_one_that_is_free_and_only_then() -> None:
    for full in (replace(B, in_flight=8), replace(B, in_flight=5, queued=3), replace(B, waiting=8)):
        assert choose([A, full], "s", home="b") == "a"
        assert choose([replace(A, in_flight=8), full], "s", home="b") == "b"
        assert choose([full], "s", home="b") == "b"


def test_a_lost_home_is_forgotten() -> None:
    assert choose([A, C], "s", home="b") in {"a", "c"}


def test_new_conversations_spread_by_weight() -> None:
    even = Counter(choose([A, B], session) for session in SESSIONS)
    assert abs(even["a"] - even["b"]) < 120
    weighted = Counter(choose([replace(A, weight=3.0), B], session) for session in SESSIONS)
    assert 2.2 < weighted["a"] / weighted["b"] < 4.2


def test_an_endpoint_that_leaves_moves_only_its_own_sessions() -> None:
    for session in SESSIONS:
        before, after = choose([A, B, C], session), choose([A, C], session)
        assert before in (after, "b")


def test_a_new_conversation_prefers_the_endpoint_that_holds_its_head_while_nothing_waits_there() -> None:
    warm = replace(B, covered=3200)
    assert {choose([A, warm, C], session) for session in SESSIONS[:50]} == {"b"}
    for loaded in (replace(warm, waiting=1), replace(warm, in_flight=8)):
        assert "b" not in {choose([A, loaded, C], session) for session in SESSIONS[:50]}


def test_once_it_is_loaded_the_least_loaded_for_its_size_is_taken() -> None:
    warm = replace(B, covered=3200, in_flight=8)
    assert choose([replace(A, in_flight=3), warm, replace(C, in_flight=2)], "s") == "c"
    assert choose([replace(A, in_flight=3, weight=4.0), warm, replace(C, in_flight=2)], "s") == "a"
    full = [replace(A, in_flight=8, queued=4), replace(warm, queued=1), replace(C, in_flight=8, queued=2)]
    assert choose(full, "s") == "b"


def test_a_window_that_is_too_small_for_the_prompt_is_passed_over_unless_all_are() -> None:
    small, large = replace(A, window=4096, covered=4000), replace(B, window=16_384)
    assert choose([small, large], "s", home="a", prompt=5000) == "b"
    assert choose([small, large], "s", home="a", prompt=20_000) == "b"
    assert choose([small, large], "s", home="a", prompt=3000) == "a"


endpoints = st.builds(
    Snapshot,
    name=st.sampled_from("abcdef"),
    window=st.integers(1, 10_000),
    weight=st.floats(0.01, 100),
    limit=st.integers(1, 16),
    in_flight=st.integers(0, 20),
    queued=st.integers(0, 20),
    waiting=st.integers(0, 20),
    covered=st.integers(0, 10_000),
)


@given(st.lists(endpoints, min_size=1, unique_by=lambda one: one.name), st.text(), st.text(), st.integers(0, 20_000))
def test_it_always_chooses_one_of_them_and_always_the_same(
    some: list[Snapshot], session: str, home: str, prompt: int
) -> None:
    chosen = choose(some, session, home, prompt)
    assert chosen in {one.name for one in some}
    assert choose(some[::-1], session, home, prompt) == chosen
    if any(one.window > prompt for one in some):
        assert next(one.window for one in some if one.name == chosen) > prompt
