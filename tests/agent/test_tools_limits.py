"""What the tools give where the window leaves little room: less, and how to read on."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from toolbench import Bench

LINES = "".join(f"    value_{n} = compute(value_{n - 1})\n" for n in range(1, 401))


def bench(chars: int, files: dict[str, str] | None = None, printed: str = "") -> Bench:
    made = Bench(files or {"a.py": LINES}, mode="auto", commands={"make": (1, printed)}, answers=["allow_once"])
    made.context = replace(made.context, max_chars=chars)
    return made


@pytest.mark.parametrize("chars", [600, 1500, 6000])
async def test_a_file_is_read_page_by_page_as_the_pages_say(chars: int) -> None:
    made, offset, read = bench(chars), 1, list[str]()
    while True:
        text = (await made.call("read_file", {"path": "a.py", "offset": offset})).text
        assert len(text) <= chars
        read += re.findall(r"^\d+\t(.*)$", text, re.MULTILINE)
        more = re.search(r"Read on with offset (\d+)\.", text)
        if more is None:
            break
        offset = int(more.group(1))
    assert "\n".join(read) + "\n" == LINES


async def test_one_long_line_is_cut_and_says_how_much_is_missing() -> None:
    text = (await bench(600, {"a.txt": "x" * 5000 + "\nnext\n"}).call("read_file", {"path": "a.txt"})).text
    assert len(text) <= 600
    assert re.search(r"… \(\d+ more characters\)\n\[Lines 1 to 1 of 2. Read on with offset 2.\]$", text)


async def test_matches_that_find_no_room_are_told_of() -> None:
    text = (await bench(600).call("search_text", {"pattern": "value"})).text
    shown = [line for line in text.splitlines() if line.startswith("a.py:")]
    assert len(text) <= 600
    assert text.endswith(f"[More than {len(shown)} lines match: narrow the pattern or give a glob.]")


async def test_a_command_keeps_its_beginning_and_its_end() -> None:
    printed = "".join(f"line {n}\n" for n in range(1, 1001))
    text = (await bench(1000, printed=printed).call("run_command", {"command": "make"})).text
    assert len(text) <= 1000
    assert text.startswith("line 1\n")
    assert text.endswith("line 1000\n[exit code 1]")
    found = re.search(r"characters left out after line (\d+);", text)
    assert found
    head = text.partition("\n[…")[0]
    assert head.count("\n") + 1 == int(found.group(1))


async def test_whatever_a_tool_gives_is_cut_at_the_limit() -> None:
    made = bench(600, {f"{'folder' * 30}/{n}.py": "" for n in range(100)})
    result = await made.call("find_files", {"pattern": "*.py"})
    assert len(result.text) <= 700
    assert "characters left out" in result.text
