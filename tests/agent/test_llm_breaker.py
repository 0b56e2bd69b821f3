"""The circuit breaker's states, with a clock of the test's own."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from agentic.llm.breaker import LONGEST_HOLD, REFUSED_SECONDS, Breaker

WAITS = (2.0, 4.0, 8.0, 16.0)


def breaker(jitter: float = 0.0) -> Breaker:
    return Breaker(WAITS, jitter, random.Random(7))


def test_one_failure_leaves_it_closed_and_a_second_in_a_row_opens_it() -> None:
    one = breaker()
    assert not one.failed(0.0)
    assert one.state(0.0) == "closed"
    assert one.failed(1.0)
    assert one.state(1.0) == "open"
    assert one.state(2.9) == "open"
    assert one.state(3.0) == "half_open"


def test_an_answer_between_two_failures_keeps_it_closed() -> None:
    one = breaker()
    one.failed(0.0)
    one.succeeded()
    assert not one.failed(1.0)
    assert one.state(1.0) == "closed"


def test_what_is_not_there_opens_it_at_once() -> None:
    one = breaker()
    assert one.failed(0.0, at_once=True)
    assert one.state(1.0) == "open"


def test_each_failed_probe_opens_it_for_longer_up_to_the_last_wait() -> None:
    one, now, waits = breaker(), 100.0, list[float]()
    one.failed(now, at_once=True)
    for _ in range(6):
        waits.append(one.retry_in(now))
        now += waits[-1]
        assert one.state(now) == "half_open"
        one.probed(now, answered=False)
    assert waits == [2.0, 4.0, 8.0, 16.0, 16.0, 16.0]


def test_a_probe_that_answered_closes_it_until_the_next_failure() -> None:
    one = breaker()
    one.failed(0.0, at_once=True)
    assert one.probed(2.0, answered=True)
    assert one.state(2.0) == "closed"
    assert one.failed(3.0)
    assert one.retry_in(3.0) == 4.0


def test_an_answer_makes_it_as_new() -> None:
    one = breaker()
    one.failed(0.0, at_once=True)
    one.probed(2.0, answered=True)
    one.succeeded()
    assert one.failures == 0
    assert not one.failed(3.0)
    one.failed(4.0)
    assert one.retry_in(4.0) == 2.0


def test_requests_that_were_under_way_do_not_keep_it_open_for_longer() -> None:
    one = breaker()
    one.failed(0.0, at_once=True)
    for moment in (0.1, 0.2, 1.9):
        assert not one.failed(moment, at_once=True)
    assert one.state(2.0) == "half_open"


def test_the_servers_wish_to_be_left_alone_is_kept_when_it_is_longer() -> None:
    one = breaker()
    assert one.failed(0.0, hold=60.0)
    assert one.retry_in(0.0) == one.held_for(0.0) == 60.0
    assert one.state(59.0) == "open"
    assert one.held_for(61.0) == 0.0
    greedy = breaker()
    greedy.failed(0.0, hold=86_400.0)
    assert greedy.retry_in(0.0) == LONGEST_HOLD
    short = breaker()
    short.failed(0.0, hold=0.5)
    assert short.retry_in(0.0) == 2.0


def test_a_refusal_keeps_it_open_for_a_minute_or_until_a_probe_answers() -> None:
    one = breaker()
    one.refused(0.0)
    assert one.state(REFUSED_SECONDS - 1) == "open"
    assert one.probed(5.0, answered=True)
    assert one.state(5.0) == "closed"


@given(st.integers(0, 2**32))
def test_the_jitter_varies_each_wait_by_its_share(seed: int) -> None:
    one = Breaker(WAITS, 0.2, random.Random(seed))
    one.failed(0.0, at_once=True)
    assert 1.6 <= one.retry_in(0.0) <= 2.4


Step = tuple[str, int]
STEPS = st.lists(st.tuples(st.sampled_from(["failed", "lost", "held", "succeeded", "up", "down"]), st.integers(0, 20)))


@given(STEPS)
def test_it_never_stays_open_for_longer_than_it_may(steps: list[Step]) -> None:
    one, now = breaker(), 0.0
    for step, seconds in steps:
        now += seconds
        match step:
            case "succeeded":
                one.succeeded()
            case "up" | "down" if one.state(now) != "closed":
                one.probed(now, answered=step == "up")
            case "failed" | "lost" | "held":
                one.failed(now, at_once=step == "lost", hold=30.0 if step == "held" else 0.0)
            case _:
                pass
        assert (one.state(now) == "open") == (one.retry_in(now) > 0)
        assert one.retry_in(now) <= 30.0
