"""Runs that go astray by their calls: each is told, and ends by itself within a stated number of calls."""

import itertools
import json
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.replay import Call, Said, command, edit, read, replay, search

from agentic.control.calls import READING, READING_LONG, REFUSED, REFUSED_TOTAL, STALE, after_call, before_call
from agentic.control.state import Finish, Proceed, after_answer, decide, fresh
from agentic.task import Limits

NOISE = "Traceback (most recent call last):\n" + "  File 'a.py', line 1, in <module>\n" * 8


def forever(*calls: Call) -> Iterator[Call]:
    return itertools.cycle(calls)


def denied(name: str, arguments: str = "{}", code: str = "denied") -> Call:
    return Call(name, arguments, f"{code}: not allowed", "execute", code)


LOOPS = {
    "the same read": (forever(read("a")), "loop", 5),
    "the same command": (forever(command("ls", "a b")), "loop", 5),
    "the same command that prints nothing": (forever(command("true")), "loop", 5),
    "the same command with other timings": (
        (command("pytest -q", f"1 failed in 0.{n % 9}1s") for n in itertools.count()),
        "loop",
        5,
    ),
    "the same arguments in another order": (
        forever(
            Call("read_file", '{"path":"a","offset":1}', "x", "read"),
            Call("read_file", '{"offset": 1, "path": "a"}', "x", "read"),
        ),
        "loop",
        5,
    ),
    "the same edit, refused": (forever(edit("a", "x", "y", "not_found: no such text", "not_found")), "loop", 5),
    "the same edit, that changes nothing any more": (forever(edit("a", "x", "y")), "loop", 5),
    "a status that never changes": (forever(command("make status", "building")), "loop", 18),
    "A-B-A-B": (forever(read("a"), read("b")), "loop", 10),
    "A-B-A-B of commands": (forever(command("ls"), command("pwd", "/")), "loop", 14),
    "A-B-A-B of edits": (forever(edit("a", "x", "y"), edit("a", "y", "x")), "loop", 10),
    "three in turn": (forever(*map(read, "abc")), "loop", 15),
    "four in turn": (forever(*map(read, "abcd")), "loop", 20),
    "five in turn": (forever(*map(read, "abcde")), "loop", 25),
    "five commands in turn": (forever(*map(command, "abcde")), "no_progress", 25),
    "seven in turn": (forever(*map(read, "abcdefg")), "no_progress", 27),
    "sleeping for ever": (forever(command("sleep 5"), command("cat build.log", "building")), "loop", 36),
    "a plan that is ticked for ever": (
        (Call("update_plan", f'{{"n":{n}}}', f"Updated {n}.", "think") for n in itertools.count()),
        "no_progress",
        20,
    ),
    "other reads with the same long result": ((read(f"{n}", NOISE) for n in itertools.count()), "loop", 10),
    "other commands with the same long result": (
        (command(f"python {n}.py", NOISE) for n in itertools.count()),
        "loop",
        14,
    ),
    "reading without end": ((read(f"{n}") for n in itertools.count()), "no_progress", READING[-1]),
    "searching without end": ((search(f"w{n}", f"a.py:{n}") for n in itertools.count()), "no_progress", READING[-1]),
    "a forbidden command": ((denied("run_command", f"{n}") for n in itertools.count()), "no_progress", REFUSED[-1]),
    "a tool that is none": (
        (denied("fly", f"{n}", "unknown_tool") for n in itertools.count()),
        "no_progress",
        REFUSED[-1],
    ),
    "an edit in plan mode": ((denied("edit_file", f"{n}", "plan_mode") for n in itertools.count()), "no_progress", 3),
    "what the user rejects": ((denied("run_command", f"{n}", "rejected") for n in itertools.count()), "no_progress", 6),
    "a forbidden command between others": (
        (denied("run_command", f"{n}") if n % 2 else read(f"{n}") for n in itertools.count()),
        "no_progress",
        2 * REFUSED_TOTAL[-1],
    ),
}


