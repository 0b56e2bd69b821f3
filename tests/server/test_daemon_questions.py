"""Questions and approvals: who answers, by what, and that anything but a clear yes is a no."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from support.daemon import PLAIN, Daemon, Model, call, edit, stage
from support.model_server import Reply
from support.raw_client import RawClient, ResponseError

pytestmark = pytest.mark.asyncio(loop_scope="module")
Staged = tuple[Daemon, Model]
DONE = Reply("Done.")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Staged]:
    async with stage(tmp_path_factory.mktemp("questions")) as staged:
        yield staged


@pytest_asyncio.fixture(loop_scope="module")
async def staged(running: Staged) -> Staged:
    running[0].forget()
    return running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plain_running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Staged]:
    async with stage(tmp_path_factory.mktemp("plain"), PLAIN) as staged:
        yield staged


@pytest_asyncio.fixture(loop_scope="module")
async def plain(plain_running: Staged) -> Staged:
    """A client that asked for nothing of ours."""
    plain_running[0].forget()
    return plain_running


def touch(name: str) -> Reply:
    return call("run_command", {"command": f"touch {name}"})


def fail(_params: Any) -> Any:
    raise ResponseError({"code": -32603, "message": "the editor broke"})


REFUSING: dict[str, Any] = {
    "no option": lambda _: {"option": ""},
    "an unknown option": lambda _: {"option": "yes"},
    "the label instead of the id": lambda _: {"option": "Allow"},
    "null": lambda _: None,
    "a list": lambda _: [],
    "a number": lambda _: {"option": 1},
    "an error": fail,
    "reject": lambda _: {"option": "reject_once"},
}


@pytest.mark.parametrize("answer", REFUSING)
async def test_anything_but_a_clear_yes_is_a_no(staged: Staged, answer: str) -> None:
    daemon, model = staged
    daemon.handlers["agentic/ask"] = REFUSING[answer]
    model.play(touch("no"), DONE)
    turn = await daemon.run("run it")
    assert (await turn.finished())["stopReason"] == "end_turn"
    assert turn.of("toolFinished")[0]["code"] == "rejected"
    assert not (daemon.workspace / "no").exists()
    resolved = daemon.received("agentic/approvalResolved")
    assert [r["questionId"] for r in resolved] == [turn.of("asked")[0]["question"]]
    assert resolved[0]["option"] != "allow_once"


async def test_a_yes_runs_the_command_once_and_the_next_one_is_asked_for_again(staged: Staged) -> None:
    daemon, model = staged
    daemon.handlers["agentic/ask"] = lambda _: {"option": "allow_once"}
    append = call("run_command", {"command": "echo x >> yes"})
    model.play(append, append, DONE)
    turn = await daemon.run("run it twice")
    await turn.finished()
    assert (daemon.workspace / "yes").read_text() == "x\nx\n"
    first, second = turn.of("asked")
    assert first["question"] != second["question"]
    assert first["binding"]
    asked = daemon.requests[-1]["params"]
    assert "echo x >> yes" in asked["detail"]
    assert [o["id"] for o in asked["options"]] == ["allow_once", "reject_once"]
    assert [r["by"] for r in daemon.received("agentic/approvalResolved")] == ["user", "user"]


async def test_respond_answers_what_was_asked_by_a_request_which_is_then_withdrawn(staged: Staged) -> None:
    daemon, model = staged
    daemon.handlers["agentic/ask"] = RawClient.SILENT
    model.play(call("ask_user", {"question": "Which?", "options": ["red", "blue"]}), DONE)
    turn = await daemon.run("ask")
    asked = await daemon.wait_asked("agentic/ask")
    assert await daemon.command("agentic.respond", {"questionId": "wrong", "option": "1"}) == {"accepted": False}
    answer = {"questionId": asked["params"]["questionId"], "option": "2", "text": "dark"}
    assert await daemon.command("agentic.respond", answer) == {"accepted": True}
    await turn.finished()
    assert model.results() == ["The user answered: blue; dark"]
    assert {"id": asked["id"]} in daemon.received("$/cancelRequest")
    assert await daemon.command("agentic.respond", answer) == {"accepted": False}
    assert daemon.received("agentic/approvalResolved")[0]["option"] == "2"


async def test_respond_with_an_unknown_option_is_a_no(staged: Staged) -> None:
    daemon, model = staged
    daemon.handlers["agentic/ask"] = RawClient.SILENT
    model.play(touch("unknown"), DONE)
    turn = await daemon.run("run it")
    asked = await daemon.wait_asked("agentic/ask")
    params = {"questionId": asked["params"]["questionId"], "option": "sure"}
    assert await daemon.command("agentic.respond", params) == {"accepted": True}
    await turn.finished()
    assert turn.of("toolFinished")[0]["code"] == "rejected"
    assert not (daemon.workspace / "unknown").exists()


async def test_the_late_answer_to_a_withdrawn_request_changes_nothing(staged: Staged) -> None:
    daemon, model = staged
    daemon.handlers["agentic/ask"] = RawClient.SILENT
    model.play(touch("late"), DONE)
    turn = await daemon.run("run it")
    asked = await daemon.wait_asked("agentic/ask")
    params = {"questionId": asked["params"]["questionId"], "option": "reject_once"}
    await daemon.command("agentic.respond", params)
    daemon.send({"jsonrpc": "2.0", "id": asked["id"], "result": {"option": "allow_once"}})
    await turn.finished()
    assert not (daemon.workspace / "late").exists()


async def test_hunks_are_kept_one_by_one_and_a_verdict_counts_once(staged: Staged) -> None:
    daemon, model = staged
    path = daemon.file("hunks.py", "".join(f"line {n}\n" for n in range(20)))
    edits = [{"old": "line 2\n", "new": "LINE 2\n"}, {"old": "line 15\n", "new": "LINE 15\n"}]
    model.play(call("edit_file", {"path": "hunks.py", "edits": edits}), DONE)
    turn = await daemon.run("edit")
    proposed = await turn.wait("editProposed")
    first, second = (hunk["id"] for hunk in proposed["hunks"])
    verdict = {"itemId": proposed["item"], "hunks": {first: "reject", second: {"amend": "line fifteen\n"}}}
    assert await daemon.command("agentic.review", verdict) == {"accepted": True}
    assert await daemon.command("agentic.review", verdict) == {"accepted": False}
    await turn.finished()
    assert turn.of("editResolved")[0]["hunks"] == {first: "reject", second: "amend"}
    assert "line 2\n" in path.read_text()
    assert "line fifteen\n" in path.read_text()
    assert "The user rejected part 1 of 2" in model.results()[0]


async def test_a_rejected_edit_leaves_the_file_and_the_model_is_told(staged: Staged) -> None:
    daemon, model = staged
    path = daemon.file("rejected.py", "a\n")
    model.play(edit("rejected.py", "a", "b"), DONE)
    turn = await daemon.run("edit")
    assert (await turn.review("reject"))["outcome"] == "rejected"
    assert (await turn.finished())["files"] == []
    assert path.read_text() == "a\n"
    assert "The user rejected this edit" in model.results()[0]


async def test_answers_to_what_was_never_asked_are_not_accepted(staged: Staged) -> None:
    daemon, _ = staged
    assert await daemon.command("agentic.respond", {"questionId": "q"}) == {"accepted": False}
    assert await daemon.command("agentic.review", {"itemId": "e", "hunks": {}}) == {"accepted": False}


async def test_a_plain_client_gets_no_method_of_ours_and_answers_a_message(plain: Staged) -> None:
    daemon, model = plain
    daemon.handlers["window/showMessageRequest"] = lambda params: params["actions"][0]
    daemon.file("plain.py", "a\n")
    model.play(edit("plain.py", "a", "b"), touch("plain"), Reply("All done."))
    await daemon.run("do both")
    shown = await daemon.wait_for_method("window/showMessage")
    assert shown["params"]["message"] == "All done."
    assert (daemon.workspace / "plain.py").read_text() == "b\n"
    assert (daemon.workspace / "plain").exists()
    questions = [r["params"] for r in daemon.requests if r["method"] == "window/showMessageRequest"]
    assert [[a["title"] for a in q["actions"]] for q in questions] == [["Apply", "Reject"], ["Allow", "Reject"]]
    methods = {m["method"] for m in daemon.notifications + daemon.requests}
    assert not [method for method in methods if method.startswith("agentic/")]
    ended = await daemon.wait_for(lambda m: m["method"] == "$/progress" and m["params"]["value"]["kind"] == "end")
    assert ended["params"]["value"] == {"kind": "end", "message": "end_turn: All done."}


PLAIN_REFUSING: dict[str, Any] = {
    "dismissed": lambda _: None,
    "a title that is none": lambda _: {"title": "Allow always"},
    "an error": fail,
    "nonsense": lambda _: "Allow",
}


@pytest.mark.parametrize("answer", PLAIN_REFUSING)
async def test_a_plain_clients_unclear_answer_is_a_no(plain: Staged, answer: str) -> None:
    daemon, model = plain
    daemon.handlers["window/showMessageRequest"] = PLAIN_REFUSING[answer]
    path = daemon.file("unclear.py", "a\n")
    model.play(edit("unclear.py", "a", "b"), touch("unclear"), DONE)
    await daemon.run("do both")
    await daemon.wait_for_method("window/showMessage")
    assert path.read_text() == "a\n"
    assert not (daemon.workspace / "unclear").exists()
    told = [json.dumps(result) for result in model.results()]
    assert all("rejected" in one or "approved" in one or "not allow" in one for one in told), told


async def test_attaching_without_having_asked_for_events_says_so(plain: Staged) -> None:
    daemon, model = plain
    model.play(DONE)
    ids = await daemon.command("agentic.runTask", {"task": "hello"})
    await daemon.wait_for_method("window/showMessage")
    with pytest.raises(ResponseError, match=r"experimental\.agentic"):
        await daemon.request("agentic/attach", {"sessionId": ids["sessionId"]})
