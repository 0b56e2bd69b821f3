"""What the index holds of a workspace, and how it is found."""

import os
from pathlib import Path

from support.indexing import indexed, paths, until, write

CODE = '''"""Shapes."""

LIMIT = 3


class Circle:
    def surface_area(self):
        return compute_area(self)


def draw_circle(shape):
    return Circle().surface_area()
'''


async def test_words_are_found_with_their_lines(tmp_path: Path) -> None:
    root = tmp_path / "project"
    filler = "".join(f"line {number}\n" for number in range(1, 101))
    write(root, {"notes.md": filler + "the needle and the haystack\n" + filler, "other.md": "a haystack\n"})
    async with indexed(("", root), state=tmp_path / "state") as index:
        first, second = await index.text(["needle", "haystack"], 10)
        assert (first.path, first.line, first.end_line) == ("notes.md", 101, 101)
        assert first.text == "the needle and the haystack\n"
        assert (second.path, second.line) == ("other.md", 1)
        assert first.score > second.score
        assert await index.text(["haystack"], 1) != []
        assert await index.text(["nowhere"], 10) == []
        assert await index.text(["needle"], 0) == []


async def test_parts_of_identifiers_and_of_paths_are_words(tmp_path: Path) -> None:
    root = tmp_path / "project"
    write(
        root,
        {"a.py": "parseHTTPHeader = read_config_file()\n", "src/payment_gateway.py": "x = 1\n", "k.py": "# 계산기를\n"},
    )
    async with indexed(("", root), state=tmp_path / "state") as index:
        for word in ("parseHTTPHeader", "PARSEHTTPHEADER", "header", "http", "read_config_file", "config"):
            assert await paths(index, word) == ["a.py"], word
        assert await paths(index, "gateway") == ["src/payment_gateway.py"]
        assert await paths(index, "계산기") == ["k.py"]


async def test_symbols_are_found_whole_before_prefixes(tmp_path: Path) -> None:
    root = tmp_path / "project"
    write(root, {"shapes.py": CODE, "more/circles.py": "def circle_of(): ...\ndef circle(): ...\n"})
    async with indexed(("", root), state=tmp_path / "state") as index:
        names = [(one.name, one.path) for one in await index.symbols(["circle"], 10)]
        assert names == [("circle", "more/circles.py"), ("Circle", "shapes.py"), ("circle_of", "more/circles.py")]
        assert len(await index.symbols(["circle"], 2)) == 2
        assert await index.symbols(["", "nothing"], 5) == []
        outline = [
            (one.name, one.kind, one.line, one.end_line, one.container) for one in await index.outline("shapes.py")
        ]
        assert outline == [
            ("LIMIT", "constant", 3, 3, ""),
            ("Circle", "class", 6, 8, ""),
            ("surface_area", "method", 7, 8, "Circle"),
            ("draw_circle", "function", 11, 12, ""),
        ]
        assert await index.outline("missing.py") == []


async def test_several_roots_have_their_prefixes(tmp_path: Path) -> None:
    write(tmp_path / "one", {"a.py": "def first(): ...\n"})
    write(tmp_path / "two", {"a.py": "def second(): return first()\n"})
    async with indexed(("one/", tmp_path / "one"), ("two/", tmp_path / "two"), state=tmp_path / "state") as index:
        assert await paths(index, "first") == ["one/a.py", "two/a.py"]
        assert [one.path for one in await index.symbols(["second"], 5)] == ["two/a.py"]
        assert [one.name for one in await index.outline("one/a.py")] == ["first"]


async def test_what_git_ignores_is_left_out(tmp_path: Path) -> None:
    root = tmp_path / "project"
    write(
        root,
        {
            ".gitignore": "build/\n*.log\n!keep.log\n",
            "a.py": "needle\n",
            "b.log": "needle\n",
            "keep.log": "needle\n",
            "build/out.py": "needle\n",
            ".git/config": "needle\n",
            "deep/.gitignore": "a.py\n",
            "deep/a.py": "needle\n",
            "deep/b.py": "needle\n",
        },
    )
    async with indexed(("", root), state=tmp_path / "state") as index:
        assert await paths(index, "needle") == ["a.py", "deep/b.py", "keep.log"]


