"""The daemon's end in the midst of work: nothing is left running, nothing is lost, and a new one can go on."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
import pytest
from support.daemon import Daemon, Model, Turn, call, check_grammar, descendants, edit, gone, slowly, started
from support.model_server import Reply
from support.raw_client import RawClient, ResponseError
from support.runs import work

ALLOW = {"option": "allow_once"}


async def command_runs(daemon: Daemon, model: Model) -> Turn:
    """A command has printed something and goes on."""
    daemon.handlers["agentic/ask"] = lambda _: ALLOW
    model.play(call("run_command", {"command": "echo x >> ran; (sleep 600 &) ; echo on; sleep 601"}, work()))
    turn = await daemon.run("run it")
    await turn.wait("toolOutput")
    return turn


async def model_speaks(daemon: Daemon, model: Model) -> Turn:
    model.play(slowly(work(""), "I begin "))
    turn = await daemon.run("talk")
    await turn.wait("textDelta")
    return turn


async def proposal_waits(daemon: Daemon, model: Model) -> Turn:
    model.play(edit("a.py", "a", "b"))
    turn = await daemon.run("edit a.py")
    await turn.wait("editProposed")
    return turn


async def question_waits(daemon: Daemon, model: Model) -> Turn:
    daemon.handlers["agentic/ask"] = RawClient.SILENT
    model.play(call("ask_user", {"question": "Which?"}, work()))
    turn = await daemon.run("ask")
    await daemon.wait_asked("agentic/ask")
    return turn


async def edit_was_made(daemon: Daemon, model: Model) -> Turn:
    model.play(edit("a.py", "a", "b"), slowly("Now I "))
    turn = await daemon.run("edit a.py")
    assert (await turn.review())["outcome"] == "applied"
    return turn


POINTS = [model_speaks, proposal_waits, question_waits, edit_was_made, command_runs]
Point = Callable[[Daemon, Model], Awaitable[Turn]]


async def leave(daemon: Daemon, how: str) -> int:
    if how == "the end of stdin":
        daemon.close_stdin()
    else:
        os.kill(daemon.process.pid, signal.SIGTERM)
    return await daemon.exit_code()


@pytest.mark.parametrize("how", ["the end of stdin", "SIGTERM"])
@pytest.mark.parametrize("point", [command_runs, question_waits])
async def test_an_orderly_end_cancels_the_turn_and_leaves_no_process(tmp_path: Path, point: Point, how: str) -> None:
    model = Model()
    async with model.server:
        async with started(tmp_path, model.url) as daemon:
            turn = await point(daemon, model)
            children = descendants(daemon.process.pid)
            await leave(daemon, how)
            assert await gone(children)
        async with started(tmp_path, model.url) as daemon:
            [info] = (await daemon.command("agentic.sessions", {}))["sessions"]
            assert (info["id"], info["state"]) == (turn.session, "finished")
            await daemon.request("agentic/attach", {"sessionId": turn.session})
            again = Turn(daemon, {"sessionId": turn.session, "turnId": turn.id})
            assert (await again.finished())["stopReason"] == "cancelled"


async def test_a_killed_client_takes_the_daemon_and_its_command_along(tmp_path: Path) -> None:
    model = Model()
    client = await asyncio.create_subprocess_exec("sleep", "600")
    async with model.server, started(tmp_path, model.url, processId=client.pid) as daemon:
        await command_runs(daemon, model)
        children = descendants(daemon.process.pid)
        assert any("sleep" in child.name() for child in children)
        client.kill()
        await client.wait()
        assert await daemon.exit_code() == 1
        assert await gone(children)


@pytest.mark.parametrize("point", POINTS)
async def test_after_a_kill_the_session_can_be_resumed_and_nothing_is_done_twice(tmp_path: Path, point: Point) -> None:
    model = Model()
    (tmp_path / "workspace").mkdir()
    path = tmp_path / "workspace/a.py"
    path.write_text("a\n")
    async with model.server:
        async with started(tmp_path, model.url) as daemon:
            turn = await point(daemon, model)
            children = descendants(daemon.process.pid)
            daemon.process.kill()
            await daemon.process.wait()
            assert await gone(children)
            seen = list(turn.events)
        async with started(tmp_path, model.url, options={"mode": "auto"}) as daemon:
            await check_interrupted(daemon, turn, seen)
            await check_resumed(daemon, model, turn)
    assert path.read_text() == ("b\n" if point is edit_was_made else "a\n")
    if point is command_runs:
        assert (tmp_path / "workspace/ran").read_text() == "x\n"


async def check_interrupted(daemon: Daemon, turn: Turn, seen: list[dict[str, object]]) -> None:
    """The session is listed as interrupted, and its log begins with what the client has seen; a few may be lost."""
    [info] = (await daemon.command("agentic.sessions", {}))["sessions"]
    assert (info["id"], info["state"], info["turns"]) == (turn.session, "interrupted", 1)
    found = await daemon.request("agentic/attach", {"sessionId": turn.session})
    again = daemon.events[turn.session]
    assert [event["seq"] for event in again] == list(range(1, found["lastSeq"] + 1))
    both = min(len(again), len(seen))
    assert again[:both] == seen[:both]
    assert both >= 1


async def check_resumed(daemon: Daemon, model: Model, turn: Turn) -> None:
    model.play(Reply("Finished now."), Reply("Finished now."))
    ids = await daemon.command("agentic.resume", {"sessionId": turn.session})
    resumed = Turn(daemon, ids)
    end = await resumed.wait("turnFinished")
    assert (ids["sessionId"], end["stopReason"], end["summary"]) == (turn.session, "end_turn", "Finished now.")
    check_grammar(resumed.events)
    assert resumed.of("turnStarted")[0]["text"] == turn.of("turnStarted")[0]["text"]
    assert resumed.of("turnStarted")[0]["mode"] == "ask"
    events = daemon.events[turn.session]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    messages = model.requests[0]["messages"]
    assert [m["role"] for m in messages].count("system") == 1
    calls = [c["id"] for m in messages for c in m.get("tool_calls") or ()]
    assert [m["tool_call_id"] for m in messages if m["role"] == "tool"] == calls
    [info] = (await daemon.command("agentic.sessions", {}))["sessions"]
    assert info["state"] == "finished"


async def test_after_a_kill_the_edit_can_be_undone(tmp_path: Path) -> None:
    model = Model()
    (tmp_path / "workspace").mkdir()
    path = tmp_path / "workspace/a.py"
    path.write_text("a\n")
    async with model.server:
        async with started(tmp_path, model.url) as daemon:
            turn = await edit_was_made(daemon, model)
            daemon.process.kill()
            await daemon.process.wait()
        assert path.read_text() == "b\n"
        async with started(tmp_path, model.url) as daemon:
            undone = await daemon.command("agentic.undoTask", {"sessionId": turn.session})
            assert undone["files"] == [{"path": "a.py", "outcome": "applied", "reason": ""}]
    assert path.read_text() == "a\n"


async def test_two_daemons_share_the_log_and_each_has_its_own_turns(tmp_path: Path) -> None:
    model = Model()
    async with model.server, started(tmp_path, model.url) as one, started(tmp_path, model.url) as two:
        turn = await model_speaks(one, model)
        [info] = (await two.command("agentic.sessions", {}))["sessions"]
        assert (info["id"], info["state"]) == (turn.session, "running")
        assert await two.command("agentic.cancel", {}) == {"cancelled": False}
        assert psutil.pid_exists(one.process.pid)
        assert (await turn.cancel())["stopReason"] == "cancelled"


async def test_a_session_that_another_daemon_runs_is_refused_by_name(tmp_path: Path) -> None:
    model = Model()
    async with model.server, started(tmp_path, model.url) as one, started(tmp_path, model.url) as two:
        turn = await model_speaks(one, model)
        with pytest.raises(ResponseError, match="being run by process") as refused:
            await two.command("agentic.runTask", {"task": "me too", "sessionId": turn.session})
        assert refused.value.data["code"] == "store_failed"
        await turn.cancel()
