"""Every problem has its steps, its words and its line in the documentation."""

import re
from pathlib import Path
from typing import get_args

import pytest

from agentic.context.prompts import load, render
from agentic.control import answers, calls, loops, stream_guard
from agentic.control.ladders import LADDERS
from agentic.control.types import Problem

PAGE = (Path(__file__).parents[2] / "docs" / "run-control.md").read_text("utf-8")
LIMITS: dict[str, list[tuple[int, ...]]] = {
    "empty": [answers.EMPTY],
    "unread": [answers.UNREAD],
    "named": [answers.NAMED],
    "repeating": [answers.REPEATING],
    "too_long": [answers.TOO_LONG],
    "loop": [loops.REPEATED, loops.CYCLED, loops.CYCLED_COMMANDS, loops.WAITED],
    "output": [calls.SAME_OUTPUT, calls.SAME_OUTPUT_OF_COMMANDS],
    "stale": [calls.STALE],
    "research": [calls.READING, calls.READING_LONG],
    "refused": [calls.REFUSED, calls.REFUSED_TOTAL, calls.REJECTED],
    "failing": [calls.FAILED],
    "talk": [answers.TALK],
    "farewell": [answers.FAREWELLS],
}
NEVER_ENDS = {"failing"}


def test_every_problem_is_here() -> None:
    assert set(LADDERS) == set(LIMITS) == set(get_args(Problem))


@pytest.mark.parametrize("problem", LADDERS)
def test_a_ladder_has_a_step_for_each_limit_and_an_end(problem: Problem) -> None:
    ladder = LADDERS[problem]
    for limits in LIMITS[problem]:
        assert list(limits) == sorted(set(limits))
        assert len(limits) == len(ladder.steps) + (problem not in NEVER_ENDS)
    assert ladder.end.why
    assert ladder.end.summarise or ladder.end.fallback


@pytest.mark.parametrize("problem", LADDERS)
def test_each_step_has_words_of_its_own(problem: Problem) -> None:
    for step in LADDERS[problem].steps:
        words = render(step.prompt, count=7, pattern="read_file", tools="read_file, edit_file")
        assert words.startswith("[agentic] ")
        assert "{{" not in words
        assert len(words) < 500
        assert ("Tools are off" in words) == (not step.tools)


def test_the_word_on_a_budget_can_be_filled_in() -> None:
    assert "{{" not in render("budget", used=8, limit=10, budget="iterations")
    assert "{{reason}}" in load("summary")


@pytest.mark.parametrize("problem", LADDERS)
def test_the_documented_limits_are_the_real_ones(problem: Problem) -> None:
    rows = re.findall(rf"^\| `{problem}` \| [^|]+ \| ([\d, ]+)", PAGE, re.MULTILINE)
    told = [tuple(int(number) for number in row.split(",")) for row in rows]
    assert told == LIMITS[problem]


def test_the_documented_characters_are_the_real_ones() -> None:
    for number in (
        *(stream_guard.REPEATED_CHARS, stream_guard.COUNTED_CHARS, stream_guard.STRUCTURED_CHARS),
        *(calls.SAME_OUTPUT_CHARS, loops.WINDOW),
    ):
        assert f"{number:,} " in PAGE
    assert f"| {answers.IDLE} |" in PAGE
