"""Agents that go astray, in company: every turn ends by itself, within its limits, with a true last word.

What one model alone can do wrong is in `test_control_turns.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.company import Company
from support.runs import work

from agentic.events import (
    ErrorRaised,
    IterationStarted,
    LoopDetected,
    ModelFinished,
    SubAgentStarted,
    TextFinished,
    ToolFinished,
    TurnFinished,
)
from agentic.ports.model import Say
from agentic.ports.team import MOST_DELEGATIONS
from agentic.task import CouncilRules, Limits, TeamRules

FILES = {"a.py": "x = 1\n", "b.py": "y = 1\n"}
LARGE = work("", complexity=0.9, confidence=0.9)
READ = ("read_file", {"path": "a.py"})
MAX_STATE = 8_192
"""Bytes of a checkpoint."""
VARIED = "".join(f"Line {number} says {number * 7_919 % 1_000_003}.\n" for number in range(200_000))
"""Five megabytes, of which nothing is repeated."""


def delegate(*names: str, text: str = "Do it.") -> Say:
    return Say(calls=[("delegate", {"subtasks": [{"name": name, "text": text} for name in names]})])


def search(name: str, number: int) -> Say:
    return Say(calls=[("search_text", {"pattern": f"{name} {number}"})])


def delegating(*names: str, text: str = "Do it.", others: Callable[[str, int], Say]) -> Company:
    """The main agent parts the task once, and then is done."""
    mine = [Say(LARGE), delegate(*names, text=text), Say("All done.")]

    def answers(name: str, number: int) -> Say:
        return mine[min(number, 3) - 1] if name == "main" else others(name, number)

    return Company(answers, FILES)


def alone(answers: Callable[[int], Say], first: Say | None = None, **world: Any) -> Company:
    """There is only the main agent; `first` is its first answer."""
    return Company(lambda _, number: first or Say(work()) if number == 1 else answers(number), FILES, **world)


async def test_one_that_delegates_for_ever_stays_within_the_limits_of_the_turn() -> None:
    company = Company(
        lambda name, number: (
            (Say(LARGE) if number == 1 else delegate(f"one {number}", f"two {number}"))
            if name == "main"
            else search(name, number)
        ),
        FILES,
    )
    finished = await company.play(limits=Limits(tool_calls=100))
    assert finished.stop_reason == "no_progress"
    assert finished.metrics.tool_calls <= 100
    assert max(company.store.positions) < MAX_STATE
    names = [event.name for event in company.of(SubAgentStarted)]
    assert len(set(names)) == len(names) == 2 * MOST_DELEGATIONS


async def test_one_that_delegates_the_same_for_ever_is_in_a_loop() -> None:
    company = Company(
        lambda name, number: (
            (Say(LARGE) if number == 1 else delegate("one", "two")) if name == "main" else Say("Done.")
        ),
        FILES,
    )
    finished = await company.play()
    assert finished.stop_reason == "loop"
    assert [event.pattern for event in company.of(LoopDetected)] == ["delegate", "delegate"]
    assert len(company.ended) == 6


async def test_sub_agents_that_delegate_are_told_to_do_it_themselves() -> None:
    company = delegating("one", "two", others=lambda name, number: delegate(f"x{number}", "y"))
    finished = await company.play()
    assert (finished.stop_reason, finished.summary) == ("end_turn", "All done.")
    assert company.ended == {"one": "no_progress", "two": "no_progress"}
    assert {event.code for event in company.of(ToolFinished, "one")} == {"denied"}


OTHERS: dict[str, tuple[Callable[[str, int], Say], str]] = {
    "the same call": (lambda _name, _number: Say(calls=[READ]), "loop"),
    "to and fro": (lambda _, n: Say(calls=[("read_file", {"path": "ab"[n % 2] + ".py"})]), "loop"),
    "nothing": (lambda _name, _number: Say(""), "error"),
    "talk of tools": (lambda _name, _number: Say("I will now call edit_file to set x to 2."), "no_progress"),
    "an unknown tool": (lambda _, n: Say(calls=[("fly", {"to": n})]), "no_progress"),
    "no end": (search, "max_iterations"),
    "growing text": (lambda _name, _number: Say("".join("I look again. " * n for n in range(90))), "loop"),
    "a farewell": (
        lambda _, n: Say("All done. The task is complete.", [("search_text", {"pattern": str(n)})]),
        "no_progress",
    ),
    "a filtered answer": (lambda _name, _number: Say("I", finish_reason="content_filter"), "refusal"),
}


@pytest.mark.parametrize("what", OTHERS)
async def test_sub_agents_that_all_go_astray_are_reported_and_the_turn_ends_well(what: str) -> None:
    answers, reason = OTHERS[what]
    names = ("one", "two", "three", "four")
    company = delegating(*names, others=answers)
    finished = await company.play()
    assert (finished.stop_reason, finished.summary, finished.files) == ("end_turn", "All done.", [])
    assert company.ended == dict.fromkeys(names, reason)
    result = company.of(ToolFinished)[-1]
    assert (result.code, result.text.split("\n")[0]) == ("subtasks_failed", "0 of 4 sub-agents finished their part.")
    assert all(event.number <= TeamRules().iterations for event in company.all_of(IterationStarted))
    assert all(event.summary for event in company.all_of(TurnFinished))


async def test_main_and_sub_agents_that_all_loop() -> None:
    company = Company(
        lambda name, number: (
            [Say(LARGE), delegate("one", "two")][number - 1] if name == "main" and number < 3 else Say(calls=[READ])
        ),
        FILES,
    )
    finished = await company.play()
    assert (finished.stop_reason, set(company.ended.values())) == ("loop", {"loop"})
    assert finished.summary == "Stopped: the same call was repeated without any change."


@pytest.mark.parametrize("said", [VARIED, "1. Look again.\n" * 400, "I look again. " * 9_000, "", "```\n" * 3_000])
async def test_a_council_of_loopers_leaves_the_work_to_the_main_agent(said: str) -> None:
    roles = ("architect", "tester", "Köche: 🍳", "main", "../..")
    company = Company(lambda name, n: [Say(work()), Say("Done alone.")][n - 1] if name == "main" else Say(said), FILES)
    finished = await company.play("Do it.", deliberate="plan", council=CouncilRules(roles))
    assert (finished.stop_reason, finished.summary) == ("end_turn", "Done alone.")
    assert len(company.ended) == len(roles)
    assert company.model.asked <= 2 + 4 * 2 * len(roles)


async def test_a_contest_of_loopers_has_no_winner() -> None:
    company = Company(
        lambda name, n: [Say(work()), Say("No luck.")][n - 1] if name == "main" else Say(calls=[READ]), FILES
    )
    finished = await company.play("Do it.", deliberate="patch", council=CouncilRules(candidates=3))
    assert (finished.stop_reason, finished.summary, finished.files) == ("end_turn", "No luck.", [])
    assert set(company.ended.values()) == {"loop"}


async def test_a_winner_of_many_words_leaves_room_for_the_main_agent() -> None:
    mine = [Say(work()), Say("Checked.")]
    others = [Say(calls=[("write_file", {"path": "c.py", "content": "z = 1\n"})]), Say(VARIED, finish_reason="stop")]
    company = Company(lambda name, n: (mine if name == "main" else others)[n - 1], FILES)
    finished = await company.play("Do it.", deliberate="patch", council=CouncilRules(candidates=2))
    assert (finished.stop_reason, finished.summary, finished.files) == ("end_turn", "Checked.", ["c.py"])


async def test_calls_that_are_refused_by_turns() -> None:
    company = alone(lambda n: Say(calls=[("fly", {}) if n % 2 else ("delegate", {})]))
    finished = await company.play()
    assert finished.stop_reason in ("loop", "no_progress")
    assert finished.metrics.iterations <= 15


async def test_five_hundred_calls_in_one_answer() -> None:
    company = alone(lambda n: Say(calls=[("search_text", {"pattern": f"{n} {number}"}) for number in range(500)]))
    finished = await company.play()
    assert (finished.stop_reason, finished.metrics.tool_calls) == ("max_budget", 300)
    assert len(company.of(ToolFinished)) == 300
    assert max(company.store.positions) < MAX_STATE


NESTED = ('{"path":' + "[" * depth + "]" * depth + "}" for depth in (60, 300, 900, 1_500, 50_000))
DEEP = ('{"a":' * depth + "1" + "}" * depth for depth in (300, 900, 50_000))


@pytest.mark.parametrize(
    "arguments", [*NESTED, *DEEP, "[" * 50_000, '{"path": ' + "9" * 5_000 + "}"], ids=lambda a: a[:9]
)
@pytest.mark.parametrize("tool", ["read_file", "delegate", "update_plan", "nothing"])
async def test_arguments_that_are_nested_without_end_are_refused(tool: str, arguments: str) -> None:
    company = alone(lambda n: Say(calls=[(tool, arguments)]) if n == 2 else Say("Done."))
    finished = await company.play()
    assert finished.stop_reason == "end_turn"
    assert [event.status for event in company.of(ToolFinished)] == ["failed"]
    assert not company.of(ErrorRaised)
    assert company.of(ToolFinished)[0].code in ("bad_arguments", "unknown_tool")


async def test_a_tool_of_ten_thousand_characters() -> None:
    names = ["t" * 10_000, "", "🍳", "../..", "\ud800", "a\x1b[2Jb"]
    company = alone(lambda n: Say(calls=[(name, {}) for name in names]) if n == 2 else Say("Done."))
    finished = await company.play()
    assert finished.stop_reason == "no_progress" or finished.summary == "Done."
    assert {event.code for event in company.of(ToolFinished)} == {"unknown_tool"}


async def test_names_of_parts_are_mended_and_all_work() -> None:
    names = ("main", "../..", "🍳", "n" * 10_000, "resolver")
    company = delegating(
        *names, others=lambda _, n: Say(calls=[("read_file", {"path": "a.py"})]) if n == 1 else Say("Done.")
    )
    finished = await company.play()
    assert finished.stop_reason == "end_turn"
    assert list(company.ended.values()) == ["end_turn"] * 5
    assert all(name.isascii() and 0 < len(name) <= 40 for name in company.ended)
    assert not {"main", "resolver"} & company.ended.keys()


async def test_parts_of_a_hundred_thousand_characters_that_fit_no_window() -> None:
    company = delegating("one", "two", "three", text="x y z " * 17_000, others=lambda _name, _number: Say("Done."))
    finished = await company.play()
    assert (finished.stop_reason, finished.summary) == ("end_turn", "All done.")
    assert set(company.ended.values()) == {"context_exhausted"}
    assert "its context was full" in company.of(ToolFinished)[-1].text


async def test_an_answer_of_five_megabytes_is_cut_at_its_limit() -> None:
    company = alone(lambda _: Say(VARIED))
    finished = await company.play()
    assert finished.stop_reason == "max_tokens"
    assert company.of(ModelFinished)[-1].finish_reason == "length"
    assert VARIED.startswith(finished.summary)
    assert len(finished.summary) < 500_000


@pytest.mark.parametrize(
    "say", [Say(thinking=VARIED), Say(calls=[("write_file", {"path": "c.py", "content": VARIED})])]
)
async def test_a_thought_or_a_call_of_five_megabytes(say: Say) -> None:
    company = alone(lambda n: say if n == 2 else Say("Done."))
    finished = await company.play()
    assert (finished.stop_reason, finished.summary, finished.files) == ("end_turn", "Done.", [])
    assert company.of(ModelFinished)[1].finish_reason == "length"


async def test_a_first_answer_that_repeats_itself_is_no_reply() -> None:
    company = alone(lambda _: Say("x is 1."), first=Say(work("I look again. " * 9_000, route="reply")))
    finished = await company.play("What is x?")
    assert (finished.stop_reason, finished.summary) == ("end_turn", "x is 1.")


async def test_a_short_question_to_which_nothing_is_answered_ends_as_what_it_is() -> None:
    company = alone(lambda _: Say(""), first=Say(""))
    finished = await company.play("What is x?")
    assert finished.stop_reason == "error"
    assert "empty answers" in finished.summary


async def test_a_sub_agent_whose_last_word_is_five_megabytes() -> None:
    company = delegating("one", "two", others=lambda _name, _number: Say(f"Fact: {VARIED}"))
    finished = await company.play()
    assert finished.summary == "All done."
    assert len(company.of(ToolFinished)[-1].text) < 10_000


async def test_the_state_is_small_at_the_last_iteration() -> None:
    company = alone(lambda n: search("x" * 5_000, n) if n % 5 else Say("Text. " * 500, [("fly", {"n": n})] * 3))
    finished = await company.play(limits=Limits(iterations=50))
    assert max(company.store.positions) < MAX_STATE
    endless = alone(lambda n: search("x" * 5_000, n))
    finished = await endless.play()
    assert (finished.stop_reason, finished.metrics.iterations) == ("max_iterations", 50)
    assert max(endless.store.positions) < MAX_STATE


async def test_a_classification_in_every_answer_is_shown_to_nobody() -> None:
    said = ["I look.", "I look again.", "Done."]
    company = alone(
        lambda n: Say(work(said[min(n, 4) - 2]), [("read_file", {"path": "ab"[n % 2] + ".py"})] if n < 4 else ())
    )
    finished = await company.play()
    assert (finished.stop_reason, finished.summary) == ("end_turn", "Done.")
    assert [event.text for event in company.of(TextFinished)] == said
    limited = alone(lambda n: Say(work("Half is done."), [("search_text", {"pattern": str(n)})]))
    finished = await limited.play(limits=Limits(iterations=2))
    assert (finished.stop_reason, finished.summary) == ("max_iterations", "Half is done.")


async def test_a_turn_without_any_time_says_so() -> None:
    finished = await alone(lambda _: Say("Done.")).play(limits=Limits(seconds=0))
    assert (finished.stop_reason, finished.summary) == ("max_time", "Stopped: the time limit is reached.")
