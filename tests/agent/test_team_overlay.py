"""The view of a workspace on which another agent works."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentic.change import ABSENT, Applied, Change, Snapshot, minimal_edits
from agentic.errors import Refusal
from agentic.ports.problems import Problem
from agentic.ports.workspace import Command, Entry, Exit, Match, MemoryCheckout, MemoryWorkspace, Output, Workspace
from agentic.team.overlay import Overlay


def base(files: dict[str, str], **effects: dict[str, str | None]) -> MemoryWorkspace:
    """A workspace in which each named command does this to files in a copy."""
    workspace = MemoryWorkspace(files, dict.fromkeys(effects, (0, "done\n")))
    workspace.effects = effects
    return workspace


async def write(view: Workspace, path: str, text: str) -> Applied:
    now = await view.read(path)
    assert isinstance(now, Snapshot), now
    applied = await view.apply(Change(now.path, now.version, now.text, minimal_edits(now.text, text)))
    assert isinstance(applied, Applied), applied
    return applied


async def text(view: Workspace, path: str) -> str | None:
    found = await view.read(path)
    assert isinstance(found, Snapshot), found
    return found.text if found.exists else None


async def ran(view: Workspace, command: str) -> list[Output | Exit | Refusal]:
    return [piece async for piece in view.run(Command(command))]


def made(view: Overlay) -> dict[str, str]:
    """What the view says that it changed; each change is checked to be a minimal one."""
    for change in view.changes():
        assert change.edits == minimal_edits(change.before, change.after)
    return {change.path: change.after for change in view.changes()}


async def test_nothing_that_is_written_reaches_the_workspace():
    below = base({"a": "one\n"})
    view = Overlay(below)
    await write(view, "a", "1\n")
    await write(view, "new/b", "2\n")
    assert below.files == {"a": "one\n"}
    assert [await text(view, path) for path in ("a", "./new/../new/b")] == ["1\n", "2\n"]


async def test_changes_are_against_the_text_that_was_there_when_the_file_was_first_changed():
    below = base({"a": "one\ntwo\n", "b": "x\n"})
    view = Overlay(below)
    await write(view, "b", "y\n")
    await write(view, "a", "one\n2\n")
    await write(view, "a", "1\n2\n")
    await write(below, "a", "one\ntwo\nthree\n")
    await write(view, "c", "new\n")
    changes = view.changes()
    assert [(c.path, c.version, c.before, c.after) for c in changes] == [
        ("a", "1", "one\ntwo\n", "1\n2\n"),
        ("b", "1", "x\n", "y\n"),
        ("c", ABSENT, "", "new\n"),
    ]
    for change in changes:
        assert isinstance(await below.apply(change), Applied)
    assert below.files == {"a": "1\n2\nthree\n", "b": "y\n", "c": "new\n"}


async def test_a_file_changed_back_is_no_change():
    view = Overlay(base({"a": "one\n"}))
    await write(view, "a", "1\n")
    await write(view, "a", "one\n")
    assert made(view) == {}


async def test_an_empty_new_file_is_a_change():
    view = Overlay(base({}))
    await write(view, "pkg/__init__.py", "")
    assert view.changes() == [Change("pkg/__init__.py", ABSENT, "", ())]


async def test_files_that_were_not_changed_follow_the_workspace():
    below = base({"a": "one\n", "b": "one\n"})
    view = Overlay(below)
    await write(view, "a", "1\n")
    await write(below, "a", "user\n")
    await write(below, "b", "user\n")
    assert (await text(view, "a"), await text(view, "b")) == ("1\n", "user\n")


async def test_views_of_one_workspace_know_nothing_of_each_other():
    below = base({"a": "one\n"})
    first, second = Overlay(below), Overlay(below)
    await write(first, "a", "1\n")
    await write(second, "a", "2\n")
    assert (made(first), made(second), below.files) == ({"a": "1\n"}, {"a": "2\n"}, {"a": "one\n"})


async def test_a_view_begins_with_the_work_of_others():
    below = base({"a": "one\ntwo\n", "gone": "x\n"})
    first, second = Overlay(below), Overlay(below)
    await write(first, "a", "1\ntwo\n")
    await write(first, "b", "new\n")
    assert second.seed(first.changes(), [Snapshot("gone", "x\n", "1")]) == []
    await write(second, "a", "1\n2\n")
    assert await text(second, "gone") is None
    assert made(second) == {"a": "1\n2\n", "b": "new\n"}
    assert [change.before for change in second.changes()] == ["one\ntwo\n", ""]
    assert second.removed == [Snapshot("gone", "x\n", "1")]


async def test_seeds_of_two_are_joined_and_what_contradicts_is_given_back():
    view = Overlay(base({}))
    before = "one\ntwo\nthree\n"
    first, second, third = (
        Change("a", "1", before, minimal_edits(before, after))
        for after in ("1\ntwo\nthree\n", "one\ntwo\n3\n", "uno\ntwo\nthree\n")
    )
    assert view.seed([first, second, third]) == [third]
    assert made(view) == {"a": "1\ntwo\n3\n"}


async def test_listing_shows_what_was_made_here():
    view = Overlay(base({"src/a.py": "12345", "src/sub/b.py": ""}))
    await write(view, "src/a.py", "é")
    await write(view, "src/new/deep/c.py", "")
    await write(view, "fresh/d.py", "x")
    assert await view.list("./src/") == [Entry("src/new", True), Entry("src/sub", True), Entry("src/a.py", False, 2)]
    assert await view.list(".") == [Entry("fresh", True), Entry("src", True)]
    assert await view.list("fresh") == [Entry("fresh/d.py", False, 1)]
    missing = await view.list("none")
    assert isinstance(missing, Refusal)
    assert missing.code == "not_found"


async def test_files_and_folders_made_here_are_in_each_others_way():
    view = Overlay(base({}))
    await write(view, "a/b", "x")
    for path in ("a", "a/b/c"):
        refusal = await view.apply(Change(path, ABSENT, "", minimal_edits("", "x")))
        assert isinstance(refusal, Refusal)
        assert refusal.code == "not_a_file"


async def test_searching_neither_misses_nor_doubles_a_line():
    below = base({"a": "needle 1\nneedle 2\n", "b": "needle 3\n", "c.txt": "needle 4\n"})
    view = Overlay(below)
    await write(view, "a", "needle 2\n")
    await write(view, "new", "hay\nneedle 5\n")
    found = [Match("a", 1, "needle 2"), Match("b", 1, "needle 3"), Match("c.txt", 1, "needle 4")]
    assert await view.search("needle", "", 10) == [*found, Match("new", 2, "needle 5")]
    assert await view.search("needle", "", 2) == found[:2]
    assert await view.search("needle", "*.txt", 10) == found[2:]
    assert await view.search("needle 1", "", 10) == []


async def test_what_a_command_removed_is_not_found_any_more():
    view = Overlay(base({"a.py": "needle\n", "b.py": "needle\n"}, remove={"a.py": None}))
    assert await ran(view, "remove") == [Output("stdout", "done\n"), Exit(0)]
    assert await view.find("*.py", 1) == ["b.py"]
    assert await view.search("needle", "", 10) == [Match("b.py", 1, "needle")]
    assert await view.list(".") == [Entry("b.py", False, 7)]
    assert await text(view, "a.py") is None
    assert (view.changes(), view.removed) == ([], [Snapshot("a.py", "needle\n", "1")])
    await write(view, "a.py", "again\n")
    assert (made(view), view.removed) == ({"a.py": "again\n"}, [])


async def test_commands_see_every_change_and_what_they_do_is_taken_up():
    below = base({"a": "one\n", "b": "x\n"}, format={"a": "ONE\n", "log": "new\n"}, check={})
    view = Overlay(below)
    await write(view, "a", "1\n")
    await ran(view, "format")
    (copy,) = below.checkouts
    assert copy.workspace.files == {"a": "ONE\n", "b": "x\n", "log": "new\n"}
    assert made(view) == {"a": "ONE\n", "log": "new\n"}
    await write(view, "b", "y\n")
    await ran(view, "check")
    assert copy.workspace.files["b"] == "y\n"
    assert len(below.checkouts) == 1
    assert await view.unsaved() == []
    assert below.files == {"a": "one\n", "b": "x\n"}


async def test_a_file_that_the_user_changed_since_the_copy_was_made_is_not_set_back():
    below = base({"a": "one\n", "b": "one\n"}, look={}, format={"a": "ONE\n", "b": "ONE\n"})
    view = Overlay(below)
    await ran(view, "look")
    await write(below, "a", "typed\n")
    said = await ran(view, "format")
    assert made(view) == {"b": "ONE\n"}
    assert await text(view, "a") == "typed\n"
    assert Output("stderr", "[a was changed by somebody else too: left as it is there]\n") in said


class _EndlessCheckout(MemoryCheckout):
    """Its commands write at once, and then run until they are killed."""

    async def run(self, command: Command) -> AsyncGenerator[Output | Exit | Refusal]:
        async for piece in super().run(command):
            if not isinstance(piece, Exit):
                yield piece
        await asyncio.Event().wait()


class _EndlessWorkspace(MemoryWorkspace):
    async def check_out(self) -> MemoryCheckout:
        self.checkouts.append(_EndlessCheckout(MemoryWorkspace(self.files, self.commands), self.effects))
        return self.checkouts[-1]


async def test_what_a_command_that_was_cut_off_has_written_is_taken_up_with_the_next_one():
    below = _EndlessWorkspace({"a": "one\n"}, {"endless": (0, "x"), "next": (0, "y")})
    below.effects = {"endless": {"a": "half\n"}}
    view = Overlay(below)
    for command in ("endless", "next"):
        said = view.run(Command(command))
        assert isinstance(await anext(said), Output)
        await said.aclose()
    assert made(view) == {"a": "half\n"}


async def test_an_edit_made_while_a_command_runs_is_kept():
    below = _EndlessWorkspace({"a": "one\n"}, {"endless": (0, "x"), "next": (0, "y")})
    below.effects = {"endless": {"a": "formatted\n"}}
    view = Overlay(below)
    said = view.run(Command("endless"))
    await anext(said)
    await write(view, "a", "edited\n")
    await said.aclose()
    again = view.run(Command("next"))
    await anext(again)
    await again.aclose()
    assert made(view) == {"a": "edited\n"}
    assert below.checkouts[0].workspace.files["a"] == "edited\n"


async def test_closing_removes_the_copy_and_refuses_commands():
    below = base({"a": "one\n"}, check={})
    view = Overlay(below)
    await write(view, "a", "1\n")
    await ran(view, "check")
    await view.aclose()
    await view.aclose()
    assert below.checkouts[0].closed
    assert made(view) == {"a": "1\n"}
    (refusal,) = await ran(view, "check")
    assert isinstance(refusal, Refusal)
    assert len(below.checkouts) == 1


class _NoCopies(MemoryWorkspace):
    async def check_out(self) -> Refusal:
        return Refusal("too_large", "The workspace cannot be copied.", "Do without commands.")


async def test_where_no_copy_can_be_made_commands_are_refused_and_edits_go_on():
    view = Overlay(_NoCopies({"a": "one\n"}))
    (refusal,) = await ran(view, "check")
    assert isinstance(refusal, Refusal)
    assert refusal.code == "too_large"
    await write(view, "a", "1\n")
    assert made(view) == {"a": "1\n"}


class _LockedCheckout(MemoryCheckout):
    locked = True

    async def write(self, path: str, text: str | None) -> Refusal | None:
        return (
            Refusal("outside_workspace", "It lies in a linked folder.")
            if self.locked
            else await super().write(path, text)
        )


class _Locked(MemoryWorkspace):
    async def check_out(self) -> MemoryCheckout:
        self.checkouts.append(_LockedCheckout(MemoryWorkspace(self.files, self.commands)))
        return self.checkouts[-1]


async def test_a_file_that_the_copy_does_not_take_is_told_as_unsaved():
    below = _Locked({"node_modules/a": "one\n"}, {"check": (0, "done\n")})
    view = Overlay(below)
    await write(view, "node_modules/a", "1\n")
    assert (await ran(view, "check"))[-1] == Exit(0)
    assert await view.unsaved() == ["node_modules/a"]


async def test_a_copy_of_a_view_holds_its_changes():
    below = base({"a": "one\n", "b": "x\n"}, remove={"b": None})
    view = Overlay(below)
    await ran(view, "remove")
    await write(view, "a", "1\n")
    checkout = await view.check_out()
    assert isinstance(checkout, MemoryCheckout)
    assert checkout.workspace.files == {"a": "1\n"}
    assert checkout.came_with("a", "1\n")
    above = Overlay(view)
    await write(above, "a", "above\n")
    assert (made(above), made(view)) == ({"a": "above\n"}, {"a": "1\n"})


@pytest.mark.parametrize(("path", "after", "code"), [(".git/hooks/x", "x", "denied"), ("a", "\ud800", "not_text")])
async def test_what_the_workspace_would_not_take_is_refused_at_once(path: str, after: str, code: str):
    refusal = await Overlay(base({})).apply(Change(path, ABSENT, "", minimal_edits("", after)))
    assert isinstance(refusal, Refusal)
    assert refusal.code == code


async def test_a_file_that_grows_too_large_is_refused():
    refusal = await Overlay(base({})).apply(Change("a", ABSENT, "", minimal_edits("", "x" * 5_000_001)))
    assert isinstance(refusal, Refusal)
    assert refusal.code == "too_large"


async def test_problems_of_files_changed_here_are_told_by_a_parser_and_others_by_the_workspace():
    below = base({"a.py": "x\n", "b.py": "y\n"})
    below.found = [Problem("a.py", 1, "old"), Problem("b.py", 1, "bad")]
    view = Overlay(below)
    await write(view, "a.py", "x = (\n")
    for paths in ([], ["./a.py", "b.py"]):
        found = await view.problems(paths)
        assert not isinstance(found, Refusal)
        assert [problem.path for problem in found.found] == ["a.py", "b.py"]
        assert "old" not in {problem.message for problem in found.found}
        assert found.checked == {"a.py": "a syntax check", "b.py": "the double"}


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.text("xy\n", max_size=6)), max_size=8))
async def test_applying_the_changes_gives_the_workspace_the_texts_of_the_view(writes: list[tuple[str, str]]):
    below = base({"a": "x\ny\n", "b": ""})
    view = Overlay(below)
    for path, after in writes:
        await write(view, path, after)
    wanted = {path: await text(view, path) for path in ("a", "b", "c")}
    for change in view.changes():
        assert isinstance(await below.apply(change), Applied)
    assert {path: below.files.get(path) for path in ("a", "b", "c")} == wanted


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.text("xy\n", max_size=6)), max_size=4))
async def test_searching_finds_what_a_workspace_with_these_texts_finds(writes: list[tuple[str, str]]):
    view = Overlay(base({"a": "x\ny\nxx\n", "b": "yx", "d": "x"}))
    for path, after in writes:
        await write(view, path, after)
    texts = {path: await text(view, path) for path in ("a", "b", "c", "d")}
    wanted = MemoryWorkspace({path: held for path, held in texts.items() if held is not None})
    for limit in (1, 2, 100):
        assert await view.search("x", "", limit) == await wanted.search("x", "", limit)
