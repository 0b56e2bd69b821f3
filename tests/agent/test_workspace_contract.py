"""What every implementation of the workspace port must do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from support.workspaces import FACTORIES, Bench, Content

from agentic.change import ABSENT, Applied, Change, Snapshot, minimal_edits
from agentic.errors import Refusal
from agentic.ports.workspace import Entry, Match

Make = Callable[..., Awaitable[Bench]]


@pytest.fixture(params=sorted(FACTORIES))
async def make(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Make]:
    made: list[Bench] = []

    async def factory(files: dict[str, Content]) -> Bench:
        made.append(await FACTORIES[request.param](tmp_path, files))
        return made[-1]

    yield factory
    for bench in made:
        await bench.close()


async def snapshot(bench: Bench, path: str) -> Snapshot:
    found = await bench.workspace.read(path)
    assert isinstance(found, Snapshot), found
    return found


def change(before: Snapshot, after: str) -> Change:
    return Change(before.path, before.version, before.text, minimal_edits(before.text, after))


def code(result: object) -> str:
    assert isinstance(result, Refusal), result
    assert result.message
    return result.code


async def test_reading_gives_text_path_and_version(make: Make) -> None:
    bench = await make({"src/a.py": "one\ntwo\n"})
    found = await snapshot(bench, "./src/../src/a.py")
    assert (found.path, found.text, found.exists) == ("src/a.py", "one\ntwo\n", True)
    assert (await snapshot(bench, "src/a.py")).version == found.version
    bench.put("src/a.py", "one\n")
    assert (await snapshot(bench, "src/a.py")).version != found.version


async def test_a_file_that_is_not_there_reads_as_absent(make: Make) -> None:
    bench = await make({"a": "x"})
    assert await bench.workspace.read("none/b") == Snapshot("none/b", "", ABSENT)


async def test_a_folder_is_no_file(make: Make) -> None:
    bench = await make({"src/a.py": ""})
    assert code(await bench.workspace.read("src")) == "not_a_file"


@pytest.mark.parametrize("path", ["../other", "src/../../other", "/etc/passwd", "src/../.."])
async def test_nothing_outside_is_read_listed_or_written(make: Make, path: str) -> None:
    bench = await make({"src/a.py": ""})
    assert code(await bench.workspace.read(path)) == "outside_workspace"
    assert code(await bench.workspace.list(path)) == "outside_workspace"
    assert code(await bench.workspace.apply(change(Snapshot(path, "", ABSENT), "x"))) == "outside_workspace"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("one\ntwo\n", "one\n2\n"),
        ("one\r\ntwo\r\n", "one\r\n2\r\n"),
        ("one\ntwo", "one\n2"),
        ("one\rtwo\r\nthree\n", "one\rtwo\r\n3\n"),
        ("a\x0cb\u2028c\x85d\n", "a\x0cb\u2028C\x85d\n"),
        ("häßlich 𝄞\n", "hübsch 𝄞\n"),
        ("all\n", ""),
    ],
)
async def test_a_change_is_made_and_every_other_byte_kept(make: Make, before: str, after: str) -> None:
    bench = await make({"a": before})
    applied = await bench.workspace.apply(change(await snapshot(bench, "a"), after))
    now = await snapshot(bench, "a")
    assert applied == Applied("a", now.version, after, saved=not now.open)
    assert (now.text, bench.peek("a")) == (after, after)


async def test_a_change_can_be_repeated(make: Make) -> None:
    bench = await make({"a": "one\ntwo\n"})
    edit = change(await snapshot(bench, "a"), "one\nzwei\n")
    first = await bench.workspace.apply(edit)
    second = await bench.workspace.apply(edit)
    assert isinstance(first, Applied)
    assert isinstance(second, Applied)
    assert (second.text, second.version) == ("one\nzwei\n", first.version)


async def test_a_stale_change_is_rebased_where_its_span_is_untouched(make: Make) -> None:
    bench = await make({"a": "one\ntwo\nthree\n"})
    edit = change(await snapshot(bench, "a"), "one\ntwo\n3\n")
    bench.put("a", "zero\none\ntwo\nthree\n")
    applied = await bench.workspace.apply(edit)
    assert isinstance(applied, Applied)
    assert applied.rebased
    assert bench.peek("a") == applied.text == "zero\none\ntwo\n3\n"


async def test_a_stale_change_to_a_touched_span_is_a_conflict(make: Make) -> None:
    bench = await make({"a": "one\ntwo\n"})
    edit = change(await snapshot(bench, "a"), "one\n2\n")
    bench.put("a", "one\nTWO\n")
    assert code(await bench.workspace.apply(edit)) == "conflict"
    assert bench.peek("a") == "one\nTWO\n"


async def test_a_file_is_created_with_the_folders_above_it(make: Make) -> None:
    bench = await make({})
    creation = change(await snapshot(bench, "new/deep/a.txt"), "x\n")
    applied = await bench.workspace.apply(creation)
    assert isinstance(applied, Applied)
    assert (applied.path, bench.peek("new/deep/a.txt")) == ("new/deep/a.txt", "x\n")
    again = await bench.workspace.apply(creation)
    assert isinstance(again, Applied)
    assert again.version == applied.version


async def test_an_empty_file_can_be_created(make: Make) -> None:
    bench = await make({})
    assert isinstance(await bench.workspace.apply(change(await snapshot(bench, "a"), "")), Applied)
    assert bench.peek("a") == ""


async def test_a_file_that_was_created_meanwhile_is_kept(make: Make) -> None:
    bench = await make({})
    creation = change(await snapshot(bench, "a"), "ours\n")
    bench.put("a", "theirs\n")
    assert code(await bench.workspace.apply(creation)) == "conflict"
    assert bench.peek("a") == "theirs\n"


async def test_a_file_that_was_deleted_meanwhile_stays_deleted(make: Make) -> None:
    bench = await make({"a": "one\n"})
    edit = change(await snapshot(bench, "a"), "two\n")
    bench.put("a", None)
    assert code(await bench.workspace.apply(edit)) == "conflict"
    assert bench.peek("a") is None


async def test_folders_come_first_in_a_listing(make: Make) -> None:
    bench = await make({"b.txt": "12345", "a.txt": "é", "z/one": "", "y/x/two": ""})
    found = await bench.workspace.list(".")
    assert isinstance(found, list)
    assert [(e.path, e.is_dir) for e in found] == [("y", True), ("z", True), ("a.txt", False), ("b.txt", False)]
    if not (await snapshot(bench, "a.txt")).open:
        assert [entry.size for entry in found] == [0, 0, 2, 5]
    assert await bench.workspace.list("y") == [Entry("y/x", True)]
    assert code(await bench.workspace.list("none")) == "not_found"


async def test_finding_by_glob(make: Make) -> None:
    bench = await make({"a.py": "", "src/b.py": "", "src/deep/test_c.py": "", "src/d.txt": ""})
    assert await bench.workspace.find("**/*.py", 10) == ["a.py", "src/b.py", "src/deep/test_c.py"]
    assert await bench.workspace.find("test_*", 10) == ["src/deep/test_c.py"]
    assert await bench.workspace.find("src/*.txt", 10) == ["src/d.txt"]
    assert await bench.workspace.find("*.py", 2) == ["a.py", "src/b.py"]
    assert await bench.workspace.find("*.rs", 10) == []


async def test_searching(make: Make) -> None:
    bench = await make({"a.py": "x = 1\nprint(x)\n", "b/c.txt": "print é\n", "b/d.txt": "nothing"})
    both = [Match("a.py", 2, "print(x)"), Match("b/c.txt", 1, "print é")]
    assert await bench.workspace.search("print", "", 10) == both
    assert await bench.workspace.search(r"^p.*\)$", "", 10) == both[:1]
    assert await bench.workspace.search("print", "*.txt", 10) == both[1:]
    assert await bench.workspace.search("print", "", 1) == both[:1]
    assert await bench.workspace.search("absent", "", 10) == []
    assert code(await bench.workspace.search("(", "", 10)) == "bad_arguments"


async def test_what_is_no_text_is_neither_read_nor_searched(make: Make) -> None:
    bench = await make({"bin": b"one\0two\n", "latin": b"caf\xe9\n", "ok": "one\n"})
    if bench.holds_bytes:
        assert code(await bench.workspace.read("bin")) == "not_text"
        assert code(await bench.workspace.read("latin")) == "not_text"
    assert await bench.workspace.search("one", "", 10) == [Match("ok", 1, "one")]


async def test_a_byte_order_mark_is_neither_seen_nor_lost(make: Make) -> None:
    """In files as bytes; an editor takes it off before it tells the text."""
    bench = await make({"a": "\ufeffone\r\ntwo\r\n"})
    found = await snapshot(bench, "a")
    if bench.holds_bytes and not found.open:
        assert found.text == "one\r\ntwo\r\n"
    applied = await bench.workspace.apply(change(found, found.text.replace("two", "2")))
    assert isinstance(applied, Applied)
    assert (applied.text, applied.rebased) == (found.text.replace("two", "2"), False)
    assert bench.peek("a") == "\ufeffone\r\n2\r\n"
