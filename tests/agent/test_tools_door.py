"""The door for tool calls: repaired arguments, refusals, and events that are closed on every path."""

import asyncio
import json

import pytest
from toolbench import Bench

from agentic.ports.asker import Proposal, Question, Reply, Verdict
from agentic.tools.registry import TOOLS, tool_specs
from agentic.tools.repair import repair


def test_specs_are_small_and_stable() -> None:
    names = [spec["function"]["name"] for spec in tool_specs()]
    assert names == list(TOOLS) == [
        "read_file", "list_files", "find_files", "search_text", "search_code", "problems",
        "edit_file", "write_file", "run_command", "ask_user", "update_plan", "delegate",
    ]  # fmt: skip
    assert tool_specs() is tool_specs()
    assert len(json.dumps(tool_specs()).encode()) / 4 <= 1300
    assert "$ref" not in json.dumps(tool_specs())


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('{"path": "a", "old": "b", "new": "c"}', {"path": "a", "old": "b", "new": "c"}),
        ('{"filePath": "a", "oldString": "b", "newString": "c"}', {"path": "a", "old": "b", "new": "c"}),
        ('```json\n{"path": "a",}\n```', {"path": "a"}),
        ('{"edits": [{"search": ",}", "replace": "x",},]}', {"edits": [{"old": ",}", "new": "x"}]}),
        ('{"arguments": {"file": "a"}}', {"path": "a"}),
        ('{"input": "{\\"path\\": \\"a\\"}"}', {"path": "a"}),
        ('"{\\"path\\": \\"a\\"}"', {"path": "a"}),
        ('{"path": "a", "old": "x\ny", "new": ""}', {"path": "a", "old": "x\ny", "new": ""}),
        ('{"edits": "[{\\"old\\": \\"b\\", \\"new\\": \\"c\\"}]"}', {"edits": [{"old": "b", "new": "c"}]}),
        ('{"path": "a", "edits": {"old": "b", "new": "c"}}', {"path": "a", "edits": [{"old": "b", "new": "c"}]}),
        ("", {}),
    ],
)  # fmt: skip
def test_repairs_what_can_be_read_in_one_way(text: str, wanted: object) -> None:
    assert repair(text, {"path", "old", "new", "edits", "replace_all"}) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('{"subtasks": ["write a test"]}', [{"name": "write a test", "text": "write a test"}]),
        ('{"subtasks": "[\\"a\\"]"}', [{"name": "a", "text": "a"}]),
        (
            '{"subtasks": [{"id": "web", "description": "Write it.", "dependencies": ["api"]}]}',
            [{"name": "web", "text": "Write it.", "depends_on": ["api"]}],
        ),
    ],
)
def test_parts_are_read_as_they_are_meant(text: str, wanted: object) -> None:
    assert repair(text, {"subtasks"}) == {"subtasks": wanted}


async def test_a_plan_of_plain_texts_is_a_plan() -> None:
    bench = Bench({})
    assert (await bench.call("update_plan", '{"steps": ["Look", "Mend"]}')).code == ""


@pytest.mark.parametrize(
    ("name", "arguments", "code", "words"),
    [
        ("nope", "{}", "unknown_tool", "read_file, list_files"),
        ("read_file", "{not json", "bad_arguments", "line 1, column 2"),
        ("read_file", '{"path": "a', "bad_arguments", "JSON"),
        ("edit_file", '{"path": "a", "old": "x", "new": "y"', "bad_arguments", "cut off"),
        ("read_file", "[1]", "bad_arguments", "Send one JSON object"),
        ("read_file", "{}", "bad_arguments", "missing required field `path`"),
        ("read_file", '{"path": 5}', "bad_arguments", "path, offset (optional)"),
        ("read_file", '{"path": "\\ud800"}', "bad_arguments", "half a character"),
        ("read_file", "[" * 100_000, "bad_arguments", "not JSON"),
        ("read_file", '{"path": "../etc"}', "outside_workspace", "inside"),
        ("read_file", '{"path": "dir"}', "not_a_file", "List it"),
        ("read_file", '{"path": "other/main.py"}', "not_found", "Near names: dir/main.py."),
        ("list_files", '{"path": "none"}', "not_found", "List the folder above"),
        ("search_text", '{"pattern": "("}', "bad_arguments", "no regular expression"),
        ("edit_file", '{"path": "a.txt", "old": "one"}', "bad_arguments", "one is missing"),
        ("edit_file", '{"path": "b.txt", "old": "one", "new": "x"}', "not_found", "no file b.txt"),
        ("edit_file", '{"path": "a.txt", "old": "nine", "new": "x"}', "not_found", "`old` is not in a.txt"),
        (
            "edit_file",
            '{"path": "a.txt", "edits": [1]}',
            "bad_arguments",
            "edits (optional) (a list of objects with: old,",
        ),
        ("delegate", '{"subtasks": [{"name": "a"}]}', "bad_arguments", "with: name, text, depends_on (optional)"),
        ("write_file", '{"path": "a.txt", "content": "x"}', "stale", "Read it first"),
        ("run_command", '{"command": " "}', "bad_arguments", "empty"),
        ("run_command", '{"command": "```sh\\nls\\n```"}', "bad_arguments", "without the ```"),
    ],
)
async def test_refuses_with_a_next_step(name: str, arguments: str, code: str, words: str) -> None:
    bench = Bench({"a.txt": "one\n", "dir/main.py": "x\n"})
    before = dict(bench.workspace.files)
    result = await bench.call(name, arguments)
    assert result.code == code
    assert words in result.text
    assert bench.kinds == ["toolStarted", "toolFinished"]
    assert bench.transcript[-1] == {
        "kind": "toolFinished", "item": "call-1", "status": "failed", "text": result.text, "code": code,
    }  # fmt: skip
    assert bench.workspace.files == before


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("edit_file", {"path": "a.txt", "old": "one", "new": "two"}),
        ("write_file", {"path": "b.txt", "content": "x"}),
        ("run_command", {"command": "make clean"}),
    ],
)
async def test_plan_mode_changes_nothing(name: str, arguments: dict[str, str]) -> None:
    bench = Bench({"a.txt": "one\n"}, mode="plan")
    assert (await bench.call(name, arguments)).code == "plan_mode"
    assert bench.kinds == ["toolStarted", "toolFinished"]
    assert bench.workspace.files == {"a.txt": "one\n"}


