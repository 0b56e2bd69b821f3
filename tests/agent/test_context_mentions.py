"""Mentions: what is one, what it stands for, and what is left alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.memory_index import MemoryIndex

from agentic.context.mentions import MAX_ALL, MAX_ITEM, Mentioned, mentioned, spellings
from agentic.disk.workspace import DiskWorkspace
from agentic.ports.code_index import NoIndex
from agentic.ports.workspace import MemoryWorkspace, Problem, Workspace
from agentic.safety.paths import Roots
from agentic.task import Task

APP = "import os\n\n\nclass App:\n    def run(self):\n        return 1\n\n\ndef main():\n    App().run()\n"
FILES = {
    "src/app.py": APP,
    "src/util/names.py": "def main():\n    pass\n",
    "my file.py": "blank\n",
    "보고서.md": "# 보고서\n",
    "src/데이터/a.txt": "a\n",
    "Makefile": "all:\n",
    "src/(group)/page.tsx": "page\n",
    "a/same.py": "1\n",
    "b/same.py": "2\n",
}


async def found(
    text: str,
    files: dict[str, str] | None = None,
    *,
    budget: int = MAX_ALL,
    workspace: Workspace | None = None,
    **task: Any,
) -> Mentioned:
    files = FILES if files is None else files
    the_task = Task(text, "s", "t", **task)
    return await mentioned(the_task, workspace or MemoryWorkspace(files), MemoryIndex(files), budget)


async def test_a_file_is_shown_with_its_lines_numbered() -> None:
    assert await found("fix @Makefile please") == Mentioned('<file path="Makefile">\n1\tall:\n</file>', ("Makefile",))


@pytest.mark.parametrize(
    ("words", "path"),
    [
        ("@src/app.py", "src/app.py"),
        ("look at @src/app.py.", "src/app.py"),
        ("(see @src/app.py)", "src/app.py"),
        ("is it @./src/app.py?!", "src/app.py"),
        ("@src/app.py를 고쳐줘", "src/app.py"),
        ("请看@src/app.py，谢谢", "src/app.py"),
        ("@src/app.pyを直して", "src/app.py"),
        ("@보고서.md에서 찾아줘", "보고서.md"),
        ("@src/데이터/a.txt…", "src/데이터/a.txt"),
        ('@"my file.py" and so on', "my file.py"),
        ('@"my file.py", please', "my file.py"),
        ("@src/(group)/page.tsx", "src/(group)/page.tsx"),
        ("@names.py", "src/util/names.py"),
        ("@util/names.py:1", "src/util/names.py"),
        ("@/util/names.py", "src/util/names.py"),
        ("@src/app.py:", "src/app.py"),
        ("@src/app.py's imports", "src/app.py"),
        ("**@src/app.py**", "src/app.py"),
    ],
)
async def test_a_path_is_found_in_any_sentence(words: str, path: str) -> None:
    assert (await found(words)).paths == (path,)


@pytest.mark.parametrize(
    ("words", "lines", "first"),
    [
        ("@src/app.py:4-6", "4-6 of 10", "4\tclass App:"),
        ("@src/app.py:4-6.", "4-6 of 10", "4\tclass App:"),
        ("@src/app.py:9부터", "9-9 of 10", "9\tdef main():"),
        ("@src/app.py:6-4", "4-6 of 10", "4\tclass App:"),
        ("@src/app.py#L9-L999", "9-10 of 10", "9\tdef main():"),
        ("@src/app.py#L4", "4-4 of 10", "4\tclass App:"),
        ('@"src/app.py":4-6', "4-6 of 10", "4\tclass App:"),
        ("@src/app.py:0", "1-1 of 10", "1\timport os"),
    ],
)
async def test_lines_are_those_that_were_meant(words: str, lines: str, first: str) -> None:
    shown = (await found(words)).text.split("\n")
    assert shown[:2] == [f'<file path="src/app.py" lines="{lines}">', first]


async def test_lines_that_are_not_there_are_said_not_to_be() -> None:
    assert (await found("@src/app.py:77-80")).text == '<file path="src/app.py" lines="0 of 10"/>'


@pytest.mark.parametrize(
    "words",
    [
        "write to someone@example.com",
        "mail a.b+c@src/app.py",
        "use @property and @app.route here",
        "install @types/node and @angular/core",
        "pin lodash@4 or git@github.com:x/y.git",
        "the line `@src/app.py` is code",
        "```\n@src/app.py\n```",
        "```py\n@src/app.py",
        "@@ -1,3 +1,4 @@",
        "a @ b, @",
        "@없는것",
        "@" + "x" * 5000,
        "@/etc/passwd @/ @// @.. @",
        "no mention",
        "",
    ],
)
async def test_what_is_no_mention_is_left_alone(words: str) -> None:
    assert await found(words) == Mentioned()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("@src/nope.py", "@src/nope.py: there is no such file."),
        ("@nope.py를 고쳐", "@nope.py: there is no such file."),
        ('@"no such.py"', "@no such.py: there is no such file."),
        ("@nope/", "@nope/: there is no such file."),
        ("@same.py", "@same.py may be any of a/same.py, b/same.py: none is shown."),
        ("@../up.py", "@../up.py: ../up.py lies outside the workspace."),
    ],
)
async def test_a_path_that_is_none_is_said_so_in_one_line(words: str, said: str) -> None:
    assert await found(words) == Mentioned(said)


async def test_a_folder_is_listed() -> None:
    assert (await found("@src/util/")).text == '<folder path="src/util">\nsrc/util/names.py\n</folder>'
    assert (await found("@src 폴더")).text.split("\n")[1:-1] == [
        "src/(group)/",
        "src/util/",
        "src/데이터/",
        "src/app.py",
    ]
    many = {f"big/{n:03}.py": "" for n in range(150)}
    assert "[50 more; list_files shows them]" in (await found("@big/", many)).text


async def test_a_symbol_is_its_definition() -> None:
    shown = await found("what does @App do?")
    assert shown.text.startswith('<symbol name="App" kind="class" path="src/app.py" lines="4-6 of 10">\n4\tclass App:')
    assert "9\tdef main" not in shown.text
    assert shown.paths == ("src/app.py",)
    assert (await found("@App.run() fails")).text.split("\n")[1] == "5\t    def run(self):"
    both = await found("@main")
    assert both.paths == ("src/app.py", "src/util/names.py")
    assert (await found("@Ap and @app")).text == ""
    many = {f"{n}.py": "def go(): pass\n" for n in range(9)}
    assert (await found("@go", many)).text.endswith("@go: 6 more places define it.")


async def test_a_symbol_is_read_as_the_file_is_now() -> None:
    workspace = MemoryWorkspace({**FILES, "src/app.py": "\n" * 3 + "class App: # changed\n"})
    assert "4\tclass App: # changed" in (await found("@App", workspace=workspace)).text
    del workspace.files["src/app.py"]
    assert (await found("@App", workspace=workspace)) == Mentioned()


async def test_the_users_view() -> None:
    files = ("src/app.py", "Makefile")
    assert (await found("@open")).text == "@open: no file is open."
    assert (await found("@open files", open_files=files)).paths == files
    assert (await found("@selection")).text == "@selection: nothing is selected."
    assert (await found("@selection", selection="x")) == Mentioned()
    workspace = MemoryWorkspace(FILES)
    workspace.found = [Problem("Makefile", 1, "no tab")]
    for words in ("@diagnostics", "@Problems를 고쳐줘"):
        text = (await found(words, workspace=workspace)).text
        assert text.startswith("<problems>\nMakefile:1:1: error: no tab\n")


async def test_items_stand_in_the_order_of_the_words_each_once() -> None:
    shown = await found("@Makefile, @src/app.py, @Makefile and @./src/app.py:1-2 and @App")
    assert [line for line in shown.text.split("\n") if line.startswith("<") and not line.startswith("</")] == [
        '<file path="Makefile">',
        '<file path="src/app.py">',
        '<file path="src/app.py" lines="1-2 of 10">',
        '<symbol name="App" kind="class" path="src/app.py" lines="4-6 of 10">',
    ]
    assert shown.paths == ("Makefile", "src/app.py")


async def test_long_files_are_cut_and_the_way_on_is_told() -> None:
    big = "".join(f"line {number}\n" for number in range(1, 100_000))
    shown = (await found("@big.txt", {"big.txt": big})).text
    assert len(shown) <= MAX_ITEM
    last = int(shown.split("\n")[-3].split("\t")[0])
    assert shown.split("\n")[0] == f'<file path="big.txt" lines="1-{last} of 99999">'
    assert shown.endswith(f"[cut: read_file goes on with offset {last + 1}]\n</file>")
    wide = (await found("@w.txt", {"w.txt": "w" * 100_000})).text
    assert len(wide) < 2000
    assert "(99000 more characters)" in wide


async def test_all_items_together_are_bounded() -> None:
    files = {f"{n}.txt": f"{n}\n" * 3000 for n in range(40)}
    shown = await found(" ".join(f"@{n}.txt" for n in range(40)), files)
    assert len(shown.text) < MAX_ALL + 40 * 60
    assert "[29.txt has no room here: read it]" in shown.text
    assert "30.txt" not in shown.text
    assert "has no room here" in (await found("@1.txt", files, budget=0)).text


async def test_binary_files_and_links_out_are_not_shown(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("the key\n")
    root = tmp_path / "in"
    root.mkdir()
    (root / "image.png").write_bytes(b"\0")
    (root / "link.txt").symlink_to(tmp_path / "secret.txt")
    (root / "empty.txt").write_text("")
    workspace = DiskWorkspace(Roots([root]))
    assert (await found("@image.png", workspace=workspace)).text == "@image.png: image.png is a binary file."
    assert "outside the workspace" in (await found("@link.txt", workspace=workspace)).text
    assert (await found("@empty.txt", workspace=workspace)).text == '<file path="empty.txt" lines="0 of 0"/>'


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from('@ab/.:-1(),`"\n 를。#L'), max_size=60))
@example("@" * 40)
def test_no_words_break_the_reading(words: str) -> None:
    for readings in spellings(words):
        assert 1 <= len(readings) <= 12
        assert all(place.name in words and 0 <= place.first <= place.last for place in readings)


def test_a_million_characters_are_read_in_one_go() -> None:
    for text in ("@" + "(" * 1_000_000, "@a를" * 300_000, "`" * 1_000_000, '@"' * 500_000, "@a:" * 300_000):
        assert len(spellings(text)) <= 30


async def test_no_index_means_no_symbols() -> None:
    assert await mentioned(Task("@App", "s", "t"), MemoryWorkspace(FILES), NoIndex()) == Mentioned()