async def test_binary_and_huge_files_are_known_by_name_only(tmp_path: Path) -> None:
    root = tmp_path / "project"
    write(
        root,
        {
            "picture.png": b"needle\0\1\2",
            "dump_of_everything.sql": "needle\n" * 200_000,
            "latin.txt": b"needle caf\xe9\r\n",
            "empty.txt": "",
            "bom.py": b"\xef\xbb\xbfdef marked(): return needle\n",
        },
    )
    async with indexed(("", root), state=tmp_path / "state") as index:
        assert index.state.files == 5
        assert await paths(index, "needle") == ["bom.py", "latin.txt"]
        assert await paths(index, "picture") == ["picture.png"]
        (named,) = await index.text(["everything"], 5)
        assert (named.path, named.line, named.text) == ("dump_of_everything.sql", 1, "")
        assert [one.name for one in await index.symbols(["marked"], 5)] == ["marked"]


async def test_strange_trees_are_read(tmp_path: Path) -> None:
    """Links in circles and to nowhere, a pipe, a folder without rights, names with spaces and quotes, deep folders."""
    root = tmp_path / "project"
    deep = "/".join(["d"] * 60)
    write(root, {'a b/it\'s "x".py': "needle\n", f"{deep}/e.py": "needle\n", "closed/f.py": "other\n"})
    (root / "loop").symlink_to(root)
    (root / "self").symlink_to("self")
    (root / "gone").symlink_to("nowhere")
    (root / "linked.py").symlink_to(root / "a b" / 'it\'s "x".py')
    os.mkfifo(root / "pipe")
    (root / "closed").chmod(0)
    async with indexed(("", root), state=tmp_path / "state") as index:
        assert await paths(index, "needle") == ['a b/it\'s "x".py', f"{deep}/e.py"]
    (root / "closed").chmod(0o700)


async def test_files_that_use_what_others_define_are_linked(tmp_path: Path) -> None:
    root = tmp_path / "project"
    write(
        root,
        {
            "shapes.py": CODE,
            "use.py": "from shapes import *\ndraw_circle(Circle(LIMIT))\n# surface_area\n",
            "area.py": "def compute_area(shape): ...\n",
        },
    )
    async with indexed(("", root), state=tmp_path / "state") as index:

        async def linked() -> bool:
            return await index.references(10) == [("use.py", "shapes.py", 3), ("shapes.py", "area.py", 1)]

        await until(linked)
        assert len(await index.references(1)) == 1


async def test_any_question_gets_a_list(tmp_path: Path) -> None:
    root = tmp_path / "project"
    write(root, {"a.py": "needle AND OR NOT NEAR\n"})
    async with indexed(("", root), state=tmp_path / "state") as index:
        for words in (
            ['"'],
            ["needle*"],
            ["AND"],
            ["NEAR(a b)"],
            ["\0"],
            ["\ud800"],
            ["🙂"],
            ["x" * 10_000],
            ["a"] * 5_000,
            [],
        ):
            assert isinstance(await index.text(words, 5), list)
            assert isinstance(await index.symbols(words[:50], 5), list)
        assert await paths(index, "(needle)") == ["a.py"]
        assert await paths(index, "and") == ["a.py"]
        assert await index.outline("\ud800") == []


async def test_the_database_is_private(tmp_path: Path) -> None:
    write(tmp_path / "project", {"a.py": "x = 1\n"})
    async with indexed(("", tmp_path / "project"), state=tmp_path / "state"):
        files = list((tmp_path / "state" / "index").iterdir())
        assert len(files) >= 2
        assert {file.stat().st_mode & 0o077 for file in files} == {0}
