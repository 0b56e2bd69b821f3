"""Commands, questions, the plan, and reading with bounds."""

from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest
from toolbench import Bench

from agentic.errors import Refusal
from agentic.ports.workspace import Command, Exit, MemoryWorkspace, Output
from agentic.tools.run_command import MAX_CHARS, Printed


async def test_a_command_is_asked_for_run_and_told() -> None:
    bench = Bench(answers=["allow_once"], commands={"make": (2, "broken\n")})
    result = await bench.call("run_command", {"cmd": "make"})
    assert result.text == "broken\n[exit code 2]"
    assert result.code == ""
    assert bench.transcript[1:] == [
        {
            "kind": "asked",
            "question": "approval-1",
            "call": "call-1",
            "title": "Run this command?",
            "detail": "make",
            "options": [
                {"id": "allow_once", "label": "Allow", "kind": "allow_once"},
                {"id": "reject_once", "label": "Reject", "kind": "reject_once"},
            ],
            "freeText": False,
            "binding": "B",
        },
        {"kind": "answered", "question": "approval-1", "option": "allow_once", "by": "user", "text": ""},
        {"kind": "toolOutput", "item": "call-1", "stream": "stdout", "text": "broken\n"},
        {"kind": "toolFinished", "item": "call-1", "status": "completed", "text": result.text, "code": ""},
    ]
    [intent] = await bench.store.intents("s-1")
    assert (intent.kind, intent.target, intent.state) == ("command", "make", "done")


@pytest.mark.parametrize(("cwd", "told"), [(".", "make"), ("web/my app", "cd 'web/my app' && make")])
async def test_a_command_that_came_to_its_end_is_told_as_from_the_workspaces_folder(cwd: str, told: str) -> None:
    bench = Bench(answers=["allow_once"], commands={"make": (2, "broken\n")})
    result = await bench.call("run_command", {"command": "make", "cwd": cwd})
    assert (result.command, result.exit_code) == (told, 2)


@pytest.mark.parametrize("answer", ["reject_once", "sure", ""])
async def test_a_command_without_a_clear_yes_is_not_run(answer: str) -> None:
    bench = Bench(answers=[answer], commands={"make": (0, "ran")})
    result = await bench.call("run_command", {"command": "make"})
    assert result.code == "rejected"
    assert bench.kinds == ["toolStarted", "asked", "answered", "toolFinished"]
    assert await bench.store.intents("s-1") == []


class Slow(MemoryWorkspace):
    """Runs every command until its time limit, and keeps it."""

    def __init__(self) -> None:
        super().__init__({})
        self.ran: list[Command] = []

    async def run(self, command: Command) -> AsyncGenerator[Output | Exit | Refusal]:
        self.ran.append(command)
        yield Output("stdout", "started\n")
        yield Output("stderr", "warned")
        yield Exit(-9, timed_out=True)


@pytest.mark.parametrize(("seconds", "limit"), [({}, 120.0), ({"seconds": "5"}, 5.0), ({"seconds": 9999}, 600.0)])
async def test_a_command_has_a_time_limit(seconds: dict[str, object], limit: float) -> None:
    bench = Bench(answers=["allow_once"])
    slow = Slow()
    bench.context = replace(bench.context, workspace=slow)
    result = await bench.call("run_command", {"command": "make", **seconds})
    assert result.code == "timeout"
    assert result.text.startswith(f"started\nwarned\n[Killed: it ran longer than {limit:g} s.")
    assert slow.ran == [Command("make", ".", limit)]


def test_long_output_keeps_both_ends() -> None:
    printed = Printed()
    for number in range(5000):
        printed.add(f"{number:05}\n")
    assert printed.text.startswith("00000\n")
    assert printed.text.endswith("04999\n")
    assert f"[… {30_000 - MAX_CHARS} characters left out" in printed.text
    assert len(printed.text) < MAX_CHARS + 200
    short = Printed()
    short.add("x" * MAX_CHARS)
    assert short.text == "x" * MAX_CHARS


@pytest.mark.parametrize(
    ("answer", "text", "code"),
    [
        ("2", "The user answered: blue", ""),
        ("green, please", "The user answered: green, please", ""),
        ("", "No answer came, which permits nothing. Go on with your best judgement", "timeout"),
    ],
)
async def test_asks_the_user(answer: str, text: str, code: str) -> None:
    bench = Bench(answers=[answer])
    result = await bench.call("ask_user", {"question": "Which?", "options": ["red", "blue"]})
    assert result.text.startswith(text)
    assert result.code == code
    assert bench.kinds == ["toolStarted", "asked", "answered", "toolFinished"]
    assert bench.transcript[1]["freeText"]
    assert [option["label"] for option in bench.transcript[1]["options"]] == ["red", "blue"]


async def test_the_plan_is_kept_whole() -> None:
    bench = Bench()
    await bench.call("update_plan", {"steps": [{"text": "old"}]})
    result = await bench.call("update_plan", {"plan": [{"step": "read", "status": "completed"}, {"text": "edit"}]})
    assert result.text == "Plan updated: 1 of 2 steps completed."
    assert bench.transcript[4] == {
        "kind": "planUpdated",
        "steps": [{"text": "read", "status": "completed"}, {"text": "edit", "status": "pending"}],
    }
    assert [step.text for step in bench.plan] == ["read", "edit"]


async def test_reads_a_long_file_page_by_page() -> None:
    lines = [f"line {number}" for number in range(1, 2001)]
    bench = Bench({"a.txt": "\n".join(lines)})
    read: list[str] = []
    while len(read) < len(lines):
        text = (await bench.call("read_file", {"path": "a.txt", "offset": len(read) + 1})).text
        page = [line.split("\t")[1] for line in text.split("\n") if "\t" in line]
        assert 0 < len(page) <= 800
        read += page
    assert read == lines
    assert (await bench.call("read_file", {"path": "a.txt", "offset": 3000})).code == "bad_arguments"
    wide = Bench({"w.txt": ("x" * 30_000 + "\n") * 100})
    assert len((await wide.call("read_file", {"path": "w.txt"})).text) < 25_000


async def test_lists_finds_and_searches() -> None:
    bench = Bench({"a/one.py": "import os\n", "a/two.py": "x = 1\n", "b.txt": "import\n"})
    assert (await bench.call("list_files", {})).text == "a/\nb.txt (7 bytes)"
    assert (await bench.call("find_files", {"pattern": "*.py"})).text == "a/one.py\na/two.py"
    assert (await bench.call("search_text", {"query": "^import"})).text == "a/one.py:1: import os\nb.txt:1: import"
    assert (await bench.call("search_text", {"pattern": "nine"})).text == "Nothing matches nine."


async def test_many_results_are_bounded_and_say_so() -> None:
    bench = Bench({f"d/{number:03}.txt": "hit\n" for number in range(500)})
    found = (await bench.call("find_files", {"pattern": "*.txt"})).text
    assert found.endswith("[More than 200 files match: narrow the pattern.]")
    searched = (await bench.call("search_text", {"pattern": "hit"})).text
    assert searched.endswith("[More than 100 lines match: narrow the pattern or give a glob.]")
    listed = (await bench.call("list_files", {"path": "d"})).text
    assert listed.endswith("[Entries 1 to 400 of 500. Go on with offset 401.]")
    assert (await bench.call("list_files", {"path": "d", "offset": 401})).text.startswith("d/400.txt")
