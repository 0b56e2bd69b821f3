"""Neovim with its own LSP client, set up as docs/neovim.md says: answers, proposals and questions."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.model_server import Reply
from support.neovim import REPLY, command, edit, results, stage, work

pytestmark = pytest.mark.editor

FILES = {"a.py": "one\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\n"}
TWO_HUNKS = ("edit_file", {"path": "a.py", "edits": [{"old": "two", "new": "TWO"}, {"old": "eight", "new": "EIGHT"}]})
DONE = Reply("Done.")


def test_a_greeting_is_answered_with_one_request_and_no_tool(tmp_path: Path):
    with stage(tmp_path, FILES, [Reply(REPLY + "Hello to you.")]) as (nvim, server):
        nvim.start("hello")
        assert nvim.finished() == "Hello to you."
        assert len(server.requests) == 1
        assert [value["kind"] for value in nvim.progress if value["kind"] != "report"] == ["begin", "end"]
        assert nvim.progress[0]["title"] == "Agentic: hello"
        assert len({value["token"] for value in nvim.progress}) == 1


def test_an_accepted_proposal_is_in_the_buffer_and_not_on_disk(tmp_path: Path):
    with stage(tmp_path, FILES, [work(edit("a.py", "two", "TWO")), DONE]) as (nvim, server):
        nvim.type("Gotyped, not saved<Esc>")
        typed = nvim.text
        nvim.start("make two loud")
        [(line, _, message)] = nvim.proposals()
        assert line == 1
        assert "-two\n+TWO" in message
        assert "-two\n+TWO" in nvim.hover(2)
        assert nvim.actions(2) == ["Agentic: accept this change", "Agentic: reject this change"]
        assert nvim.text == typed
        nvim.choose(2, "accept this")
        assert nvim.finished() == "Done."
        assert nvim.text == typed.replace("two", "TWO")
        assert (tmp_path / "workspace/a.py").read_text() == FILES["a.py"]
        [told] = results(server.requests[-1])
        assert told.startswith(
            "Changed a.py.\nIt stands in the editor, unsaved; before a command runs, the user is asked to save."
        )
        assert nvim.diagnostics == []
        nvim.type("u")
        assert nvim.text == typed


def test_a_rejected_proposal_changes_nothing(tmp_path: Path):
    with stage(tmp_path, FILES, [work(edit("a.py", "two", "TWO")), DONE]) as (nvim, server):
        nvim.start("make two loud")
        nvim.proposals()
        nvim.choose(2, "reject this")
        nvim.finished()
        assert nvim.text == FILES["a.py"]
        assert not nvim.lua("return vim.bo.modified")
        [told] = results(server.requests[-1])
        assert "The user rejected this edit" in told


def test_each_hunk_has_its_own_verdict(tmp_path: Path):
    with stage(tmp_path, FILES, [work(TWO_HUNKS), DONE]) as (nvim, server):
        nvim.start("make two and eight loud")
        assert [line for line, _, _ in nvim.proposals(2)] == [1, 7]
        assert nvim.actions(2) == [
            "Agentic: accept this change",
            "Agentic: reject this change",
            "Agentic: accept all 2 changes",
            "Agentic: reject all 2 changes",
        ]
        nvim.choose(8, "accept this")
        assert [line for line, _, _ in nvim.proposals(1)] == [1]
        nvim.choose(2, "reject this")
        nvim.finished()
        assert nvim.text == FILES["a.py"].replace("eight", "EIGHT")
        [told] = results(server.requests[-1])
        assert "The user rejected part 1 of 2" in told


def test_all_hunks_are_accepted_at_once(tmp_path: Path):
    with stage(tmp_path, FILES, [work(TWO_HUNKS), DONE]) as (nvim, _):
        nvim.start("make two and eight loud")
        nvim.proposals(2)
        nvim.choose(8, "accept all")
        nvim.finished()
        assert nvim.text == FILES["a.py"].replace("two", "TWO").replace("eight", "EIGHT")
        nvim.type("u")
        assert nvim.text == FILES["a.py"]


def test_typing_above_a_proposal_moves_it(tmp_path: Path):
    with stage(tmp_path, FILES, [work(edit("a.py", "two", "TWO")), DONE]) as (nvim, server):
        nvim.start("make two loud")
        nvim.proposals()
        nvim.type("ggOfirst<CR>second<Esc>")
        nvim.until(lambda: [line for line, _, _ in nvim.diagnostics] == [3], "the moved proposal")
        nvim.choose(4, "accept this")
        nvim.finished()
        assert nvim.text == "first\nsecond\n" + FILES["a.py"].replace("two", "TWO")
        [told] = results(server.requests[-1])
        assert "3\tone\n4\tTWO\n5\tthree" in told


def test_typing_inside_a_proposal_is_a_conflict_and_stays(tmp_path: Path):
    with stage(tmp_path, FILES, [work(edit("a.py", "two", "TWO")), DONE]) as (nvim, server):
        nvim.start("make two loud")
        nvim.proposals()
        nvim.type("jlrX")
        nvim.until(lambda: "conflicts" in nvim.proposals()[0][2], "the conflict")
        mine = nvim.text
        assert mine == FILES["a.py"].replace("two", "tXo")
        assert nvim.actions(2) == ["Agentic: reject this change"]
        hunk = nvim.lua("return vim.diagnostic.get(0)[1].user_data.lsp.code")
        verdict = {"itemId": hunk.rpartition("/")[0], "hunks": {hunk: "accept"}}
        assert nvim.execute("agentic.review", verdict) == {"accepted": True}
        nvim.finished()
        assert nvim.text == mine
        [told] = results(server.requests[-1])
        assert "was changed meanwhile, in the same place as this edit" in told
        assert nvim.diagnostics == []


@pytest.mark.parametrize("allowed", [True, False])
def test_a_command_is_asked_for(tmp_path: Path, allowed: bool):
    script = [work(command("echo $((40 + 2)) > ran; cat ran")), DONE]
    with stage(tmp_path, FILES, script, answers=["Allow" if allowed else "Reject"]) as (nvim, server):
        nvim.start("run it")
        nvim.finished()
        [question] = nvim.asked
        assert "Run this command?" in question
        assert "echo $((40 + 2)) > ran" in question
        [told] = results(server.requests[-1])
        assert told == "42\n[exit code 0]" if allowed else "The user did not allow this" in told
        assert (tmp_path / "workspace/ran").exists() is allowed


def test_a_question_with_options_is_answered(tmp_path: Path):
    asking = ("ask_user", {"question": "Which colour?", "options": ["red", "green"]})
    with stage(tmp_path, FILES, [work(asking), DONE], answers=["green"]) as (nvim, server):
        nvim.start("paint it")
        nvim.finished()
        assert "Which colour?" in nvim.asked[0]
        assert results(server.requests[-1]) == ["The user answered: green"]


def test_a_command_tells_of_text_that_is_not_saved(tmp_path: Path):
    script = [work(edit("a.py", "two", "TWO"), command("sed -n 2p a.py; touch ran")), DONE]
    with stage(tmp_path, FILES, script, "accept-edits", answers=["Allow"]) as (nvim, server):
        nvim.start("make two loud and run it")
        nvim.finished()
        assert "Not saved: a.py." in nvim.asked[0]
        told = results(server.requests[-1])[1]
        assert told.startswith("[The user has not saved a.py: this command saw the older text on disk.]\ntwo\n")


@pytest.mark.parametrize("allowed", [True, False])
def test_a_new_file_is_asked_for_and_written_to_disk(tmp_path: Path, allowed: bool):
    writing = ("write_file", {"path": "new/b.py", "content": "b = 1\n"})
    with stage(tmp_path, FILES, [work(writing), DONE], answers=["Apply" if allowed else "Reject"]) as (nvim, server):
        nvim.start("make b")
        nvim.finished()
        [question] = nvim.asked
        assert "Create new/b.py? (+1 -0)" in question
        [told] = results(server.requests[-1])
        assert told.startswith("Created new/b.py." if allowed else "The user rejected this edit"), told
        found = sorted(str(path.relative_to(tmp_path / "workspace")) for path in (tmp_path / "workspace").rglob("*"))
        assert found == (["a.py", "new", "new/b.py"] if allowed else ["a.py"])
        if allowed:
            assert (tmp_path / "workspace/new/b.py").read_bytes() == b"b = 1\n"


def test_a_closed_file_is_asked_for_and_written_to_disk(tmp_path: Path):
    files = {**FILES, "b.py": "two\n"}
    with stage(tmp_path, files, [work(edit("b.py", "two", "TWO")), DONE], answers=["Apply"]) as (nvim, _):
        nvim.start("make it loud")
        nvim.finished()
        assert "Change b.py? (+1 -1)" in nvim.asked[0]
        assert (tmp_path / "workspace/b.py").read_text() == "TWO\n"


def test_accept_edits_asks_for_no_edit(tmp_path: Path):
    with stage(tmp_path, FILES, [work(edit("a.py", "two", "TWO")), DONE], "accept-edits") as (nvim, server):
        nvim.start("make two loud")
        nvim.finished()
        assert nvim.text == FILES["a.py"].replace("two", "TWO")
        assert nvim.asked == []
        assert "unsaved; before a command" in results(server.requests[-1])[0]
        nvim.type("u")
        assert nvim.text == FILES["a.py"]


def test_plan_edits_nothing(tmp_path: Path):
    with stage(tmp_path, FILES, [work(edit("a.py", "two", "TWO")), DONE], "plan") as (nvim, server):
        nvim.start("make two loud", mode="auto")
        nvim.finished()
        assert nvim.text == FILES["a.py"]
        assert nvim.asked == []
        assert results(server.requests[-1])[0].startswith("edit_file is not run in plan mode.")


@pytest.mark.parametrize(
    ("before", "old", "after"),
    [
        pytest.param(b"one\r\ntwo\r\nthree\r\n", "one\ntwo", b"one\r\nTWO\r\nthree\r\n", id="crlf"),
        pytest.param(b"one\ntwo", "two", b"one\nTWO", id="no line feed at the end"),
        pytest.param(
            "a = '😋é'; one\ntwo # 😋\n".encode(), "one\ntwo", "a = '😋é'; one\nTWO # 😋\n".encode(), id="emoji"
        ),
        pytest.param("\ufeffone\ntwo\n".encode(), "two", "\ufeffone\nTWO\n".encode(), id="byte order mark"),
        pytest.param("one\x0c\u2028\ntwo\n".encode(), "two", "one\x0c\u2028\nTWO\n".encode(), id="odd separators"),
    ],
)
@pytest.mark.parametrize("mode", ["ask", "accept-edits"])
def test_what_was_edited_and_saved_has_the_bytes_it_should(
    tmp_path: Path, mode: str, before: bytes, old: str, after: bytes
):
    script = [work(edit("a.py", old, old.replace("two", "TWO"))), DONE]
    with stage(tmp_path, {"a.py": before}, script, mode) as (nvim, _):
        nvim.command("set nofixendofline")
        nvim.start("make two loud")
        if mode == "ask":
            nvim.proposals()
            nvim.choose(2, "accept this")
        nvim.finished()
        nvim.command("write")
        assert (tmp_path / "workspace/a.py").read_bytes() == after


def test_a_selection_is_counted_as_the_client_counts(tmp_path: Path):
    line = "a = '😋😋' + wanted + b\n"
    with stage(tmp_path, {"a.py": line}, [Reply(REPLY + "A word.")]) as (nvim, server):
        encoding = nvim.lua("return T.client().offset_encoding")
        unit = {"utf-8": ("utf-8", 1), "utf-16": ("utf-16-le", 2), "utf-32": ("utf-32-le", 4)}[encoding]
        before = len(line[: line.index("wanted")].encode(unit[0])) // unit[1]
        ends = {"start": {"line": 0, "character": before}, "end": {"line": 0, "character": before + len("wanted")}}
        nvim.start("what is it", selection={"uri": nvim.lua("return vim.uri_from_bufnr(0)"), "range": ends})
        nvim.finished()
        assert "a.py:1-1\nwanted\n" in server.requests[0]["messages"][-1]["content"]


def test_a_folder_that_is_added_between_two_tasks(tmp_path: Path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "b.py").write_text("two\n")
    edits = work(edit("other/b.py", "two", "TWO"), edit("workspace/a.py", "two", "TWO"))
    with stage(tmp_path, FILES, [Reply(REPLY + "Hello."), edits, DONE]) as (nvim, server):
        nvim.start("hello")
        nvim.finished()
        nvim.lua("vim.lsp.buf.add_workspace_folder(...)", str(other))
        nvim.open("../other/b.py")
        nvim.start("make two loud")
        nvim.proposals()
        nvim.choose(1, "accept this")
        nvim.open("a.py")
        nvim.proposals()
        nvim.choose(2, "accept this")
        nvim.finished(2)
        assert nvim.text == FILES["a.py"].replace("two", "TWO")
        assert [text.splitlines()[0] for text in results(server.requests[-1])] == [
            "Changed other/b.py.",
            "Changed workspace/a.py.",
        ]