@pytest.mark.parametrize("name", LOOPS)
def test_a_run_that_goes_astray_is_told_and_then_ends(name: str) -> None:
    calls, reason, within = LOOPS[name]
    run = replay(itertools.islice(calls, 200))
    assert isinstance(run.end, Finish)
    assert (run.end.reason, run.end.summarise) == (reason, True)
    assert run.end.why
    assert run.answers <= within
    assert run.told, "it ended without a word of warning"
    assert [one.strength for one in run.told if one.problem == run.told[-1].problem][-1] >= 1


def test_an_identical_call_is_not_run_a_fourth_time() -> None:
    run = replay(itertools.islice(forever(read("a")), 9))
    assert (run.made, run.blocked) == (3, 2)
    assert [(one.problem, one.strength, one.count, one.pattern) for one in run.told] == [
        ("loop", 1, 3, "read_file"),
        ("loop", 2, 4, "read_file"),
    ]


def test_an_answer_full_of_the_same_call_is_told_before_it_is_ended() -> None:
    run = replay([Said((read("a"),) * 40), Said((read("b"),)), Said((read("c"),))])
    assert (run.made, run.blocked) == (5, 37)
    assert run.end is None
    assert {one.strength for one in run.told} == {1}


def test_refusals_of_one_answer_are_judged_as_one() -> None:
    calls = tuple(denied("run_command", f"{n}") for n in range(9))
    run = replay([Said(calls), read("a"), read("b")])
    assert [(one.problem, one.strength) for one in run.told] == [("refused", 1)]
    assert run.end is None
    assert replay([Said(calls), read("a"), calls[0]]).end is not None


def test_a_warning_that_was_heeded_is_forgotten() -> None:
    run = replay([*[read("a")] * 3, read("b"), *[read("a")] * 3, read("b"), *[read("a")] * 3, read("c")])
    assert [(one.problem, one.strength) for one in run.told] == [("loop", 1)] * 3
    assert run.end is None


def test_calls_without_tools_are_blocked() -> None:
    state = after_answer({**fresh(), "tools": False}, text="", calls=1)
    block = before_call(state, "read_file", "{}", "read")
    assert block is not None
    assert block.code == "no_tools"
    state = after_call(state, "read_file", "{}", block.text, code=block.code, kind="read")
    assert before_call(after_answer(state, text="", calls=1), "read_file", "{}", "read") is None


@pytest.mark.parametrize(
    ("mode", "domain", "limits"),
    [
        ("ask", "coding", READING),
        ("ask", "general", READING),
        ("auto", "research", READING_LONG),
        ("plan", "coding", READING_LONG),
    ],
)
def test_how_much_may_be_read_depends_on_the_task(mode, domain, limits) -> None:
    run = replay((read(f"{n}") for n in range(300)), fresh(mode, domain))
    assert [one.count for one in run.told if one.problem == "research"] == list(limits[:-1])
    assert [one.tools for one in run.told if one.problem == "research"] == [True, True, False]
    assert run.answers == limits[-1]
    answered = replay([*(read(f"{n}") for n in range(limits[-2])), Said(text="Here it is.")], fresh(mode, domain))
    assert answered.end == Finish("end_turn")


@pytest.mark.parametrize("act", [edit("a", "x", "y"), command("make"), Call("ask_user", "{}", "yes", "other")])
def test_an_edit_a_command_and_a_question_are_action(act: Call) -> None:
    state = {**fresh(), "reading": READING[0] - 1}
    state = after_call(state, act.name, act.arguments, act.result, kind=act.kind)
    assert state["reading"] == 0


def test_an_edit_that_worked_begins_the_counts_anew() -> None:
    state = {**fresh(), "stale": 9, "same_output": 4, "failed": 3, "refused": 1, "reading": 9, "farewells": 2}
    worked = after_call(state, "edit_file", "{}", "Edited.", kind="edit")
    assert [worked[name] for name in ("stale", "same_output", "failed", "refused", "reading", "farewells")] == [0] * 6
    failed = after_call(state, "edit_file", "{}", "no such text", code="not_found", kind="edit")
    assert (failed["failed"], failed["reading"]) == (4, 9)


