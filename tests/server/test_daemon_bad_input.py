"""What should not come, comes: each gives an answer that names the cause, and the daemon goes on working."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from support.daemon import Daemon, Model, call, stage
from support.model_server import Reply, delta, events, html, only, recorded, status, stream
from support.raw_client import ResponseError
from support.runs import reply, work

pytestmark = pytest.mark.asyncio(loop_scope="module")
Staged = tuple[Daemon, Model]
SHORT = {"connect": 1, "firstToken": 0.3, "silence": 0.3, "total": 5}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Staged]:
    options = {"mode": "accept-edits", "deadlines": SHORT, "retries": 1}
    async with stage(tmp_path_factory.mktemp("bad"), options=options) as staged:
        yield staged


@pytest_asyncio.fixture(loop_scope="module")
async def staged(running: Staged) -> AsyncIterator[Staged]:
    """The shared daemon; after each test it must do one more task well."""
    daemon, model = running
    daemon.forget()
    yield running
    path = daemon.file("good.py", "a\n")
    model.play(call("edit_file", {"path": "good.py", "old": "a", "new": "b"}, work()), Reply("Good."))
    finished = await (await daemon.run("a good task")).finished()
    assert (finished["stopReason"], finished["summary"]) == ("end_turn", "Good.")
    assert path.read_text() == "b\n"


NO_MESSAGES = [
    (b"{nonsense", -32700),
    (b"\xff\xfe", -32700),
    (b"[]", -32600),
    (b'{"id":"x","method":"shutdown"}', -32600),
]


@pytest.mark.parametrize(("body", "code"), NO_MESSAGES)
async def test_what_is_no_message_is_answered_with_an_error(staged: Staged, body: bytes, code: int) -> None:
    daemon, _ = staged
    daemon.raw(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
    answer = await daemon.wait_for_response(lambda message: "error" in message)
    assert answer["error"]["code"] == code


WRONG_CALLS: list[tuple[str, list[Any], str]] = [
    ("agentic.fly", [{}], "no command 'agentic.fly'"),
    ("agentic.runTask", [], "`task` is missing"),
    ("agentic.runTask", ["do it"], "takes one JSON object"),
    ("agentic.runTask", [{"task": "x"}, {}], "takes one JSON object"),
    ("agentic.runTask", [None], "takes one JSON object"),
    ("agentic.runTask", [{"task": 7}], "`task`"),
    ("agentic.runTask", [{"task": ""}], "`task`"),
    ("agentic.runTask", [{"task": " \n\t"}], "`task`"),
    ("agentic.runTask", [{"task": "x" * 1_000_001}], "1,000,000"),
    ("agentic.runTask", [{"task": "x", "mode": "yolo"}], "`mode`"),
    ("agentic.runTask", [{"task": "x", "complexity": 2}], "`complexity`"),
    ("agentic.runTask", [{"task": "x", "speed": 2}], "`speed` is not known"),
    ("agentic.runTask", [{"task": "x", "openFiles": "a"}], "`openFiles`"),
    ("agentic.runTask", [{"task": "x", "selection": {"uri": "file:///none", "range": {}}}], "`selection.range.start`"),
    ("agentic.steer", [{"sessionId": "s"}], "`text` is missing"),
    ("agentic.respond", [{"questionId": ""}], "`questionId`"),
    ("agentic.review", [{"itemId": "i", "hunks": {"h": "maybe"}}], "`hunks"),
    ("agentic.sessions", [{"limit": 0}], "`limit`"),
]


@pytest.mark.parametrize(("command", "arguments", "told"), WRONG_CALLS)
async def test_a_wrong_call_is_refused_by_the_name_of_what_is_wrong(
    staged: Staged, command: str, arguments: list[Any], told: str
) -> None:
    daemon, _ = staged
    with pytest.raises(ResponseError) as error:
        await daemon.command(command, *arguments)
    assert told in error.value.message
    assert error.value.code == -32602


async def test_a_task_of_a_million_characters_is_taken(staged: Staged) -> None:
    daemon, model = staged
    model.play(Reply(reply("Long.")))
    turn = await daemon.run("x" * 1_000_000)
    finished = await turn.finished()
    assert finished["stopReason"] == "context_exhausted"
    assert "window of 8192 tokens" in finished["summary"]
    assert turn.of("errorRaised")[0]["code"] == "context_exhausted"


async def test_half_a_character_in_a_task_is_no_end_of_anything(staged: Staged) -> None:
    daemon, model = staged
    model.play(Reply(reply("Odd.")))
    turn = await daemon.run("half \ud800 a character")
    assert (await turn.finished())["summary"] == "Odd."


async def test_half_a_character_in_a_document_is_told_to_the_model_or_read(staged: Staged) -> None:
    daemon, model = staged
    daemon.open("half.txt", "half \ud800 a character\n")
    model.play(call("read_file", {"path": "half.txt"}, work()), Reply("Odd."))
    turn = await daemon.run("read it")
    assert (await turn.finished())["summary"] == "Odd."
    assert "a character" in turn.of("toolFinished")[0]["text"] or turn.of("toolFinished")[0]["code"]


async def refusal(staged: Staged, *calls: tuple[str, Any]) -> list[str]:
    """The codes of what came of these calls."""
    daemon, model = staged
    model.play(Reply(work(), calls=calls), Reply("Done."))
    turn = await daemon.run("try it")
    assert (await turn.finished())["stopReason"] == "end_turn"
    results = turn.of("toolFinished")
    assert [result["text"] for result in results] == model.results()
    assert all(event["outcome"] != "applied" for event in turn.of("editResolved"))
    return [result["code"] for result in results]


@pytest.mark.parametrize("content", [b"a\x00b", b"\xff\xfe\xfa", "é".encode("latin-1")])
async def test_a_file_that_is_no_text_is_refused_and_never_rewritten(staged: Staged, content: bytes) -> None:
    path = staged[0].file("data.bin", content)
    edit = {"path": "data.bin", "old": "a", "new": "b"}
    codes = await refusal(staged, ("read_file", {"path": "data.bin"}), ("edit_file", edit))
    assert codes == ["not_text", "not_text"]
    assert path.read_bytes() == content


async def test_what_lies_outside_the_workspace_is_refused(staged: Staged) -> None:
    daemon, _ = staged
    outside = daemon.workspace.parent / "outside.txt"
    outside.write_text("mine\n")
    link = daemon.workspace / "link.txt"
    link.symlink_to(outside)
    folder = daemon.workspace / "folder"
    os.symlink(daemon.workspace.parent, folder)
    try:
        for path in (str(outside), "../outside.txt", "link.txt", "folder/outside.txt"):
            edit = {"path": path, "old": "mine", "new": "yours"}
            write = {"path": path, "content": "yours"}
            codes = await refusal(staged, ("read_file", {"path": path}), ("edit_file", edit), ("write_file", write))
            assert codes == ["outside_workspace"] * 3, path
        assert outside.read_text() == "mine\n"
    finally:
        link.unlink()
        folder.unlink()


async def test_calls_that_cannot_be_understood_are_refused_with_a_way_on(staged: Staged) -> None:
    calls = [
        ("teleport", {"to": "mars"}),
        ("read_file", "this is not JSON"),
        ("read_file", "[1, 2]"),
        ("read_file", {"file": 3}),
        ("edit_file", {"path": "x", "old": "a"}),
        ("read_file", {"path": ""}),
        ("run_command", {"command": "  "}),
    ]
    codes = await refusal(staged, *calls)
    assert codes[0] == "unknown_tool"
    assert set(codes[1:5]) == {"bad_arguments"}
    assert all(codes)


async def test_the_same_call_for_ever_is_ended(staged: Staged) -> None:
    daemon, model = staged
    daemon.file("loop.txt", "round\n")

    def again(request: Any) -> Reply:
        return Reply("Round and round.") if len(model.requests) > 30 else call("read_file", {"path": "loop.txt"})

    model.play_by(again)
    turn = await daemon.run("loop")
    finished = await turn.finished()
    assert finished["stopReason"] == "loop"
    assert finished["metrics"]["toolCalls"] == 5
    assert turn.of("loopDetected")
    assert "the same call" in finished["summary"]


async def test_empty_answers_for_ever_are_ended(staged: Staged) -> None:
    daemon, model = staged
    model.play_by(lambda _: Reply(""))
    turn = await daemon.run("say something about the file a.py")
    finished = await turn.finished()
    assert finished["stopReason"] == "error"
    assert len(model.requests) < 6
    assert finished["summary"], "a person must be told why"


GARBAGE: dict[str, tuple[Any, str]] = {
    "a web page": (html(), "stream_broken"),
    "a cut stream": (only(Reply(work("I begin but")), 4, "cut"), "stream_broken"),
    "an end without a finish reason": (events(delta(content="I begin")), "stream_broken"),
    "no JSON": (stream([b"data: {{{{\n\n"]), "stream_broken"),
    "another shape": (stream([b'data: {"choices": 7}\n\n', b"data: [DONE]\n\n"]), "stream_broken"),
    "bytes that are no text": (stream([b"data: \xff\xfe\xfa\n\n"]), "stream_broken"),
    "no HTTP": (recorded(b"SSH-2.0-OpenSSH_9.6\r\n"), ""),
    "silence": (stream([], "stall"), "deadline_exceeded"),
    "keep-alive comments for ever": (stream([], "drip"), "deadline_exceeded"),
    "a text and then comments for ever": (only(Reply(work("I begin but")), 4, "drip"), "deadline_exceeded"),
    "a refusal": (status(400, {"error": {"message": "this template takes no tools"}}), "request_refused"),
    "a wrong key": (status(401, {"error": {"message": "no such key"}}), "request_refused"),
}


@pytest.mark.parametrize("answer", GARBAGE)
async def test_a_server_that_answers_garbage_ends_the_turn_with_its_name(staged: Staged, answer: str) -> None:
    daemon, model = staged
    play, code = GARBAGE[answer]
    model.play_by(lambda _: play)
    turn = await daemon.run("work on a.py")
    finished = await turn.finished()
    assert (finished["stopReason"], finished["files"]) == ("error", [])
    [error] = turn.of("errorRaised")
    assert error["code"] == code or not code
    assert error["hint"]
    assert model.url.removesuffix("/v1") in error["message"] or "The server" in error["message"]
    assert error["message"] in finished["summary"]
    shown = {event["item"] for event in turn.of("textDelta")}
    assert shown == {event["item"] for event in turn.of("itemWithdrawn")}


async def test_a_call_from_a_cut_stream_is_never_run(staged: Staged) -> None:
    daemon, model = staged
    path = daemon.file("cut.py", "a\n")
    whole = Reply(work(), calls=[("edit_file", {"path": "cut.py", "old": "a", "new": "b"})])
    before_its_end = 1 + len(work().split(" ")) + 3
    model.play(only(whole, before_its_end, "cut"), Reply(reply("I did not.")))
    turn = await daemon.run("edit cut.py")
    finished = await turn.finished()
    assert turn.of("failover")
    assert turn.of("toolStarted") == []
    assert path.read_text() == "a\n"
    assert finished["summary"] == "I did not."


async def test_the_error_of_a_server_that_is_gone_names_its_address(staged: Staged) -> None:
    daemon, model = staged
    daemon.notify("workspace/didChangeConfiguration", {"settings": {}})
    models, model.server.models = model.server.models, status(404, {"detail": "Not Found"})
    try:
        turn = await daemon.run("work")
        finished = await turn.finished()
    finally:
        model.server.models = models
    assert turn.of("errorRaised")[0]["code"] == "endpoint_unreachable"
    assert model.url in finished["summary"]


async def test_broken_framing_ends_the_process_with_a_message(tmp_path: Any) -> None:
    async with stage(tmp_path) as (daemon, _):
        daemon.raw(b"Content-Length: nonsense\r\n\r\n{}")
        assert await daemon.exit_code() == 1
        assert "cannot read the client's messages any more" in daemon.stderr
