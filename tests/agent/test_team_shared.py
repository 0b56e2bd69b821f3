"""The board: what reports say, with whom it comes from, within bounds, for whoever comes next."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic.change import ABSENT, Change
from agentic.events import Shared
from agentic.ports.team import Report
from agentic.task import StopReason
from agentic.team.shared import MAX_FILES, MAX_NOTE, MAX_NOTES, Board


def report(summary: str, name: str = "api", stop: StopReason = "end_turn") -> Report:
    return Report(name, stop, summary)


def change(path: str) -> Change:
    return Change(path, ABSENT, "", ())


def said(board: Board, kind: str) -> list[str]:
    return [item.text for item in board.items if item.kind == kind]


@pytest.mark.parametrize(
    "line",
    [
        "Fact: ids are strings",
        "fact: ids are strings",
        "- Fact: ids are strings",
        "  * FACT:   ids are strings  ",
        "2. Fact: ids are strings",
        "**Fact:** ids are strings",
        "- **Fact**: ids are strings",
        "### Fact: ids are strings",
        "Facts:\n- ids are strings",
        "**Facts:**\n\n1. **ids are strings**",
        "Fact: ids are strings\r",
    ],
)
def test_facts_are_read_however_they_are_set(line: str) -> None:
    board = Board()
    assert board.note(report(f"I did it.\n{line}\nThat is all."))
    assert said(board, "fact") == ["ids are strings"]
    assert said(board, "decision") == []
    assert said(board, "step") == ["I did it."]


def test_other_words_are_no_facts() -> None:
    board = Board()
    board.note(report("In fact: nothing.\nFactor: 2\nA list:\n- one\nFacts:\nno list\n- two"))
    assert said(board, "fact") == []
    assert said(board, "step") == ["In fact: nothing."]


def test_everything_has_its_provenance() -> None:
    board = Board()
    board.note(report("Wrote it.\nDecision: port 80"), [change("a.py")])
    board.note(report("Wrote tests.\nFact: slow", "tests"), [change("a.py"), change("b.py")])
    assert board.items == [
        Shared("decision", "port 80", "api"),
        Shared("file", "a.py", "api"),
        Shared("step", "Wrote it.", "api"),
        Shared("fact", "slow", "tests"),
        Shared("file", "a.py", "tests"),
        Shared("file", "b.py", "tests"),
        Shared("step", "Wrote tests.", "tests"),
    ]
    assert board.render() == (
        "Decisions:\n- api: port 80\nFacts:\n- tests: slow\n"
        "Finished parts:\n- api: Wrote it.\n- tests: Wrote tests.\n"
        "Files touched:\n- a.py (api, tests)\n- b.py (tests)"
    )


def test_only_a_success_finishes_a_part() -> None:
    board = Board()
    board.note(report("Half of it.\nFact: slow", stop="max_time"), [change("a.py")])
    assert [item.kind for item in board.items] == ["fact", "file"]


def test_nothing_is_on_the_board_twice() -> None:
    board = Board()
    assert board.note(report("Fact: IDs are  strings\nFact: ids are strings"))
    assert board.note(report("Fact: ids are strings", "web"))
    assert not board.note(report("Fact: ids are strings", "web"))
    assert said(board, "fact") == ["IDs are  strings"]


def test_reports_are_taken_in_within_bounds() -> None:
    board = Board()
    lines = "\n".join(f"Fact: {number} {'x' * 1000}" for number in range(100))
    board.note(report(lines), [change(f"{number}.py") for number in range(1000)])
    assert len(said(board, "fact")) == MAX_NOTES
    assert max(map(len, said(board, "fact"))) == MAX_NOTE
    assert len(said(board, "file")) == MAX_FILES


def test_an_empty_board_says_nothing() -> None:
    board = Board()
    assert not board.note(report("", stop="error"))
    assert board.render() == ""


def test_what_does_not_fit_is_counted() -> None:
    board = Board()
    board.note(report("\n".join(f"Fact: number {number}" for number in range(8)), stop="error"))
    assert board.render(60) == "Facts:\n- api: number 0\n- api: number 1\n- … and 6 more"


@given(
    st.lists(st.tuples(st.text(max_size=60), st.lists(st.text(max_size=9), max_size=3)), max_size=6),
    st.integers(0, 400),
)
def test_the_limit_holds(reports: list[tuple[str, list[str]]], limit: int) -> None:
    board = Board()
    for number, (text, paths) in enumerate(reports):
        board.note(report(f"{text}\nFact: {text}", f"a{number}"), [change(path) for path in paths])
    assert len(board.render(limit)) <= limit
