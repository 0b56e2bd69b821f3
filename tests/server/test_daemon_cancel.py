"""Cancelling: by command, by the progress, by the request; whatever the turn is doing, it ends once, as cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from support.daemon import Daemon, Model, Turn, call, edit, gone, named, slowly, stage
from support.model_server import Reply, stream
from support.raw_client import RawClient
from support.runs import reply, work

pytestmark = pytest.mark.asyncio(loop_scope="module")
Staged = tuple[Daemon, Model]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Staged]:
    async with stage(tmp_path_factory.mktemp("cancel")) as staged:
        yield staged


@pytest_asyncio.fixture(loop_scope="module")
async def staged(running: Staged) -> AsyncIterator[Staged]:
    """The shared daemon; after each test it must do one more task well."""
    daemon, model = running
    daemon.forget()
    yield running
    model.play(Reply(reply("Still here.")))
    assert (await (await daemon.run("hello")).finished())["summary"] == "Still here."


def cancelled(turn: Turn) -> bool:
    return [event["stopReason"] for event in turn.of("turnFinished")] == ["cancelled"]


async def streaming(daemon: Daemon, model: Model, **request: Any) -> tuple[Turn, Any]:
    """A turn whose model has begun to speak, and the id of the request that began it."""
    model.play(slowly(work(""), "I begin "))
    params = {"command": "agentic.runTask", "arguments": [{"task": "work"}], **request}
    message_id, future = daemon.ask("workspace/executeCommand", params)
    turn = Turn(daemon, (await future)["result"])
    await turn.wait("textDelta")
    return turn, message_id


async def test_cancel_by_command_while_the_model_speaks_closes_its_connection(staged: Staged) -> None:
    daemon, model = staged
    turn, _ = await streaming(daemon, model)
    await turn.cancel()
    assert cancelled(turn)
    await model.server.client_closed.wait()
    assert turn.of("textFinished")[0]["text"] == "I begin "


async def test_cancel_by_the_progress_that_the_server_made(staged: Staged) -> None:
    daemon, model = staged
    turn, _ = await streaming(daemon, model)
    token = (await daemon.wait_asked("window/workDoneProgress/create"))["params"]["token"]
    daemon.notify("window/workDoneProgress/cancel", {"token": token})
    await turn.finished()
    assert cancelled(turn)
    await model.server.client_closed.wait()


async def test_cancel_by_the_progress_of_the_client(staged: Staged) -> None:
    daemon, model = staged
    turn, _ = await streaming(daemon, model, workDoneToken=77)
    daemon.notify("window/workDoneProgress/cancel", {"token": 77})
    await turn.finished()
    assert cancelled(turn)


async def test_cancel_by_the_request_that_began_the_turn(staged: Staged) -> None:
    daemon, model = staged
    turn, message_id = await streaming(daemon, model)
    daemon.notify("$/cancelRequest", {"id": message_id})
    await turn.finished()
    assert cancelled(turn)
    await model.server.client_closed.wait()


async def test_what_does_not_name_a_running_turn_cancels_nothing(staged: Staged) -> None:
    daemon, model = staged
    turn, _ = await streaming(daemon, model)
    daemon.notify("window/workDoneProgress/cancel", {"token": "nobody's"})
    daemon.notify("$/cancelRequest", {"id": "nobody's"})
    assert await daemon.command("agentic.cancel", {"turnId": "t-none"}) == {"cancelled": False}
    assert await daemon.command("agentic.cancel", {"sessionId": "s-none"}) == {"cancelled": False}
    assert not turn.of("turnFinished")
    await turn.cancel()


async def test_cancelling_twice_is_cancelling_once(staged: Staged) -> None:
    daemon, model = staged
    turn, _ = await streaming(daemon, model)
    params = {"command": "agentic.cancel", "arguments": [{"sessionId": turn.session}]}
    answers = [daemon.ask("workspace/executeCommand", params)[1] for _ in range(2)]
    await turn.finished()
    assert (await answers[0])["result"] == {"cancelled": True}
    await answers[1]
    assert cancelled(turn)
    assert await daemon.command("agentic.cancel", {"sessionId": turn.session}) == {"cancelled": False}


async def test_cancel_without_ids_cancels_all(staged: Staged) -> None:
    daemon, model = staged
    model.play(slowly(work(""), "one "), slowly(work(""), "two "))
    turns = [await daemon.run("one"), await daemon.run("two")]
    for turn in turns:
        await turn.wait("textDelta")
    assert await daemon.command("agentic.cancel", {}) == {"cancelled": True}
    for turn in turns:
        await turn.finished()
        assert cancelled(turn)


async def test_cancel_at_once_ends_the_turn_before_the_model_is_asked(staged: Staged) -> None:
    daemon, model = staged
    model.play()
    params = {"command": "agentic.runTask", "arguments": [{"task": "work"}]}
    _, began = daemon.ask("workspace/executeCommand", params)
    daemon.ask("workspace/executeCommand", {"command": "agentic.cancel", "arguments": [{}]})
    turn = Turn(daemon, (await began)["result"])
    if not turn.of("turnFinished"):
        await daemon.command("agentic.cancel", {"turnId": turn.id})
    await turn.finished()
    assert cancelled(turn)
    assert model.requests == []


async def test_cancel_while_the_server_is_looked_for(staged: Staged) -> None:
    daemon, model = staged
    daemon.notify("workspace/didChangeConfiguration", {"settings": {}})
    models, model.server.models = model.server.models, stream([], "stall")
    try:
        turn = await daemon.run("work")
        await turn.wait("turnStarted")
        await turn.cancel()
    finally:
        model.server.models = models
    assert cancelled(turn)
    assert turn.of("errorRaised") == []


async def test_cancel_while_a_command_runs_kills_it_and_all_that_it_started(staged: Staged) -> None:
    daemon, model = staged
    daemon.handlers["agentic/ask"] = lambda _: {"option": "allow_once"}
    model.play(call("run_command", {"command": "(sleep 600 & sleep 601) & echo started; sleep 602"}))
    turn = await daemon.run("run it")
    await turn.wait("toolOutput")
    async with asyncio.timeout(30):
        while len(processes := named(daemon.process.pid, "sleep")) < 3:
            await asyncio.sleep(0.01)
    await turn.cancel()
    assert cancelled(turn)
    assert await gone(processes)
    assert turn.of("toolFinished")[0]["code"] == "cancelled"


async def test_cancel_while_a_question_waits_withdraws_it(staged: Staged) -> None:
    daemon, model = staged
    daemon.handlers["agentic/ask"] = RawClient.SILENT
    model.play(call("ask_user", {"question": "Which?", "options": ["a", "b"]}))
    turn = await daemon.run("ask")
    asked = await daemon.wait_asked("agentic/ask")
    await turn.cancel()
    assert cancelled(turn)
    assert turn.of("answered")[0]["by"] == "cancelled"
    assert {"id": asked["id"]} in daemon.received("$/cancelRequest")
    resolved = await daemon.wait_for_method("agentic/approvalResolved")
    assert (resolved["params"]["questionId"], resolved["params"]["by"]) == (asked["params"]["questionId"], "cancelled")
    late = {"questionId": asked["params"]["questionId"], "option": "1"}
    assert await daemon.command("agentic.respond", late) == {"accepted": False}


async def test_cancel_while_a_proposal_waits_changes_nothing(staged: Staged) -> None:
    daemon, model = staged
    path = daemon.file("wait.py", "a\n")
    model.play(edit("wait.py", "a", "b"))
    turn = await daemon.run("edit")
    proposed = await turn.wait("editProposed")
    await turn.cancel()
    assert cancelled(turn)
    assert turn.of("editResolved")[0]["outcome"] == "cancelled"
    late = {"itemId": proposed["item"], "hunks": {proposed["hunks"][0]["id"]: "accept"}}
    assert await daemon.command("agentic.review", late) == {"accepted": False}
    assert path.read_text() == "a\n"


async def test_cancel_while_the_editor_keeps_an_edit_waiting(staged: Staged) -> None:
    daemon, model = staged
    daemon.file("slow.py", "a\n")
    daemon.open("slow.py", "a\n")
    apply, daemon.handlers["workspace/applyEdit"] = daemon.handlers["workspace/applyEdit"], RawClient.SILENT
    try:
        model.play(edit("slow.py", "a", "b"))
        turn = await daemon.run("edit")
        await turn.wait("editProposed")
        proposed = turn.of("editProposed")[0]
        hunks = {hunk["id"]: "accept" for hunk in proposed["hunks"]}
        await daemon.command("agentic.review", {"itemId": proposed["item"], "hunks": hunks})
        await daemon.wait_asked("workspace/applyEdit")
        await turn.cancel()
    finally:
        daemon.handlers["workspace/applyEdit"] = apply
    assert cancelled(turn)
    assert turn.of("editResolved")[0]["outcome"] == "cancelled"


async def test_the_calls_that_were_left_over_are_withdrawn(staged: Staged) -> None:
    daemon, model = staged
    daemon.handlers["agentic/ask"] = RawClient.SILENT
    calls = [("ask_user", {"question": "Which?"}), ("read_file", {"path": "x"})]
    model.play(Reply(work(), calls=calls))
    turn = await daemon.run("ask")
    await daemon.wait_asked("agentic/ask")
    await turn.cancel()
    assert len(turn.of("itemWithdrawn")) == 1
    assert len(turn.of("toolStarted")) == 1


async def test_a_cancelled_conversation_goes_on_whole(staged: Staged) -> None:
    daemon, model = staged
    turn, _ = await streaming(daemon, model)
    await turn.cancel()
    model.play(Reply(reply("Yes.")))
    again = await daemon.run("go on", sessionId=turn.session)
    await again.finished()
    roles = [m["role"] for m in model.requests[0]["messages"]]
    assert roles == ["system", "user", "assistant", "user"]
    assert model.requests[0]["messages"][2]["content"].endswith("I begin ")