async def test_started_tells_what_runs() -> None:
    bench = Bench({"a.txt": "one\ntwo\n"})
    result = await bench.call("read_file", '```\n{"filename": "a.txt", "limit": "1",}\n```')
    assert bench.transcript[0] == {
        "kind": "toolStarted",
        "item": "call-1",
        "tool": "read_file",
        "toolKind": "read",
        "title": "Read a.txt",
        "arguments": '{"path":"a.txt","limit":1}',
    }
    assert result.text == "1\tone\n[Lines 1 to 1 of 2. Read on with offset 2.]"


class BrokenAsker:
    """An asker whose client has gone wrong."""

    async def ask(self, question: Question) -> Reply:
        raise ConnectionError("the client is gone")

    async def review(self, proposal: Proposal) -> Verdict:
        raise ConnectionError("the client is gone")


class SilentAsker:
    """An asker who never answers; `asked` is set when the question is there."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def ask(self, question: Question) -> Reply:
        self.asked.set()
        await asyncio.Event().wait()
        raise AssertionError("nobody answers")

    async def review(self, proposal: Proposal) -> Verdict:
        self.asked.set()
        await asyncio.Event().wait()
        raise AssertionError("nobody answers")


async def test_what_breaks_is_closed_logged_and_told(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench({"a.txt": "one\n"}, asker=BrokenAsker())
    result = await bench.call("edit_file", {"path": "a.txt", "old": "one", "new": "two"})
    assert result.code == "internal"
    assert bench.kinds == ["toolStarted", "editProposed", "editResolved", "toolFinished"]
    assert bench.transcript[2]["outcome"] == "failed"
    assert "Traceback" in caplog.text
    command = Bench(asker=BrokenAsker())
    assert (await command.call("run_command", {"command": "make"})).code == "internal"
    assert command.kinds == ["toolStarted", "asked", "answered", "toolFinished"]
    assert command.transcript[2]["by"] == "client_error"
    assert bench.workspace.files == {"a.txt": "one\n"}


@pytest.mark.parametrize(
    ("name", "arguments", "kinds", "closed"),
    [
        ("edit_file", {"path": "a.txt", "old": "one", "new": "two"}, ["editProposed", "editResolved"], "outcome"),
        ("write_file", {"path": "b.txt", "content": "two"}, ["editProposed", "editResolved"], "outcome"),
        ("run_command", {"command": "make"}, ["asked", "answered"], "by"),
        ("ask_user", {"question": "Which?"}, ["asked", "answered"], "by"),
    ],
)
async def test_cancelled_while_a_person_thinks(
    name: str, arguments: dict[str, str], kinds: list[str], closed: str
) -> None:
    asker = SilentAsker()
    bench = Bench({"a.txt": "one\n"}, asker=asker)
    task = asyncio.create_task(bench.call(name, arguments))
    await asker.asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert bench.kinds == ["toolStarted", *kinds, "toolFinished"]
    assert bench.transcript[2][closed] == "cancelled"
    assert bench.transcript[3]["code"] == "cancelled"
    assert bench.workspace.files == {"a.txt": "one\n"}
    assert await bench.store.intents("s-1") == []


async def test_no_result_fills_the_window() -> None:
    bench = Bench({f"{'folder' * 60}/{number}.py": "" for number in range(200)})
    result = await bench.call("find_files", {"pattern": "*.py"})
    assert len(result.text) < bench.context.max_chars + 100
    assert result.text.endswith("99.py")


async def test_a_part_that_was_made_before_the_cancellation_is_told() -> None:
    """The user accepted the first of two hunks in their editor, typed on, and cancelled."""
    asker = SilentAsker()
    bench = Bench({"a.txt": "one\n\ntwo\n"}, asker=asker)
    edits = [{"old": "one", "new": "ONE"}, {"old": "two", "new": "TWO"}]
    calling = asyncio.create_task(bench.call("edit_file", {"path": "a.txt", "edits": edits}))
    await asker.asked.wait()
    bench.workspace.files["a.txt"] = "ONE\n\ntwo\ntyped\n"
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert [event["outcome"] for event in bench.transcript if event["kind"] == "editResolved"] == ["applied"]
