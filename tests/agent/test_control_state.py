"""The decisions of a turn, without a model."""

import json

import pytest

from agentic.control.answers import EMPTY, NAMED, REPEATING, UNREAD
from agentic.control.ladders import LADDERS
from agentic.control.state import (
    Finish,
    Proceed,
    Recover,
    Spent,
    TurnState,
    after_answer,
    after_call,
    after_cut,
    after_directive,
    after_steering,
    after_too_long,
    cut_calls,
    decide,
    fresh,
    meant_to_call,
    warnings,
    why_ended,
)
from agentic.task import Limits

LIMITS = Limits()
UNREADABLE = "I read it.\n<tool_call>\n<function=read_file>\n<parameter=path>\na.py"
ANNOUNCED = "I will now call read_file to see what is in it."


def step(state: TurnState) -> tuple[TurnState, Proceed | Recover | Finish]:
    directive = decide(state, LIMITS)
    return after_directive(state, directive), directive


def test_an_answer_without_calls_ends_the_turn() -> None:
    assert decide(after_answer(fresh(), text="Done.", calls=0), LIMITS) == Finish("end_turn")


def test_an_answer_with_calls_goes_on() -> None:
    assert decide(after_answer(fresh(), text="", calls=1), LIMITS) == Proceed()


@pytest.mark.parametrize(
    ("problem", "text", "limits"),
    [("empty", " \n", EMPTY), ("unread", UNREADABLE, UNREAD), ("named", ANNOUNCED, NAMED)],
)
def test_an_answer_that_is_none_is_asked_for_again_and_then_given_up(problem, text, limits) -> None:
    state = fresh()
    for strength, rung in enumerate(LADDERS[problem].steps, 1):
        state, directive = step(after_answer(state, text=text, calls=0, tools=["read_file"]))
        assert directive == Recover(
            problem, rung.prompt, strength, temperature=rung.temperature, tools=rung.tools, count=strength
        )
        assert (state["temperature"], state["tools"]) == (rung.temperature, rung.tools)
    state, directive = step(after_answer(state, text=text, calls=0, tools=["read_file"]))
    assert directive == LADDERS[problem].end
    assert state["fallback"]
    assert len(limits) == len(LADDERS[problem].steps) + 1


def test_an_answer_in_order_begins_the_count_anew() -> None:
    state, first = step(after_answer(fresh(), text="", calls=0))
    state, _ = step(after_answer(state, text="", calls=1))
    state, again = step(after_answer(state, text="", calls=0))
    assert first == again
    assert decide(after_answer(state, text="Done.", calls=0), LIMITS) == Finish("end_turn")


def test_how_to_ask_is_set_for_one_request() -> None:
    state = fresh()
    for _ in range(2):
        state, _ = step(after_answer(state, text="", calls=0))
    assert not state["tools"]
    state = after_answer(state, text="", calls=1)
    assert state["tools"]
    assert state["temperature"] is None
    assert state["barred"]
    assert not after_answer(state, text="", calls=1)["barred"]


def test_text_that_repeats_itself_is_cut_twice_and_then_the_turn_ends() -> None:
    state = fresh()
    for strength in range(1, len(REPEATING)):
        state, directive = step(after_cut(state))
        assert isinstance(directive, Recover)
        assert (directive.problem, directive.strength, directive.is_loop) == ("repeating", strength, True)
    state, directive = step(after_cut(state))
    assert isinstance(directive, Finish)
    assert (directive.reason, directive.summarise) == ("loop", False)


def test_limits_end_the_turn_with_a_summary() -> None:
    over = Finish("max_iterations", summarise=True, why="the limit of iterations is reached")
    assert decide({**fresh(), "iteration": 50}, LIMITS) == over
    assert decide({**fresh(), "iteration": 49}, LIMITS) == Proceed()
    assert decide({**fresh(), "iteration": 5}, Limits(recursion=10)) == over
    assert decide({**fresh(), "stop": "cancelled"}, LIMITS) == Finish("cancelled")


