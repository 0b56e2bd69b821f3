"""The demo's side of the protocol, against a scripted daemon; it succeeds only when what it promises is so."""

from __future__ import annotations

import asyncio
import io
import shutil
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from agentic_server import cassette
from agentic_server.cassette import Exchange
from agentic_server.demo.document import Document, StaleEdit
from agentic_server.demo.run import CASSETTE, run_demo
from agentic_server.replay import ReplayServer

SCRIPT = Path(__file__).with_name("scripted_daemon.py")


@pytest.fixture
def tape(tmp_path: Path) -> Path:
    path = tmp_path / "cassette.jsonl"
    cassette.append(path, Exchange({"messages": [{"role": "user", "content": "x"}]}, {"content": "y"}))
    return path


async def run(tape: Path, how: str) -> tuple[int, str]:
    file = io.StringIO()
    code = await run_demo(Console(file=file, width=100), tape, daemon=(sys.executable, str(SCRIPT), how))
    for line in file.getvalue().splitlines():
        if line.startswith("What is left of it is in "):
            shutil.rmtree(line.removeprefix("What is left of it is in ").split(";")[0])
    return code, file.getvalue()


async def test_the_demo_shows_the_repair_and_checks_it_itself(tape: Path) -> None:
    code, shown = await run(tape, "good")
    assert code == 0, shown
    assert shown.startswith("The model's answers in this demo are recorded ones")
    for line in (
        "    +Before winter: oil the third step.",
        "    +TOP_FLOOR)",
        "  [editor] 1 edit(s) applied to the open keeper.py, now version 3, not saved",
        "  [editor] the demo saves keeper.py, so that the command sees it",
        "  [editor] Run the tests: the demo answers “Allow”",
        "✔ The tests pass.",
        "✔ The line that was not saved is still there.",
    ):
        assert f"{line}\n" in shown
    assert "Ran 6 tests" in shown


async def test_the_demo_can_be_recorded_anew_from_the_command_line(tmp_path: Path) -> None:
    out = tmp_path / "new.jsonl"
    async with ReplayServer(CASSETTE, pause=0) as server:
        command = (sys.executable, "-m", "agentic_server", "demo", "--record", server.url, "--out", str(out))
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
        assert await asyncio.wait_for(process.wait(), 90) == 0
    assert await run_demo(Console(file=io.StringIO()), out, pause=0) == 0


async def test_the_demo_as_it_is_shipped_succeeds() -> None:
    """The real daemon and the recording in the package; where this fails with 409s, record the demo again."""
    file = io.StringIO()
    code = await run_demo(Console(file=file, width=100), pause=0)
    assert code == 0, file.getvalue()
    assert "│ FAILED (failures=1)\n" in file.getvalue()
    assert "│ OK\n" in file.getvalue()


async def test_an_edit_of_an_old_version_is_refused(tape: Path) -> None:
    code, shown = await run(tape, "stale")
    assert code == 0, shown
    assert "  [editor] an edit of an older keeper.py than version 2 was refused\n" in shown


async def test_losing_what_the_user_typed_is_a_failure(tape: Path) -> None:
    code, shown = await run(tape, "rude")
    assert code == 1
    assert "✔ The tests pass.\n✘ This is not so: The line that was not saved is still there.\n" in shown


async def test_a_daemon_that_dies_is_a_failure_that_says_so(tape: Path) -> None:
    code, shown = await run(tape, "dead")
    assert code == 1
    assert "The demo broke: The daemon ended in the middle of the task." in shown


async def test_a_cassette_that_is_not_there_is_a_failure_that_says_so(tmp_path: Path) -> None:
    code, shown = await run(tmp_path / "nothing.jsonl", "good")
    assert code == 1
    assert "The recording cannot be read" in shown
    assert "nothing.jsonl" in shown


text = st.text(alphabet=st.sampled_from("ab\n\ré😀\x0c\u2028"))


@settings(max_examples=100)
@given(text, st.data())
def test_a_document_takes_utf_16_positions(content: str, data: st.DataObject) -> None:
    document = Document(Path("/lamp.py"), content)
    ends = [at for at in range(len(content) + 1) if content[at - 1 : at + 1] != "\r\n"]
    offset = data.draw(st.sampled_from(ends))
    assert document.offset(document.position(offset)) == offset


def test_a_position_past_the_end_of_its_line_is_the_end_of_the_line() -> None:
    document = Document(Path("/lamp.py"), "😀b\r\nc")
    assert document.position(2) == {"line": 0, "character": 3}
    assert document.offset({"line": 0, "character": 99}) == 2
    assert document.offset({"line": 9, "character": 0}) == 5


def test_edits_of_one_version_are_applied_together_and_only_once() -> None:
    document = Document(Path("/lamp.py"), "a\nb\n", version=4)
    edits = [
        {"range": {"start": {"line": line, "character": 0}, "end": {"line": line, "character": 1}}, "newText": new}
        for line, new in ((0, "long"), (1, "B"))
    ]
    document.apply(edits, 4)
    assert (document.text, document.version) == ("long\nB\n", 5)
    with pytest.raises(StaleEdit, match="for version 4"):
        document.apply(edits, 4)
    assert document.text == "long\nB\n"
