"""Parts of a task: checked and mended before anybody works on them, and told to whoever works on one."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic.errors import Refusal
from agentic.events import Shared
from agentic.ports.team import Conflict, Report, Subtask
from agentic.task import Task, TeamRules
from agentic.team.shared import Board
from agentic.team.subtasks import MAX_CONFLICTS, resolve_text, subtask_text
from agentic.tools.subtasks import PRIORITIES, check

RULES = TeamRules()
TASK = Task("Build a shop.", "s", "t")
API = Subtask("api", "Write api.py with GET /items.")
WEB = Subtask("web", "Write web.js, which reads GET /items.", ["api"])


def part(name: str, *depends_on: str, priority: int = 1) -> Subtask:
    return Subtask(name, f"do {name}", list(depends_on), priority)


def checked(*subtasks: Subtask) -> list[Subtask]:
    result = check(subtasks, RULES)
    assert not isinstance(result, Refusal), result
    return result


def refusal(*subtasks: Subtask) -> Refusal:
    result = check(subtasks, RULES)
    assert isinstance(result, Refusal)
    assert result.code == "bad_arguments"
    return result


def test_good_subtasks_stay_as_they_are() -> None:
    assert checked(API, WEB) == [API, WEB]


@pytest.mark.parametrize("subtasks", [(), (API,)])
def test_one_part_is_no_delegation(subtasks: tuple[Subtask, ...]) -> None:
    assert "Do it yourself" in str(refusal(*subtasks))


def test_forty_parts_are_to_be_joined() -> None:
    text = str(refusal(*(part(f"p{number}") for number in range(40))))
    assert "40 subtasks are too many: 5 at most" in text
    assert "Join" in text


def test_parts_that_wait_for_each_other_are_named() -> None:
    text = str(refusal(part("a", "b"), part("b", "c"), part("c", "b"), part("d")))
    assert "b → c → b" in text


def test_a_part_without_text_is_refused() -> None:
    assert "Subtask 2 ('web')" in str(refusal(API, Subtask("web", " \n")))


def test_dependencies_come_first_then_what_is_urgent() -> None:
    names = [
        subtask.name
        for subtask in checked(part("late", priority=9), part("c", "b"), part("b", "a"), part("a", priority=5))
    ]
    assert names == ["a", "b", "c", "late"]


def test_names_become_slugs_of_their_own() -> None:
    subtasks = checked(
        part("Front End"),
        part("front_end"),
        part("main"),
        part("백엔드", "Front End"),
        part("x" * 90, "백엔드", "MAIN"),
    )
    by_text = {subtask.text.removeprefix("do "): subtask for subtask in subtasks}
    assert [by_text[name].name for name in ("Front End", "front_end", "main", "백엔드", "x" * 90)] == [
        "front-end",
        "front-end-2",
        "main-2",
        "part-4",
        "x" * 32,
    ]
    assert by_text["백엔드"].depends_on == ["front-end"]
    assert by_text["x" * 90].depends_on == ["part-4", "main-2"]


def test_dependencies_on_nothing_and_on_oneself_are_dropped() -> None:
    first, second = checked(part("a", "a", "nobody", "A"), part("b", "a", "a"))
    assert first.depends_on == []
    assert second.depends_on == ["a"]


def test_priorities_are_kept_in_range() -> None:
    assert [subtask.priority for subtask in checked(part("a", priority=-5), part("b", priority=500))] == [1, 9]


names = st.sampled_from(["a", "A", "b", "b!", "main", "user", "", "가", "a-2", "part-1", "x" * 50]) | st.text(
    max_size=8
)
lists = st.lists(
    st.builds(Subtask, names, st.sampled_from(["do it", " x "]), st.lists(names, max_size=3), st.integers(-9, 99)),
    max_size=7,
)


@given(lists)
def test_what_is_accepted_can_be_worked_on(subtasks: list[Subtask]) -> None:
    result = check(subtasks, RULES)
    if isinstance(result, Refusal):
        assert result.code == "bad_arguments"
        assert result.next_step
        return
    assert 2 <= len(result) == len(subtasks) <= RULES.subtasks
    assert sorted(s.text for s in result) == sorted(s.text.strip() for s in subtasks)
    seen: set[str] = set()
    for subtask in result:
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", subtask.name)
        assert subtask.name not in {*seen, "main", "user", "resolver"}
        assert seen.issuperset(subtask.depends_on)
        assert len(set(subtask.depends_on)) == len(subtask.depends_on)
        assert subtask.priority in PRIORITIES
        seen.add(subtask.name)
    assert check(result, RULES) == result


@given(st.permutations([0, 1, 2, 3]), st.data())
def test_without_a_cycle_nothing_is_refused(order: list[int], data: st.DataObject) -> None:
    subtasks = [
        part(str(number), *map(str, data.draw(st.sets(st.sampled_from(range(number)))) if number else ()))
        for number in range(4)
    ]
    assert len(checked(*(subtasks[index] for index in order))) == 4


def test_a_sub_agent_is_told_its_part_the_task_and_the_others() -> None:
    board = Board()
    text = subtask_text(TASK, WEB, board, [API])
    assert "You are web" in text
    assert "You have 10 answers and 5 minutes in all" in text
    assert "<your_part>\nWrite web.js, which reads GET /items.\n</your_part>" in text
    assert "<whole_task>\nBuild a shop.\n</whole_task>" in text
    assert "- api: Write api.py with GET /items." in text
    assert "known_so_far" not in text
    board.note(Report("api", "end_turn", "Done.\nDecision: ids are strings"))
    assert "- api: ids are strings" in subtask_text(TASK, WEB, board, [API])


def test_what_the_prompt_asks_for_is_what_the_board_reads() -> None:
    board = Board()
    board.note(Report("web", "error", subtask_text(TASK, WEB, Board(), [])))
    assert [item.kind for item in board.items] == ["fact", "decision"]
    assert board.items[0] == Shared("fact", "something you found out about the code", "web")


def test_a_long_task_is_shortened_and_the_part_is_not() -> None:
    long = Task("x" * 100_000, "s", "t")
    text = subtask_text(long, Subtask("a", "y" * 9000), Board(), [Subtask("b", "z" * 9000)])
    assert "y" * 9000 in text
    assert len(text) < 20_000


def test_whoever_resolves_sees_both_versions_and_both_goals() -> None:
    conflict = Conflict("a.py", 7, "api", "web", "-one\n+two\n")
    text = resolve_text(TASK, [conflict], [API, WEB, Subtask("docs", "Write docs.")])
    assert "a.py, line 7: api's is in, web's was left out.\n-one\n+two\n" in text
    assert "- api: Write api.py" in text
    assert "- web: Write web.js" in text
    assert "docs" not in text
    many = resolve_text(TASK, [Conflict("a.py", 1, "api", "web", "x" * 9000)] * 50, [API, WEB])
    assert len(many) < MAX_CONFLICTS + 3000
