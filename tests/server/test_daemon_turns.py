"""Turns of the real daemon, seen by a plugin: ids at once, events, sessions, and what can be done with them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import pytest
import pytest_asyncio
from support.daemon import HANG, Daemon, Model, Turn, call, edit, slowly, stage
from support.model_server import Reply
from support.raw_client import ResponseError
from support.runs import reply, work

pytestmark = pytest.mark.asyncio(loop_scope="module")
Staged = tuple[Daemon, Model]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Staged]:
    async with stage(tmp_path_factory.mktemp("turns"), options={"mode": "accept-edits"}) as staged:
        yield staged


@pytest_asyncio.fixture(loop_scope="module")
async def staged(running: Staged) -> AsyncIterator[Staged]:
    daemon, _ = running
    daemon.forget()
    yield running
    await daemon.command("agentic.cancel", {})


def progress(daemon: Daemon, token: Any) -> list[dict[str, Any]]:
    return [p["value"] for p in daemon.received("$/progress") if p["token"] == token]


async def refused(daemon: Daemon, command: str, **params: Any) -> ResponseError:
    with pytest.raises(ResponseError) as error:
        await daemon.command(f"agentic.{command}", params)
    return error.value


async def greet(daemon: Daemon, model: Model, **params: Any) -> Turn:
    model.play(Reply(reply("Hello to you.")))
    turn = await daemon.run("hello", **params)
    await turn.finished()
    return turn


async def test_a_task_is_answered_with_its_ids_while_the_model_says_nothing(staged: Staged) -> None:
    daemon, model = staged
    model.play(HANG)
    turn = await daemon.run("change something")
    await model.server.request_seen.wait()
    assert turn.events[0]["kind"] == "turnStarted"
    assert not turn.of("turnFinished")
    assert (await turn.cancel())["stopReason"] == "cancelled"


async def test_a_greeting_is_one_request_and_the_metrics_are_told(staged: Staged) -> None:
    daemon, model = staged
    turn = await greet(daemon, model)
    finished = turn.of("turnFinished")[0]
    assert (finished["stopReason"], finished["summary"], len(model.requests)) == ("end_turn", "Hello to you.", 1)
    assert "".join(event["text"] for event in turn.of("textDelta")) == "Hello to you."
    metrics = finished["metrics"]
    assert metrics["modelCalls"] == 1
    assert metrics["promptTokens"] == 10
    assert metrics["completionTokens"] > 0
    assert metrics["firstTokenSeconds"] is not None
    assert (metrics["toolCalls"], metrics["iterations"]) == (0, 0)


async def test_an_edit_of_an_open_document_goes_through_the_editor_and_the_file_stays(staged: Staged) -> None:
    daemon, model = staged
    daemon.file("open.py", "a = 1\n")
    daemon.open("open.py", "a = 1\n# not saved\n")
    model.play(
        Reply(work(), calls=[("edit_file", {"path": "open.py", "old": "a = 1", "new": "a = 2"})]), Reply("Done.")
    )
    turn = await daemon.run("make a two")
    finished = await turn.finished()
    assert daemon.text("open.py") == "a = 2\n# not saved\n"
    assert (daemon.workspace / "open.py").read_text() == "a = 1\n"
    assert finished["files"] == ["open.py"]
    assert turn.of("editResolved")[0]["outcome"] == "applied"
    assert turn.of("editResolved")[0]["saved"] is False
    assert finished["metrics"]["toolCalls"] == 1


async def test_progress_on_the_clients_token(staged: Staged) -> None:
    daemon, model = staged
    model.play(Reply(reply("Hello.")))
    params = {"command": "agentic.runTask", "arguments": [{"task": "hello there"}], "workDoneToken": "mine"}
    turn = Turn(daemon, await daemon.request("workspace/executeCommand", params))
    await turn.finished()
    await daemon.until(lambda: [v for v in progress(daemon, "mine") if v["kind"] == "end"] or None)
    values = progress(daemon, "mine")
    assert values[0] == {
        "kind": "begin",
        "title": "Agentic: hello there",
        "cancellable": True,
        "percentage": 0,
        "message": "starting",
    }
    assert [v["kind"] for v in values].count("end") == 1
    assert values[-1] == {"kind": "end", "message": "end_turn: Hello."}
    assert all("percentage" in v for v in values if v["kind"] == "report")
    assert daemon.requests == []


async def test_progress_on_a_token_of_the_servers_making(staged: Staged) -> None:
    daemon, model = staged
    await greet(daemon, model)
    token = (await daemon.wait_asked("window/workDoneProgress/create"))["params"]["token"]
    await daemon.until(lambda: [v for v in progress(daemon, token) if v["kind"] == "end"] or None)
    assert [v["kind"] for v in progress(daemon, token) if v["kind"] != "report"] == ["begin", "end"]


async def test_a_client_that_refuses_the_progress_loses_only_that(staged: Staged) -> None:
    daemon, model = staged
    accept = daemon.handlers.pop("window/workDoneProgress/create")
    try:
        turn = await greet(daemon, model)
    finally:
        daemon.handlers["window/workDoneProgress/create"] = accept
    assert turn.of("turnFinished")[0]["stopReason"] == "end_turn"
    assert daemon.received("$/progress") == []


async def test_a_second_task_goes_on_with_the_conversation_and_its_numbers(staged: Staged) -> None:
    daemon, model = staged
    first = await greet(daemon, model)
    model.play(Reply(reply("You said hello.")))
    second = await daemon.run("what did I say?", sessionId=first.session)
    await second.finished()
    assert second.session == first.session
    assert second.events[0]["seq"] == first.events[-1]["seq"] + 1
    said = [(m["role"], m["content"]) for m in model.requests[0]["messages"]]
    assert [role for role, _ in said] == ["system", "user", "assistant", "user"]
    assert said[2][1] == reply("Hello to you.")
    assert said[3][1].startswith("what did I say?")


async def test_attach_sends_again_exactly_what_was_sent(staged: Staged) -> None:
    daemon, model = staged
    turn = await greet(daemon, model)
    sent = list(turn.events)
    for since in (0, 3, len(sent)):
        daemon.notifications.clear()
        found = await daemon.request("agentic/attach", {"sessionId": turn.session, "sinceSeq": since})
        assert found == {"events": len(sent) - since, "lastSeq": len(sent)}
        assert daemon.received("agentic/event") == sent[since:]


async def test_attaching_to_a_running_turn_sends_the_old_events_before_the_new_ones(staged: Staged) -> None:
    daemon, model = staged
    model.play(Reply(work("word " * 20_000), pace=0.001))
    turn = await daemon.run("talk")
    await turn.wait("textDelta", 20)
    daemon.notifications.clear()
    for _ in range(200):
        await daemon.request("agentic/attach", {"sessionId": turn.session})
    await daemon.command("agentic.cancel", {})
    await turn.wait("turnFinished")
    seqs = [event["seq"] for event in daemon.received("agentic/event")]
    assert seqs.count(1) == 200
    jumps = [(one, other) for one, other in pairwise(seqs) if other not in (1, one + 1)]
    assert jumps == []


async def test_attach_to_an_unknown_session_says_so(staged: Staged) -> None:
    daemon, _ = staged
    with pytest.raises(ResponseError, match="There is no session nowhere") as error:
        await daemon.request("agentic/attach", {"sessionId": "nowhere"})
    assert error.value.data["code"] == "unknown_session"


async def test_a_busy_session_takes_no_second_task_and_another_session_does(staged: Staged) -> None:
    daemon, model = staged
    model.play(HANG, Reply(reply("Hello.")))
    turn = await daemon.run("work")
    await model.server.request_seen.wait()
    error = await refused(daemon, "runTask", task="more", sessionId=turn.session)
    assert error.data["code"] == "session_busy"
    assert "agentic.steer" in error.message
    other = await daemon.run("hello")
    assert (await other.finished())["stopReason"] == "end_turn"
    assert (await turn.cancel())["stopReason"] == "cancelled"


async def test_an_unknown_session_is_refused(staged: Staged) -> None:
    daemon, _ = staged
    for command in ("runTask", "resume", "undoTask", "transcript", "fork"):
        params = {"task": "x"} if command == "runTask" else {}
        error = await refused(daemon, command, sessionId="s-none", **params)
        assert error.data["code"] == "unknown_session", command
        assert "agentic.sessions" in error.message


async def test_steering_reaches_the_model_before_its_next_answer(staged: Staged) -> None:
    daemon, model = staged
    daemon.file("steer.txt", "text")
    going = asyncio.Event()

    def answer(request: Any) -> Any:
        if len(request["messages"]) == 2:
            going.set()
            return Reply(work(), calls=[("read_file", {"path": "steer.txt"})], delay=0.3)
        return Reply("Done.")

    model.play_by(answer)
    turn = await daemon.run("look")
    await going.wait()
    assert await daemon.command("agentic.steer", {"sessionId": turn.session, "text": "be quick"}) == {"accepted": True}
    await turn.finished()
    assert [event["text"] for event in turn.of("steered")] == ["be quick"]
    assert model.requests[1]["messages"][-1] == {"role": "user", "content": "be quick"}


async def test_steering_before_the_turn_has_begun_and_during_a_greeting_is_not_lost(staged: Staged) -> None:
    daemon, model = staged
    model.play(Reply(reply("Hello."), delay=0.2), Reply("And good bye."))
    turn = await daemon.run("hello")
    assert await daemon.command("agentic.steer", {"sessionId": turn.session, "text": "and then?"}) == {"accepted": True}
    assert (await turn.finished())["summary"] == "And good bye."
    assert [event["text"] for event in turn.of("steered")] == ["and then?"]


async def test_steering_a_session_that_does_nothing_is_not_accepted(staged: Staged) -> None:
    daemon, model = staged
    turn = await greet(daemon, model)
    assert await daemon.command("agentic.steer", {"sessionId": turn.session, "text": "x"}) == {"accepted": False}


async def test_undo_takes_back_the_edit_and_keeps_what_was_typed_since_once(staged: Staged) -> None:
    daemon, model = staged
    daemon.file("undo.py", "a\nb\nc\n")
    daemon.open("undo.py", "a\nb\nc\n")
    model.play(Reply(work(), calls=[("edit_file", {"path": "undo.py", "old": "b", "new": "B"})]), Reply("Done."))
    turn = await daemon.run("make b loud")
    await turn.finished()
    assert daemon.text("undo.py") == "a\nB\nc\n"
    daemon.type("undo.py", "a\nB\nc\ntyped since\n")
    undone = await daemon.command("agentic.undoTask", {"sessionId": turn.session})
    assert undone == {"files": [{"path": "undo.py", "outcome": "applied", "reason": ""}]}
    assert daemon.text("undo.py") == "a\nb\nc\ntyped since\n"
    again = await refused(daemon, "undoTask", sessionId=turn.session)
    assert "There is no edit to undo" in again.message
    assert daemon.text("undo.py") == "a\nb\nc\ntyped since\n"


async def test_undo_removes_what_the_turn_created_unless_it_was_changed_since(staged: Staged) -> None:
    daemon, model = staged
    paths = ["new/plain.py", "new/changed.py", "new/gone.py"]
    calls = [("write_file", {"path": path, "content": "made = 1\n"}) for path in paths]
    model.play(Reply(work(), calls=calls), Reply("Done."))
    turn = await daemon.run("create", mode="accept-edits")
    await turn.finished()
    (daemon.workspace / "new/changed.py").write_text("made = 2\n")
    (daemon.workspace / "new/gone.py").unlink()
    undone = await daemon.command("agentic.undoTask", {"sessionId": turn.session})
    outcomes = {file["path"]: file["outcome"] for file in undone["files"]}
    assert outcomes == {"new/plain.py": "applied", "new/changed.py": "conflict", "new/gone.py": "applied"}
    assert [path.name for path in (daemon.workspace / "new").iterdir()] == ["changed.py"]
    assert (daemon.workspace / "new/changed.py").read_text() == "made = 2\n"


async def test_undo_while_the_turn_runs_is_refused(staged: Staged) -> None:
    daemon, model = staged
    model.play(HANG)
    turn = await daemon.run("work")
    await model.server.request_seen.wait()
    assert "Cancel it first" in (await refused(daemon, "undoTask", sessionId=turn.session)).message
    await turn.cancel()


async def test_a_fork_knows_the_conversation_and_leaves_the_old_one_alone(staged: Staged) -> None:
    daemon, model = staged
    first = await greet(daemon, model)
    fork = (await daemon.command("agentic.fork", {"sessionId": first.session}))["sessionId"]
    model.play(Reply(reply("As before.")))
    turn = await daemon.run("and now?", sessionId=fork)
    await turn.finished()
    assert turn.session == fork != first.session
    assert [m["role"] for m in model.requests[0]["messages"]] == ["system", "user", "assistant", "user"]
    old = await daemon.command("agentic.transcript", {"sessionId": first.session})
    new = await daemon.command("agentic.transcript", {"sessionId": fork})
    assert new["messages"][: len(old["messages"])] == old["messages"]
    assert len(new["messages"]) == len(old["messages"]) + 2
    assert new["title"] == "hello (fork)"


async def test_sessions_are_listed_the_last_used_first(staged: Staged) -> None:
    daemon, model = staged
    turn = await greet(daemon, model)
    [found] = (await daemon.command("agentic.sessions", {"limit": 1}))["sessions"]
    assert (found["id"], found["title"], found["turns"], found["state"]) == (turn.session, "hello", 1, "finished")
    assert found["workspace"] == ["workspace"]


async def test_the_transcript_holds_everything_the_reasoning_included(staged: Staged) -> None:
    daemon, model = staged
    long = random.Random(1).randbytes(15_000).hex()
    daemon.file("long.txt", "only line\n")
    model.play(
        Reply(work("Let me look."), thinking="I should read it.", calls=[("read_file", {"path": "long.txt"})]),
        Reply(long, thinking="Now I know."),
    )
    turn = await daemon.run("read it")
    await turn.finished()
    found = await daemon.command("agentic.transcript", {"sessionId": turn.session})
    system, user, first, tool, second = found["messages"]
    assert system["role"] == "system"
    assert user["content"].startswith("read it")
    assert (first["content"], first["reasoning"]) == (work("Let me look."), "I should read it.")
    assert first["toolCalls"][0]["name"] == "read_file"
    assert tool["toolCallId"] == first["toolCalls"][0]["id"]
    assert "only line" in tool["content"]
    assert (second["content"], second["reasoning"]) == (long, "Now I know.")
    assert {message["turnId"] for message in found["messages"][1:]} == {turn.id}


async def test_the_transcript_tells_what_fills_the_window(staged: Staged) -> None:
    daemon, model = staged
    daemon.file("a.txt", "only line\n")
    model.play(Reply(work("I look."), calls=[("read_file", {"path": "a.txt"})]), Reply("One line."))
    turn = await daemon.run("read it")
    await turn.finished()
    window = (await daemon.command("agentic.transcript", {"sessionId": turn.session}))["window"]
    assert (window["window"], window["budget"]) == (8192, 6144)
    items = [item for item in window["items"] if item["what"] != "tools"]
    assert [item["what"] for item in items] == ["system", "task", "context", "answer", "call", "result", "answer"]
    assert [item["name"] for item in items if item["name"]] == ["read_file a.txt"] * 2
    assert [item["message"] for item in items] == [0, 1, 1, 2, 2, 3, 4]
    assert window["tokens"] == sum(item["tokens"] for item in window["items"])
    assert sum(share["tokens"] for share in window["shares"]) == window["tokens"]
    assert window["shares"][0]["what"] in ("tools", "system")


async def test_doctor_tells_of_the_endpoint(staged: Staged) -> None:
    daemon, model = staged
    model.play()
    found = await daemon.command("agentic.doctor", {})
    [endpoint] = found["endpoints"]
    assert endpoint == {
        "url": model.url,
        "reachable": True,
        "model": "tiny",
        "window": 8192,
        "windowSource": "served",
        "server": "vllm",
        "version": "",
        "slots": None,
        "tools": "unknown",
        "reasoning": "unknown",
        "usageInStream": None,
        "prefixCaching": None,
        "hitShare": None,
        "firstTokenSeconds": None,
        "speeds": [],
        "advice": [
            {
                "problem": "The window of 8,192 tokens is small for an agent.",
                "hint": "Start vLLM with --max-model-len 65536, if the memory for its cache allows.",
            }
        ],
        "problem": "",
        "hint": "",
    }
    assert {check["name"]: check["status"] for check in found["checks"]}["sessions"] == "ok"
    assert model.requests == []


async def test_a_session_that_is_not_interrupted_is_not_resumed(staged: Staged) -> None:
    daemon, model = staged
    turn = await greet(daemon, model)
    error = await refused(daemon, "resume", sessionId=turn.session)
    assert "is finished: there is nothing to resume" in error.message
    assert "agentic.runTask" in error.message


async def test_the_selection_and_the_open_files_reach_the_model(staged: Staged) -> None:
    daemon, model = staged
    uri = daemon.open("select.py", "first\nsecond\nthird\n")
    model.play(Reply(reply("I see.")))
    place = {"start": {"line": 1, "character": 0}, "end": {"line": 1, "character": 6}}
    await (await daemon.run("explain", selection={"uri": uri, "range": place})).finished()
    told = model.requests[0]["messages"][-1]["content"]
    assert "select.py:2-2\nsecond" in told
    assert "open in the editor (the first is active): select.py" in told


async def test_a_burst_of_tokens_arrives_in_fewer_messages_whole_and_in_order(staged: Staged) -> None:
    daemon, model = staged
    words = [f"w{number} " for number in range(1500)]
    model.play(slowly(reply(""), *words))
    turn = await daemon.run("talk")
    wanted = "".join(words)
    await daemon.until(lambda: sum(len(e["text"]) for e in turn.of("textDelta")) >= len(wanted) or None)
    assert "".join(e["text"] for e in turn.of("textDelta")) == wanted
    assert len(turn.of("textDelta")) < 750
    await turn.cancel()


async def test_a_change_of_the_settings_leaves_the_running_turn_alone(staged: Staged) -> None:
    daemon, model = staged
    model.play(Reply(work(), calls=[("list_files", {})], delay=0.3), Reply("Done."))
    turn = await daemon.run("list")
    await model.server.request_seen.wait()
    daemon.notify("workspace/didChangeConfiguration", {"settings": {}})
    finished = await turn.finished()
    assert (finished["stopReason"], finished["summary"]) == ("end_turn", "Done.")
    assert turn.of("errorRaised") == turn.of("failover") == []


async def test_a_wider_mode_than_the_setting_is_narrowed_and_a_narrower_one_is_kept(staged: Staged) -> None:
    daemon, model = staged
    for asked, got in (("auto", "accept-edits"), ("plan", "plan")):
        turn = await greet(daemon, model, mode=asked)
        assert turn.of("turnStarted")[0]["mode"] == got


async def test_plan_mode_changes_nothing(staged: Staged) -> None:
    daemon, model = staged
    path = daemon.file("plan.py", "a\n")
    first = Reply(work(), calls=[("edit_file", {"path": "plan.py", "old": "a", "new": "b"})])
    model.play(first, call("run_command", {"command": "touch made"}), Reply("I would change it."))
    turn = await daemon.run("change it", mode="plan")
    assert (await turn.finished())["stopReason"] == "end_turn"
    assert [event["code"] for event in turn.of("toolFinished")] == ["plan_mode", "plan_mode"]
    assert path.read_text() == "a\n"
    assert not (daemon.workspace / "made").exists()


async def test_an_edit_without_a_document_is_written_to_the_file(staged: Staged) -> None:
    daemon, model = staged
    path = daemon.file("closed.py", "a\r\nb\r\n")
    model.play(edit("closed.py", "a", "A"), Reply("Done."))
    await (await daemon.run("edit")).finished()
    assert path.read_bytes() == b"A\r\nb\r\n"
