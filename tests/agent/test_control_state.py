"""The decisions of a turn, without a model."""

from agentic.control.state import (
    LOOP_STOP,
    LOOP_WARN,
    MAX_EMPTY,
    MAX_UNREAD,
    Finish,
    Proceed,
    Recover,
    after_answer,
    after_call,
    decide,
    fresh,
    near_limit,
)
from agentic.task import Limits

LIMITS = Limits()


def test_an_answer_without_calls_ends_the_turn() -> None:
    assert decide(after_answer(fresh(), text="Done.", calls=0), LIMITS) == Finish("end_turn")


def test_an_answer_with_calls_goes_on() -> None:
    assert decide(after_answer(fresh(), text="", calls=1), LIMITS) == Proceed()


def test_empty_answers_are_asked_again_and_then_given_up() -> None:
    state = fresh()
    for strength in range(1, MAX_EMPTY + 1):
        state = after_answer(state, text=" \n", calls=0)
        assert decide(state, LIMITS) == Recover("empty", "empty", strength)
    assert decide(after_answer(state, text="", calls=0), LIMITS) == Finish("error")


def test_the_same_call_with_the_same_result_is_a_loop() -> None:
    state = fresh()
    for count in range(1, LOOP_STOP + 1):
        state = after_call(state, "read_file", '{"path":"a"}', "same")
        expected = (
            Finish("loop", summarise=True)
            if count == LOOP_STOP
            else Recover("loop", "loop", count - LOOP_WARN + 1, "read_file")
            if count >= LOOP_WARN
            else Proceed()
        )
        assert decide(state, LIMITS) == expected


def test_another_result_or_another_call_between_is_no_loop() -> None:
    state = fresh()
    for count in range(3 * LOOP_STOP):
        state = after_call(state, "run_command", '{"command":"make test"}', f"{count} failed")
        assert decide(state, LIMITS) == Proceed()
    for count in range(3 * LOOP_STOP):
        state = after_call(state, "read_file", f'{{"path":"{count % 2}"}}', "same")
        assert decide(state, LIMITS) == Proceed()


def test_limits_end_the_turn_with_a_summary() -> None:
    assert decide({**fresh(), "iteration": 50}, LIMITS) == Finish("max_iterations", summarise=True)
    assert decide({**fresh(), "iteration": 49}, LIMITS) == Proceed()
    assert decide({**fresh(), "iteration": 5}, Limits(recursion=10)) == Finish("max_iterations", summarise=True)
    assert decide({**fresh(), "stop": "cancelled"}, LIMITS) == Finish("cancelled")


def test_a_near_limit_is_told_once() -> None:
    assert not near_limit({**fresh(), "iteration": 39}, LIMITS)
    assert near_limit({**fresh(), "iteration": 40}, LIMITS)
    assert not near_limit({**fresh(), "iteration": 41, "warned": True}, LIMITS)


def test_answers_whose_calls_nobody_could_read_are_asked_again_and_then_given_up() -> None:
    state, text = fresh(), "I read it.\n<tool_call>\n<function=read_file>\n<parameter=path>\na.py"
    for strength in range(1, MAX_UNREAD + 1):
        state = after_answer(state, text=text, calls=0)
        assert decide(state, LIMITS) == Recover("unread", "unread", strength)
    assert decide(after_answer(state, text=text, calls=0), LIMITS) == Finish("error")
    assert decide(after_answer(state, text="Done.", calls=0), LIMITS) == Finish("end_turn")
    assert decide(after_answer(state, text=text, calls=1), LIMITS) == Proceed()