def test_calls_that_fail_are_told_of_but_trying_is_no_loop() -> None:
    run = replay(read(f"{n}", "not_found: no such file", code="not_found") for n in range(READING[0] - 1))
    assert {one.problem for one in run.told} == {"failing"}
    assert [one.strength for one in run.told] == [1, 2]
    assert run.end is None


def test_the_same_words_again_and_again_are_told_and_then_end_the_turn() -> None:
    stuck = Said((command("sleep 1", "x"),), "I wait until the build has come to its end.")
    run = replay([stuck] * 20)
    assert run.told[0].problem == "talk"
    assert run.end is not None
    assert run.answers <= 9
    honest = [Said((read(f"{n}"),), "I read the next file of the list.") for n in range(25)]
    assert replay(honest).alarms == []


def test_who_says_goodbye_and_stays_is_asked_to_go() -> None:
    calls = (Said((read(f"{n}"),), f"The task is complete. {n}") for n in range(99))
    run = replay(calls)
    assert [(one.problem, one.tools) for one in run.told] == [("farewell", True), ("farewell", False)]
    assert run.answers == 10
    verified = [Said((command(f"pytest {n}"),), "The task is complete. I verify it.") for n in range(5)]
    assert replay([*verified, Said(text="Done.")]).alarms == []


def test_a_run_never_outlives_its_budget_of_calls() -> None:
    limits = Limits(iterations=10**6, recursion=10**7, tool_calls=40)
    run = replay((Said(tuple(command(f"echo {n} {m}", f"{m}") for m in range(7))) for n in range(99)), limits=limits)
    assert run.made == 40
    assert run.end is not None
    assert (run.end.reason, run.end.summarise) == ("max_budget", True)


def test_a_state_that_was_stopped_stays_so() -> None:
    assert decide({**fresh(), "stop": "cancelled"}, Limits()) == Finish("cancelled")
    assert decide(fresh(), Limits()) == Proceed()
    assert len(json.dumps(fresh())) < 1_000
    assert STALE[0] < STALE[-1]


KNOWN = [read("a"), read("b"), search("x"), command("ls"), edit("a", "no", "y", "not_found: no", "not_found")]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, len(KNOWN) - 1), min_size=120, max_size=120))
def test_who_only_does_what_is_done_already_comes_to_an_end(order: list[int]) -> None:
    run = replay(KNOWN[n] for n in order)
    assert isinstance(run.end, Finish)
    assert run.answers <= 60


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["", "The task is complete.", "I will call read_file.", "Now I look at the next file."]),
            st.lists(
                st.builds(
                    Call,
                    st.sampled_from(["read_file", "run_command", "no:such/tool", ""]),
                    st.sampled_from(["{}", '{"path": "a"}', "{broken", '{"command": "sleep 1"}', "[]", "\ud800"]),
                    st.sampled_from(["", "ok", NOISE, "\udc00"]),
                    st.sampled_from(["read", "edit", "execute", "think", "other", "fetch"]),
                    st.sampled_from(["", "denied", "not_found", "rejected", "internal"]),
                ),
                max_size=5,
            ),
        ),
        max_size=60,
    )
)
def test_whatever_comes_is_told_step_by_step(answers: list[tuple[str, list[Call]]]) -> None:
    run = replay(Said(tuple(calls), text) for text, calls in answers)
    for problem, told in itertools.groupby(sorted(run.told, key=lambda one: one.problem), lambda one: one.problem):
        strengths = [one.strength for one in told]
        assert all(after <= before + 1 for before, after in itertools.pairwise([0, *strengths])), problem
    if run.end is not None and run.end.reason != "end_turn":
        assert run.end.why
        assert run.told
    assert len(json.dumps(run.state)) < 3_000
