"""The work of several agents joined: nothing that goes together is lost, nothing is made twice, the rest is told."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from agentic.change import ABSENT, Change, Edit, Snapshot, minimal_edits
from agentic.errors import Refusal
from agentic.ports.workspace import MemoryWorkspace
from agentic.team.merging import USER, Joined, join
from agentic.team.overlay import Overlay

TEN = "".join(f"line {number}\n" for number in range(10))

texts = st.lists(st.sampled_from(["a\n", "b\n", "\n", "a\r\n", "  a\n", "\r", "c\n"]), max_size=8).map("".join)
ends = st.sampled_from(["", "a", "\n"])
whole_texts = st.tuples(texts, ends).map("".join)


def change(before: str, after: str, path: str = "a.py", version: str = "1") -> Change:
    return Change(path, version, before, minimal_edits(before, after))


def created(text: str, path: str = "a.py") -> Change:
    return change("", text, path, ABSENT)


def after(joined: Joined, path: str = "a.py") -> str:
    return next(change.after for change in joined.changes if change.path == path)


def edited(lines: Sequence[str], new: dict[int, str]) -> str:
    """The lines with some of them replaced, each by whole lines."""
    return "".join(new.get(number, line) for number, line in enumerate(lines))


def test_different_files_stand_side_by_side() -> None:
    joined = join([("b", [created("b\n", "b.py")]), ("a", [change("x\n", "y\n", "a.py")])])
    assert joined == Joined((change("x\n", "y\n", "a.py"), created("b\n", "b.py")))


def test_edits_of_different_lines_of_a_file_all_go_in() -> None:
    results = [
        ("a", [change(TEN, TEN.replace("line 2", "two"))]),
        ("b", [change(TEN, TEN.replace("line 7\n", "seven\nand more\n"))]),
        ("c", [change(TEN, TEN + "at the end\n")]),
    ]
    joined = join(results)
    assert after(joined) == TEN.replace("line 2", "two").replace("line 7\n", "seven\nand more\n") + "at the end\n"
    assert joined.conflicts == ()
    assert joined.changes[0].version == "1"
    assert joined.changes[0].before == TEN


def test_the_same_edit_is_made_once() -> None:
    new = TEN.replace("line 4\n", "four\nfive\n")
    assert join([("a", [change(TEN, new)]), ("b", [change(TEN, new)])]) == Joined((change(TEN, new),))


def test_of_two_edits_of_the_same_line_the_first_is_kept_and_the_other_told() -> None:
    mine = TEN.replace("line 4", "four").replace("line 8", "eight")
    joined = join([("a", [change(TEN, TEN.replace("line 4", "FOUR"))]), ("b", [change(TEN, mine)])])
    assert after(joined) == TEN.replace("line 4", "FOUR").replace("line 8", "eight")
    (conflict,) = joined.conflicts
    assert (conflict.path, conflict.line, conflict.kept, conflict.left) == ("a.py", 5, "a", "b")
    assert conflict.diff == (
        "--- a/a.py\n+++ b/a.py\n@@ -2,7 +2,7 @@\n line 1\n line 2\n line 3\n-FOUR\n+four\n line 5\n line 6\n line 7\n"
    )


def test_different_characters_of_one_line_are_a_conflict_too() -> None:
    results = [("a", [change("f(x, y)\n", "f(a, y)\n")]), ("b", [change("f(x, y)\n", "f(x, b)\n")])]
    joined = join(results)
    assert after(joined) == "f(a, y)\n"
    assert joined.conflicts[0].diff.endswith("-f(a, y)\n+f(x, b)\n")


def test_what_two_agents_put_in_at_one_place_is_a_conflict() -> None:
    joined = join([("a", [change(TEN, TEN + "a\n")]), ("b", [change(TEN, TEN + "b\n")])])
    assert after(joined) == TEN + "a\n"
    assert joined.conflicts[0].line == 11


def test_who_puts_in_the_same_and_more_goes_in() -> None:
    short, long = TEN + "import os\n", TEN + "import os\nimport sys\n"
    for results in (
        [("a", [change(TEN, short)]), ("b", [change(TEN, long)])],
        [("b", [change(TEN, long)]), ("a", [change(TEN, short)])],
    ):
        assert join(results) == Joined((change(TEN, long),))


def test_a_deletion_and_a_change_of_the_same_line_are_a_conflict() -> None:
    results = [("a", [change(TEN, TEN.replace("line 3\n", ""))]), ("b", [change(TEN, TEN.replace("line 3", "3"))])]
    joined = join(results)
    assert after(joined) == TEN.replace("line 3\n", "")
    assert [conflict.line for conflict in joined.conflicts] == [4]


def test_hunks_that_go_against_one_rewrite_are_one_conflict() -> None:
    rewritten = "line 0\nall\nnew\nline 9\n"
    spread = TEN.replace("line 2", "two").replace("line 5", "five").replace("line 9", "nine")
    joined = join([("a", [change(TEN, rewritten)]), ("b", [change(TEN, spread)])])
    assert after(joined) == rewritten.replace("line 9", "nine")
    (conflict,) = joined.conflicts
    assert "-all\n-new\n+line 1\n+two\n" in conflict.diff


def test_two_places_of_one_file_are_one_conflict_and_one_diff() -> None:
    mine = TEN.replace("line 1", "one").replace("line 8", "eight")
    joined = join([("a", [change(TEN, mine)]), ("b", [change(TEN, mine.replace("e\n", "E\n").replace("t\n", "T\n"))])])
    assert after(joined) == mine
    (conflict,) = joined.conflicts
    assert conflict.line == 2
    assert "-one\n+onE\n" in conflict.diff
    assert "-eight\n+eighT\n" in conflict.diff


def test_a_conflict_s_line_is_that_of_the_joined_text() -> None:
    results = [
        ("a", [change(TEN, TEN.replace("line 8", "8"))]),
        ("b", [change(TEN, TEN.replace("line 8", "eight"))]),
        ("c", [change(TEN, "one\ntwo\n" + TEN)]),
    ]
    joined = join(results)
    assert [conflict.line for conflict in joined.conflicts] == [11]
    assert after(joined).split("\n")[10] == "8"
    assert "-8\n+eight\n" in joined.conflicts[0].diff


def test_what_others_put_in_beside_a_conflict_is_not_of_it() -> None:
    results = [
        ("a", [change(TEN, TEN.replace("line 4", "FOUR"))]),
        ("c", [change(TEN, TEN.replace("line 4\n", "before\nline 4\n"))]),
        ("b", [change(TEN, TEN.replace("line 4", "four"))]),
    ]
    joined = join(results)
    assert after(joined) == TEN.replace("line 4\n", "before\nFOUR\n")
    assert " before\n-FOUR\n+four\n line 5\n" in joined.conflicts[0].diff


def test_what_got_in_after_all_is_no_conflict() -> None:
    began = change(TEN, TEN.replace("line 4", "FOUR"))
    other = change(TEN, TEN.replace("line 4", "four"))
    joined = join([("a", [began]), ("b", [other]), ("c", [other])], {"c": [began]})
    assert joined == Joined((other,))


def test_two_files_of_one_name() -> None:
    same = join([("a", [created("x = 1\n")]), ("b", [created("x = 1\n")])])
    assert same == Joined((created("x = 1\n"),))
    other = join([("a", [created("x = 1\n")]), ("b", [created("x = 2\ny = 3\n")])])
    assert other.changes == (created("x = 1\n"),)
    assert [(c.kept, c.left, c.line) for c in other.conflicts] == [("a", "b", 1)]
    assert "-x = 1\n+x = 2\n+y = 3\n" in other.conflicts[0].diff
    without_ends = join([("a", [created("x")]), ("b", [created("y\n")])])
    assert after(without_ends) == "x"
    assert len(without_ends.conflicts) == 1


def test_empty_files_are_created_too() -> None:
    assert join([("a", [created("")])]).changes == (created(""),)
    assert join([("a", [created("")]), ("b", [created("")])]).changes == (created(""),)
    assert join([("a", [created("")]), ("b", [created("x\n")])]) == Joined((created("x\n"),))
    written = Change("a.py", ABSENT, "", (Edit(0, 0, ""),))
    assert join([("a", [written])]).changes == (written,)
    assert join([("a", [created("x\n")]), ("b", [written])]) == Joined((created("x\n"),))


def test_a_change_of_nothing_is_none() -> None:
    assert join([("a", [change(TEN, TEN)])]) == Joined(())


def test_what_the_user_typed_between_two_reads_stays() -> None:
    typed = TEN.replace("line 0", "typed")
    results = [
        ("a", [change(TEN, TEN.replace("line 4", "four"), version="3")]),
        ("b", [change(typed, typed.replace("line 6", "six"), version="12")]),
    ]
    for order in (results, results[::-1]):
        joined = join(order)
        assert joined.changes[0].version == "12"
        assert joined.changes[0].before == typed
        assert after(joined) == typed.replace("line 4", "four").replace("line 6", "six")
        assert joined.conflicts == ()


def test_where_the_user_typed_into_an_agent_s_line_the_user_is_right() -> None:
    typed = TEN.replace("line 4", "the user's own")
    results = [
        ("b", [change(typed, typed.replace("line 0\n", "zero\nand more\n"), version="2")]),
        ("a", [change(TEN, TEN.replace("line 4", "agent's four").replace("line 8", "eight"), version="1")]),
    ]
    joined = join(results)
    assert after(joined) == typed.replace("line 0\n", "zero\nand more\n").replace("line 8", "eight")
    assert [(c.kept, c.left, c.line) for c in joined.conflicts] == [(USER, "a", 6)]


def test_a_file_that_the_user_created_meanwhile_stays() -> None:
    mine = change("user's\n", "user's\nand more\n", version="5")
    joined = join([("a", [created("agent's\n")]), ("b", [mine])])
    assert joined.changes[0].version == "5"
    assert after(joined) == "user's\nand more\n"
    assert [(c.kept, c.left) for c in joined.conflicts] == [(USER, "a")]


def test_what_the_user_created_alike_is_no_conflict() -> None:
    mine = change("x = 1\n", "x = 1\ny = 2\n", version="5")
    assert join([("b", [mine]), ("a", [created("x = 1\n")])]) == Joined((mine,))


def test_an_agent_that_went_on_from_another_s_work_makes_nothing_twice() -> None:
    api = created("def f():\n    return 1\n")
    tests = created("def f():\n    return 2\n\ndef g():\n    pass\n")
    results = [("api", [api]), ("tests", [tests])]
    assert join(results, {"tests": [api]}) == Joined((tests,))
    assert len(join(results).conflicts) == 1


def test_two_agents_that_went_on_from_the_same_work() -> None:
    began = change(TEN, TEN.replace("line 4\n", "four\n"))
    one = change(TEN, began.after.replace("four", "FOUR"))
    two = change(TEN, began.after + "end\n")
    three = change(TEN, began.after.replace("four", "4"))
    seeds = {"one": [began], "two": [began], "three": [began]}
    joined = join([("base", [began]), ("one", [one]), ("two", [two]), ("three", [three])], seeds)
    assert after(joined) == TEN.replace("line 4", "FOUR") + "end\n"
    assert [(c.kept, c.left, c.line) for c in joined.conflicts] == [("one", "three", 5)]


def test_what_a_later_agent_took_back_is_gone() -> None:
    began = change(TEN, TEN.replace("line 4", "four").replace("line 8", "eight"))
    later = change(TEN, TEN.replace("line 8", "eight"))
    joined = join([("a", [began]), ("b", [later])], {"b": [began]})
    assert after(joined) == later.after


@given(whole_texts, whole_texts)
def test_one_agent_s_changes_are_what_they_are(before: str, text: str) -> None:
    one = change(before, text)
    assert join([("a", [one])]) == Joined((one,) if one.edits else ())
    assert join([("a", [one]), ("b", [one])]).conflicts == ()
    if one.edits:
        assert after(join([("a", [one]), ("b", [one])])) == text


@settings(max_examples=300)
@given(st.data(), st.integers(1, 12), st.permutations([0, 1, 2]))
def test_edits_apart_all_go_in_whatever_the_order(data: st.DataObject, count: int, order: list[int]) -> None:
    """Lines are unlike each other, so that a diff can only see what was done."""
    lines = [f"line {number}\n" for number in range(count)]
    owner = data.draw(st.lists(st.integers(0, 3), min_size=count, max_size=count))
    new = {
        number: data.draw(
            st.sampled_from(["", f"new {number}\n", f"new {number}\nmore {number}\n", f"line {number}!\n"])
        )
        for number in range(count)
        if owner[number] < 3
    }
    before = "".join(lines)
    results = [
        (str(agent), [change(before, edited(lines, {n: t for n, t in new.items() if owner[n] == agent}))])
        for agent in order
    ]
    joined = join(results)
    assert joined.conflicts == ()
    assert "".join(c.after for c in joined.changes) == (edited(lines, new) if new else "")


@settings(max_examples=400)
@given(whole_texts, st.lists(whole_texts, min_size=2, max_size=4))
def test_every_line_that_is_new_is_in_or_is_told(before: str, afters: list[str]) -> None:
    marked = [f"{text}only {number}\n" for number, text in enumerate(afters)]
    results = [(str(number), [change(before, text)]) for number, text in enumerate(marked)]
    joined = join(results)
    assert join(results) == joined
    told = "".join(conflict.diff for conflict in joined.conflicts)
    for number in range(len(afters)):
        assert f"only {number}\n" in after(joined) or f"only {number}\n" in told
    for conflict in joined.conflicts:
        assert int(conflict.kept) < int(conflict.left)


@settings(max_examples=300)
@given(whole_texts, whole_texts, whole_texts, st.booleans())
def test_whoever_goes_on_from_all_that_is_there_has_the_last_word(
    before: str, middle: str, last: str, begins: bool
) -> None:
    if begins:
        before, version = "", ABSENT
    else:
        version = "1"
    first, second = change(before, middle, version=version), change(before, last, version=version)
    joined = join([("a", [first]), ("b", [second])], {"b": [first]})
    assert joined.conflicts == ()
    if second.edits:
        assert after(joined) == last


async def test_views_of_one_workspace_are_joined_as_their_agents_meant() -> None:
    """Two agents side by side, the user typing in between, and a third that goes on from the first one's work."""
    workspace = MemoryWorkspace({"a.py": TEN})

    async def edit(view: Overlay, old: str, new: str) -> None:
        now = await view.read("a.py")
        assert isinstance(now, Snapshot)
        changed = Change("a.py", now.version, now.text, minimal_edits(now.text, now.text.replace(old, new)))
        assert not isinstance(await view.apply(changed), Refusal)

    api, web, tests = Overlay(workspace), Overlay(workspace), Overlay(workspace)
    await edit(api, "line 2", "two")
    typed = Change("a.py", "1", TEN, minimal_edits(TEN, TEN.replace("line 9", "typed")))
    assert not isinstance(await workspace.apply(typed), Refusal)
    await edit(web, "line 6", "six")
    seed = join([("api", api.changes())]).changes
    tests.seed(seed)
    await edit(tests, "two", "TWO")
    results = [("api", api.changes()), ("web", web.changes()), ("tests", tests.changes())]
    joined = join(results, {"tests": seed})
    assert joined.conflicts == ()
    (change,) = joined.changes
    assert not isinstance(await workspace.apply(change), Refusal)
    assert workspace.files["a.py"] == (TEN.replace("line 2", "TWO").replace("line 6", "six").replace("line 9", "typed"))