@pytest.mark.parametrize(
    ("spent", "reason"),
    [
        (Spent(seconds=60.0), "max_time"),
        (Spent(tokens=1000), "max_budget"),
        (Spent(cost=0.5), "max_budget"),
        (Spent(tool_calls=10), "max_budget"),
    ],
)
def test_each_budget_is_warned_of_once_and_then_ends_the_turn(spent: Spent, reason: str) -> None:
    limits = Limits(seconds=60.0, tokens=1000, cost=0.5, tool_calls=10)
    part = Spent(spent.seconds * 0.8, int(spent.tokens * 0.8), spent.cost * 0.8, int(spent.tool_calls * 0.8))
    assert warnings(fresh(), limits, Spent()) == (fresh(), [])
    state, near = warnings(fresh(), limits, part)
    assert [one.used / one.limit for one in near] == [pytest.approx(0.8)]
    assert warnings(state, limits, part)[1] == []
    assert decide(state, limits, part) == Proceed()
    over = decide(state, limits, spent)
    assert isinstance(over, Finish)
    assert (over.reason, over.summarise) == (reason, True)
    assert why_ended(after_directive(state, over)) == over.why
    assert decide(after_answer(state, text="Done.", calls=0), limits, spent) == Finish("end_turn")
    assert decide(after_answer(state, text="", calls=0), limits, spent) == over


def test_the_calls_of_an_answer_are_cut_to_what_is_left() -> None:
    limits = Limits(tool_calls=3)
    state = fresh()
    assert [cut_calls(state, limits, wanted) for wanted in (0, 2, 3, 9)] == [0, 2, 3, 3]
    assert cut_calls(state, limits, 9, Spent(tool_calls=2)) == 1
    for number in range(3):
        state = after_call(state, "read_file", f"{number}", "text")
    assert cut_calls(state, limits, 1) == 0
    assert cut_calls(state, limits, 1, Spent(tool_calls=7)) == 0


def test_what_the_user_says_is_a_new_beginning() -> None:
    state = {**fresh("plan", "research"), "iteration": 7, "route": "reply", "warned": ["tokens"]}
    for _ in range(3):
        state, _ = step(after_call(state, "read_file", "a", "same", kind="read"))
    assert state["nudged"]
    steered = after_steering(state)
    assert steered == {
        **fresh("plan", "research"),
        "iteration": 7,
        "route": "reply",
        "warned": ["tokens"],
        "calls": 3,
    }


def test_the_state_is_small_and_plain() -> None:
    state = fresh()
    for number in range(500):
        state = after_answer(state, text=f"Now {number}. " * 50, calls=1)
        state, _ = step(after_call(state, "some_tool_with_a_long_name", f"{number}" * 99, "out " * 9999, kind="read"))
    assert json.loads(json.dumps(state)) == state
    assert len(json.dumps(state)) < 3_000


def test_what_was_most_likely_meant_to_call() -> None:
    assert meant_to_call(after_answer(fresh(), text=UNREADABLE, calls=0))
    assert meant_to_call(after_answer(fresh(), text=ANNOUNCED, calls=0, tools=["read_file"]))
    assert not meant_to_call(after_answer(fresh(), text=ANNOUNCED, calls=0))
    assert not meant_to_call(after_answer(fresh("plan"), text=ANNOUNCED, calls=0, tools=["read_file"]))
    assert not meant_to_call(after_answer(fresh(), text=ANNOUNCED, calls=1, tools=["read_file"]))
    assert not meant_to_call(after_answer(fresh(), text="Done.", calls=0, tools=["read_file"]))


def test_answers_that_call_nothing_end_whatever_is_wrong_with_each() -> None:
    state, directive = fresh(), None
    for text in ["", ANNOUNCED] * 3:
        assert not isinstance(directive, Finish)
        state, directive = step(after_answer(state, text=text, calls=0, tools=["read_file"]))
    assert directive == LADDERS["named"].end


def test_calls_that_never_fit_into_an_answer_end_the_turn() -> None:
    state = fresh()
    for _ in range(2):
        state, directive = step(after_too_long(state))
        assert directive == Proceed()
    _, directive = step(after_too_long(state))
    assert directive == LADDERS["too_long"].end
    assert step(after_too_long(after_answer(state, text="", calls=1)))[1] == Proceed()
