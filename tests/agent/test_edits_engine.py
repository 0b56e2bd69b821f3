"""The edit engine: what it changes, what it leaves, what it refuses and with which words."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentic.change import ABSENT, Change, Edit, Snapshot, apply_edits
from agentic.edits.compose import edits_of, splice
from agentic.edits.engine import Replacement, plan_edit, plan_edits, plan_write
from agentic.edits.hunks import amended, hunks_of
from agentic.errors import Refusal
from agentic.text import split_lines, strip_eol


def snapshot(text: str) -> Snapshot:
    return Snapshot("a.txt", text, "v1")


def after(plan: Change | Refusal) -> str:
    assert isinstance(plan, Change), plan
    return plan.after


def refusal(plan: Change | Refusal) -> Refusal:
    assert isinstance(plan, Refusal), plan
    return plan


@pytest.mark.parametrize(
    ("text", "old", "new", "wanted"),
    [
        pytest.param("a = 1\nb = 2\n", "b = 2", "b = 3", "a = 1\nb = 3\n", id="exact"),
        pytest.param(
            "a\r\nb\r\nc\r\n", "a\nb", "a\nx\nb", "a\r\nx\r\nb\r\nc\r\n", id="new lines end as their neighbours"
        ),
        pytest.param("a\nb\r\nc\n", "a\nb\nc", "a\nb\nd", "a\nb\r\nd\n", id="untouched lines keep their own ends"),
        pytest.param("\ufeffa\r\nb", "a", "c", "\ufeffc\r\nb", id="the byte order mark stays"),
        pytest.param("a\rb\r", "b", "c\nd", "a\rc\rd\r", id="carriage returns"),
        pytest.param(
            "x  \ny\t\nz\n", "x\ny\nz", "x\nY\nz", "x  \nY\nz\n", id="blanks at line ends are ignored and kept"
        ),
        pytest.param("a\n  last", "  last\n", "  end\n", "a\n  end", id="no final newline stays none"),
        pytest.param(
            "class A:\n    def f(self):\n        return 1\n",
            "def f(self):\n    return 1\n",
            "def f(self):\n    if x:\n\n        return 2\n    return 1\n",
            "class A:\n    def f(self):\n        if x:\n\n            return 2\n        return 1\n",
            id="indented along",
        ),
        pytest.param(
            "if a:\n  b()\n", "    if a:\n      b()", "    if c:\n      b()", "if c:\n  b()\n", id="dedented along"
        ),
        pytest.param("a\nb\nc\n", "b\n", "", "a\nc\n", id="a line is deleted"),
        pytest.param("a\x0cb\u2028c\n", "b\u2028c", "d", "a\x0cd\n", id="form feeds and U+2028 are no line ends"),
    ],
)
def test_replaces(text: str, old: str, new: str, wanted: str) -> None:
    assert after(plan_edit(snapshot(text), old, new)) == wanted


def test_replaces_all_only_when_told() -> None:
    text = "x = 1\ny = x\nz = x\n"
    said = refusal(plan_edit(snapshot(text), "x", "w"))
    assert said == Refusal(
        "not_unique",
        "`old` is in a.txt 3 times, at lines 1, 2, 3.",
        "Add lines before or after it to say which one, or set replace_all.",
    )
    assert after(plan_edit(snapshot(text), "x", "w", replace_all=True)) == "w = 1\ny = w\nz = w\n"
    assert refusal(plan_edit(snapshot("aaa"), "aa", "b")).code == "not_unique"


def test_shows_the_closest_lines_and_the_first_that_differs() -> None:
    said = refusal(plan_edit(snapshot("def f():\n    a = 1\n    b = 2\n    return a\n"), "    a = 1\n    b = 3\n", "x"))
    assert said == Refusal(
        "not_found",
        "`old` is not in a.txt. In the closest lines, line 3 is '    b = 2' where `old` has '    b = 3'.",
        "If this is the place, send `old` exactly as it stands here, without the numbers:\n"
        "1\tdef f():\n2\t    a = 1\n3\t    b = 2\n4\t    return a\n5\t",
    )


def test_shows_a_similar_line_where_none_is_the_same() -> None:
    said = refusal(plan_edit(snapshot("alpha\ndef compute_total(items):\nomega\n"), "def compute_totals(item):", "x"))
    assert "line 2 is 'def compute_total(items):' where `old` has 'def compute_totals(item):'" in said.message


def test_says_that_the_new_text_is_there_already() -> None:
    said = refusal(
        plan_edit(snapshot("a\nvalue = 10\nname = 'x'\n"), "value = 9\nname = 'x'", "value = 10\nname = 'x'")
    )
    assert said.code == "not_found"
    assert said.message == "`old` is not in a.txt, but the new text is already at lines 2–3."


@pytest.mark.parametrize(
    ("text", "old", "new", "code"),
    [
        ("a\n", "zzz", "b", "not_found"),
        ("", "zzz", "b", "not_found"),
        ("a\n", "a", "a", "no_op"),
        ("a\r\n", "a\n", "a\r\n", "no_op"),
        ("a\n", "", "b", "exists"),
        ("  a\n    b\n", "a\n b", "c", "not_found"),
    ],
)
def test_refuses(text: str, old: str, new: str, code: str) -> None:
    said = refusal(plan_edit(snapshot(text), old, new))
    assert said.code == code
    assert said.next_step


def test_several_edits_go_one_after_the_other() -> None:
    plan = plan_edits(
        snapshot("one\ntwo\nthree\n"),
        [Replacement("three", "3"), Replacement("one", "1\nnew"), Replacement("new", "N")],
    )
    assert after(plan) == "1\nN\ntwo\n3\n"


def test_one_bad_edit_refuses_all() -> None:
    said = refusal(plan_edits(snapshot("one\ntwo\n"), [Replacement("one", "1"), Replacement("one", "2")]))
    assert said.code == "not_found"
    assert said.message.startswith("None was made, because of edit 2:")


def test_creates_only_what_is_not_there() -> None:
    absent = Snapshot("new.txt", "", ABSENT)
    assert after(plan_edit(absent, "", "text")) == "text"
    assert after(plan_write(absent, "")) == ""
    assert refusal(plan_edit(absent, "a", "b")).code == "not_found"


@pytest.mark.parametrize(
    ("text", "content", "wanted"),
    [
        ("a\r\nb\r\n", "a\nc\nd\n", "a\r\nc\r\nd\r\n"),
        ("a\nb\r\nc\n", "a\nb\nd\n", "a\nb\r\nd\n"),
        ("a\r\nb", "a\nb\n", "a\r\nb\r\n"),
        ("a\n", "a", "a"),
        ("\ufeffa\n", "b\n", "\ufeffb\n"),
        ("\ufeffa\n", "\ufeffb\n", "\ufeffb\n"),
        ("a\nb\n", "a\r\nc\r\n", "a\r\nc\r\n"),
    ],
)
def test_writes_with_the_file_s_own_line_ends(text: str, content: str, wanted: str) -> None:
    assert after(plan_write(snapshot(text), content)) == wanted


def test_writing_touches_only_what_differs() -> None:
    plan = plan_write(snapshot("a\nb\nc\nd\ne\n"), "a\nB\nc\nd\nE\n")
    assert isinstance(plan, Change)
    assert plan.edits == (Edit(2, 3, "B"), Edit(8, 9, "E"))
    assert refusal(plan_write(snapshot("a\r\n"), "a\n")).code == "no_op"


def test_a_long_file_full_of_blank_lines_is_rewritten() -> None:
    before, content = ("".join(f"{word} {number}\n\n" for number in range(5000)) for word in ("old", "new"))
    assert after(plan_write(snapshot(before), content)) == content


def test_hunks_show_lines_and_never_share_one() -> None:
    plan = plan_write(snapshot("a\nb\nc\nd\ne\nf"), "a\nB\nC\nd\ne\ng")
    assert isinstance(plan, Change)
    shown = [(hunk.id, hunk.start_line, hunk.end_line, hunk.diff) for hunk in hunks_of("edit-1", plan)]
    assert shown == [
        ("edit-1/h0", 2, 4, "@@ -2,2 +2,2 @@\n-b\n-c\n+B\n+C\n"),
        ("edit-1/h1", 6, 7, "@@ -6,1 +6,1 @@\n-f\n\\ No newline at end of file\n+g\n\\ No newline at end of file\n"),
    ]


def test_an_amended_hunk_replaces_its_lines() -> None:
    plan = plan_edit(snapshot("a\r\nb\r\nc\r\n"), "b", "x")
    assert isinstance(plan, Change)
    [hunk] = hunks_of("e", plan)
    assert apply_edits(plan.before, amended(plan, hunk, "1\n2")) == "a\r\n1\r\n2\r\nc\r\n"
    assert amended(plan, hunk, "b") == []


TEXTS = st.lists(
    st.tuples(st.text("ab \t", max_size=4), st.sampled_from(["\n", "\r\n", "\n", "\r\n"])), max_size=12
).map(lambda lines: "".join(map("".join, lines)))
NEW = st.text("abc\n ", max_size=12)


@settings(max_examples=300, deadline=None)
@given(TEXTS, st.data())
def test_an_exact_edit_changes_its_span_and_nothing_else(text: str, data: st.DataObject) -> None:
    lines = split_lines(text)
    first = data.draw(st.integers(0, len(lines)))
    last = data.draw(st.integers(first, len(lines)))
    old = "".join(lines[first:last]).replace("\r\n", "\n")
    plan = plan_edit(snapshot(text), old, data.draw(NEW))
    if isinstance(plan, Refusal):
        assert plan.code in ("not_unique", "no_op", "exists")
        return
    head, tail = "".join(lines[:first]), "".join(lines[last:])
    assert plan.after.startswith(head)
    assert plan.after.endswith(tail)
    assert all(len(head) <= edit.start <= edit.end <= len(text) - len(tail) for edit in plan.edits)


@settings(max_examples=300, deadline=None)
@given(TEXTS, NEW)
def test_a_write_gives_the_content_and_keeps_ends(text: str, content: str) -> None:
    plan = plan_write(snapshot(text), content)
    result = text if isinstance(plan, Refusal) else plan.after
    assert [strip_eol(line) for line in split_lines(result)] == [strip_eol(line) for line in split_lines(content)]
    ends = set(re.findall(r"\r\n|\n", text))
    assert len(ends) != 1 or set(re.findall(r"\r\n|\n", result)) <= ends


@settings(max_examples=200, deadline=None)
@given(TEXTS, st.lists(st.tuples(st.text("ab\n", max_size=3), NEW), min_size=1, max_size=4))
def test_many_edits_are_the_single_ones_in_order(text: str, pairs: list[tuple[str, str]]) -> None:
    together = plan_edits(snapshot(text), [Replacement(old, new) for old, new in pairs])
    step = text
    for old, new in pairs:
        plan = plan_edit(snapshot(step), old, new)
        if isinstance(plan, Refusal) and plan.code != "no_op":
            assert isinstance(together, Refusal)
            return
        step = step if isinstance(plan, Refusal) else plan.after
    assert (text if isinstance(together, Refusal) else together.after) == step


@given(st.text("ab", max_size=8), st.data())
def test_spliced_edits_are_edits_of_the_beginning(text: str, data: st.DataObject) -> None:
    pieces: list[str | range] = [range(len(text))]
    now = text
    for _ in range(3):
        cuts = sorted(data.draw(st.lists(st.integers(0, len(now)), min_size=2, max_size=2)))
        edit = Edit(cuts[0], cuts[1], data.draw(st.text("xy", max_size=3)))
        pieces, now = splice(pieces, [edit]), apply_edits(now, [edit])
    assert apply_edits(text, edits_of(pieces, len(text))) == now
