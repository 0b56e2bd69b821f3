"""The running count: exact where the server has told, calibrated upward where it has not, and never a walk."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic.context.budget import FEWEST_CHARS, LARGEST_CALIBRATION, MOST_CHARS, Ledger, result_limit
from agentic.ports.model import TokenCount

Source = Literal["server", "tokenizer", "estimate"]


def counts(*tokens: int, by: Source = "estimate") -> list[TokenCount]:
    return [TokenCount(one, by) for one in tokens]


def ledger_of(*tokens: int, before: int = 0, by: Source = "estimate") -> Ledger:
    ledger = Ledger(counts(before))
    ledger.reset(counts(*tokens, by=by))
    return ledger


def test_a_new_ledger_holds_what_stands_before_the_messages() -> None:
    assert Ledger().tokens == 0
    assert Ledger(counts(30, 12)).tokens == 42
    assert Ledger(counts(30, 12)).before == 42


def test_messages_are_added_up() -> None:
    ledger = Ledger(counts(5))
    for count in counts(10, 20, 30):
        ledger.append(count)
    assert (ledger.tokens, ledger.messages, ledger.counts()) == (65, 3, [10, 20, 30])


def test_what_the_server_told_replaces_our_sum_and_only_the_rest_is_ours() -> None:
    ledger = ledger_of(10, 20, before=70)
    assert ledger.told(90, upto=2)
    assert (ledger.tokens, ledger.by) == (90, "exact")
    ledger.append(TokenCount(50))
    assert (ledger.tokens, ledger.estimated, ledger.by) == (140, 50, "mixed")


def test_a_server_that_counts_more_calibrates_what_follows() -> None:
    ledger = ledger_of(100)
    ledger.told(150, upto=1)
    ledger.append(TokenCount(100))
    assert (ledger.calibration, ledger.tokens) == (1.5, 300)


def test_a_server_that_counts_less_never_makes_an_estimate_smaller() -> None:
    ledger = ledger_of(100)
    ledger.told(50, upto=1)
    ledger.append(TokenCount(100))
    assert (ledger.calibration, ledger.tokens) == (1.0, 150)


def test_the_calibration_rises_at_once_and_fades_slowly() -> None:
    ledger = ledger_of(100)
    ledger.told(150, upto=1)
    ledger.told(100, upto=1)
    assert ledger.calibration == pytest.approx(1.4)
    ledger.told(160, upto=1)
    assert ledger.calibration == pytest.approx(1.6)


def test_something_fixed_before_a_short_prompt_does_not_blow_up_the_calibration() -> None:
    ledger = ledger_of(5)
    ledger.told(500, upto=1)
    assert ledger.calibration == LARGEST_CALIBRATION
    assert sum(ledger.counts()) >= 500


def test_a_prompt_that_the_server_has_cut_is_no_count_of_ours() -> None:
    ledger = ledger_of(9000)
    assert not ledger.told(2050, upto=1)
    assert ledger.tokens == 9000


def test_older_news_change_nothing() -> None:
    ledger = ledger_of(10, 10)
    ledger.told(22, upto=2)
    ledger.told(15, upto=1)
    assert ledger.tokens == 22


@pytest.mark.parametrize(
    ("exact", "estimated", "by"),
    [(100, 0, "exact"), (100, 3, "exact"), (100, 10, "mixed"), (0, 10, "estimate"), (0, 0, "exact")],
)
def test_a_count_says_how_certain_it_is(exact: int, estimated: int, by: str) -> None:
    ledger = Ledger()
    ledger.reset([*counts(exact, by="tokenizer"), *counts(estimated)])
    assert ledger.by == by


def test_a_reset_keeps_what_was_learned_and_forgets_what_was_told() -> None:
    ledger = ledger_of(100, 100)
    ledger.told(300, upto=2)
    ledger.reset(counts(100))
    assert (ledger.messages, ledger.tokens) == (1, 150)


@given(
    st.integers(0, 5000),
    st.lists(st.tuples(st.integers(1, 5000), st.sampled_from(["server", "tokenizer", "estimate"])), max_size=30),
    st.lists(st.tuples(st.integers(0, 100_000), st.integers(0, 30)), max_size=5),
)
def test_the_parts_are_never_less_than_the_whole(
    before: int, messages: list[tuple[int, Source]], news: list[tuple[int, int]]
) -> None:
    ledger = Ledger(counts(before))
    ledger.reset([TokenCount(tokens, by) for tokens, by in messages])
    for tokens, upto in news:
        ledger.told(tokens, min(upto, ledger.messages))
    assert ledger.before + sum(ledger.counts()) >= ledger.tokens
    assert 0 <= ledger.estimated <= ledger.tokens
    was = ledger.tokens
    ledger.append(TokenCount(7))
    assert ledger.tokens >= was + 7


@pytest.mark.parametrize(
    ("window", "used", "fixed", "chars"),
    [
        (131_072, 5_000, 3_000, MOST_CHARS),
        (32_768, 5_000, 3_000, 24_576),
        (16_384, 3_000, 2_000, 12_288),
        (16_384, 11_000, 2_000, 12_288),
        (16_384, 11_000, 8_288, 6_000),
        (4096, 2_272, 2_072, 2_400),
        (4096, 3_000, 2_072, 1_500),
        (4096, 4_000, 4_000, FEWEST_CHARS),
    ],
    ids=["most", "a quarter", "still", "full, room can be made", "half of what is left", "free", "tight", "fewest"],
)
def test_a_result_may_have_what_fits_or_will_fit(window: int, used: int, fixed: int, chars: int) -> None:
    assert result_limit(window, used, fixed) == chars


def test_other_messages_are_counted_as_the_server_would() -> None:
    ledger = ledger_of(100, before=50)
    ledger.told(300, upto=1)
    assert ledger.with_messages(counts(10, 20)) == 160
