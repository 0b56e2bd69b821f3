"""What a request's failures lead to, and what is remembered between the requests of a conversation."""

from __future__ import annotations

import random

from agentic.errors import DeadlineExceeded, ServerBusy
from agentic.llm.conversations import Conversation, Conversations
from agentic.llm.course import Course, Patience
from agentic.llm.prefix import PromptChain

BUSY = ServerBusy("It is busy.", "Wait.")
LATE = DeadlineExceeded("It is late.", "Hurry.")


def course(retries: int = 3, jitter: float = 0.0) -> Course:
    return Course(Patience(retries, (2.0, 4.0), jitter, random.Random(3)))


def test_the_last_wait_holds_for_all_that_follow_until_it_was_often_enough() -> None:
    one = course(retries=4)
    assert [one.next_wait() for _ in range(6)] == [2.0, 4.0, 4.0, 4.0, None, None]
    assert course(retries=0).next_wait() is None


def test_jitter_varies_a_wait_by_its_share() -> None:
    waits = [course(jitter=0.5).patience.wait(0) for _ in range(3)]
    assert all(wait is not None and 1.0 <= wait <= 3.0 for wait in waits)
    one = course(jitter=0.5)
    assert len({one.patience.wait(0) for _ in range(5)}) == 5


def test_who_failed_is_asked_again_after_a_wait_only() -> None:
    one = course()
    one.failed("a", BUSY, "again")
    assert (one.may_ask("a"), one.may_ask("b")) == (False, True)
    one.next_wait()
    assert one.may_ask("a")


def test_who_refused_is_not_asked_again() -> None:
    one = course()
    one.failed("a", BUSY, "elsewhere")
    one.next_wait()
    assert not one.may_ask("a")
    assert not one.may_come_back("a")


def test_who_taught_something_is_asked_at_once() -> None:
    one = course()
    one.failed("a", BUSY, "anew")
    assert one.may_ask("a")


def test_who_was_silent_twice_is_not_asked_a_third_time() -> None:
    one = course()
    one.failed("a", LATE, "again")
    assert one.may_come_back("a")
    one.failed("a", LATE, "again")
    assert not one.may_come_back("a")
    assert one.may_come_back("b")


def test_the_error_in_the_end_says_how_often_and_how_long_was_tried() -> None:
    one = course()
    one.attempts = 1
    assert one.given_up(BUSY, 1.0) is BUSY
    one.attempts = 5
    error = one.given_up(BUSY, 31.4)
    assert type(error) is ServerBusy
    assert str(error) == "It is busy. Tried 5 times in 31 s."
    assert error.hint.startswith("Wait. ")
    assert "resume" in error.hint


def chain(*links: int, tokens: int = 0) -> PromptChain:
    return PromptChain(links, [tokens or 100 * len(links)] * len(links), [False] * len(links))


def test_an_estimate_errs_high_until_the_server_has_told_a_length() -> None:
    one = Conversation()
    assert one.estimate(chain(1, 2, tokens=300)) == 400
    one.remember(chain(1, 2, tokens=300), "a", 450)
    assert one.estimate(chain(1, 2, 3, tokens=600)) == 900


def test_a_prompt_is_cut_when_it_goes_on_and_is_told_to_be_clearly_shorter_by_the_same_server() -> None:
    one = Conversation()
    one.remember(chain(1, 2), "a", 1000)
    assert one.is_cut(chain(1, 2, 3), "a", 700)
    assert not one.is_cut(chain(1, 2, 3), "a", 950)
    assert not one.is_cut(chain(1, 2, 3), "a", None)
    assert not one.is_cut(chain(1, 2, 3), "b", 700)
    assert not one.is_cut(chain(1, 9, 3), "a", 700), "a compacted prompt is another one"
    assert not one.is_cut(chain(1, 2), "a", 700)


def test_a_prompt_that_overflowed_a_window_is_estimated_to_be_longer_than_it() -> None:
    one = Conversation()
    one.overflowed(chain(1, tokens=300), 4096)
    assert one.estimate(chain(1, tokens=300)) > 4096
    one.remember(chain(1, tokens=300), "a", 5000)
    one.overflowed(chain(1, tokens=300), 4096)
    assert one.estimate(chain(1, tokens=300)) == 5000


def test_the_conversations_that_were_used_last_are_remembered() -> None:
    some = Conversations(most=2)
    first, second = some.of(("s", "main")), some.of(("s", "other"))
    first.calls.add("call")
    assert second.calls == {"call"}, "the items of a session's calls are known to all its agents"
    assert some.of(("s", "main")) is first
    some.of(("t", "main"))
    assert some.of(("s", "main")) is first
    assert some.of(("s", "other")) is not second
