"""Neovim with its own LSP client, set up as docs/neovim.md says: cancelling, ending, crashing and going on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from support.model_server import ModelServer, Reply, only
from support.neovim import Neovim, command, edit, eventually, results, stage, work

pytestmark = pytest.mark.editor

FILES = {"a.py": "one\ntwo\nthree\n"}
DONE = Reply("Done.")
SLEEPER = command("echo $$ > pid; exec sleep 600")
STALLED = only(Reply("Let me think about it"), 3, "stall")


def cancel_by_command(nvim: Neovim) -> None:
    assert nvim.execute("agentic.cancel") == {"cancelled": True}


def cancel_by_progress(nvim: Neovim) -> None:
    nvim.cancel_progress()


def cancel_as_documented(nvim: Neovim) -> None:
    nvim.command("AgenticCancel")


CANCELS = [cancel_by_command, cancel_by_progress, cancel_as_documented]


def cancelled(nvim: Neovim) -> None:
    nvim.finished()
    assert nvim.progress[-1]["kind"] == "end"
    assert nvim.progress[-1]["message"].startswith("cancelled")
    assert nvim.execute("agentic.cancel") == {"cancelled": False}


def sleeping(tmp_path: Path) -> psutil.Process:
    """The process that the agent's command has become."""
    note = tmp_path / "workspace/pid"
    text = eventually(lambda: note.exists() and note.read_text().strip(), "the command's process")
    return psutil.Process(int(text))


def gone(process: psutil.Process) -> None:
    """Wait until the process is no more."""
    eventually(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE, f"the end of {process}")


@pytest.mark.parametrize("cancel", CANCELS)
def test_an_answer_under_way_is_cancelled(tmp_path: Path, cancel: Callable[[Neovim], None]):
    with stage(tmp_path, FILES, [STALLED]) as (nvim, server):
        nvim.start("think")
        nvim.until(lambda: any("Let" in value.get("message", "") for value in nvim.progress), "the first words")
        cancel(nvim)
        cancelled(nvim)
        eventually(server.client_closed.is_set, "the end of the model's connection")


@pytest.mark.parametrize("cancel", CANCELS)
def test_a_waiting_proposal_is_withdrawn(tmp_path: Path, cancel: Callable[[Neovim], None]):
    with stage(tmp_path, FILES, [work(edit("a.py", "two", "TWO")), DONE]) as (nvim, server):
        nvim.start("make two loud")
        nvim.proposals()
        cancel(nvim)
        cancelled(nvim)
        nvim.no_proposals()
        assert nvim.text == FILES["a.py"]
        assert len(server.requests) == 1


@pytest.mark.parametrize("cancel", CANCELS)
def test_a_running_command_is_killed(tmp_path: Path, cancel: Callable[[Neovim], None]):
    with stage(tmp_path, FILES, [work(SLEEPER)], answers=["Allow"]) as (nvim, _):
        nvim.start("sleep")
        process = sleeping(tmp_path)
        cancel(nvim)
        cancelled(nvim)
        assert not process.is_running()


def test_quitting_leaves_no_process_behind(tmp_path: Path):
    with stage(tmp_path, FILES, [work(SLEEPER)], answers=["Allow"]) as (nvim, _):
        nvim.start("sleep")
        sleeper = sleeping(tmp_path)
        ours = [nvim.daemon, *nvim.daemon.children(recursive=True)]
        assert sleeper in ours
        nvim.quit()
        for process in ours:
            gone(process)


def test_a_killed_daemon_is_resumed_by_the_next(tmp_path: Path):
    script = [work(edit("a.py", "two", "TWO\ntwo")), STALLED]
    with stage(tmp_path, FILES, script, "accept-edits") as (nvim, server):
        session = nvim.start("make two loud")["sessionId"]
        nvim.until(lambda: len(server.requests) == 2, "the second request")
        nvim.command("write")
        nvim.daemon.kill()
        nvim.until(lambda: nvim.lua("return T.client() == nil"), "the daemon's end")
    after = (tmp_path / "workspace/a.py").read_text()
    assert after == "one\nTWO\ntwo\nthree\n"
    with stage(tmp_path, {"a.py": after}, [DONE], "accept-edits") as (nvim, server):
        [listed] = nvim.execute("agentic.sessions")["sessions"]
        assert (listed["id"], listed["title"], listed["state"]) == (session, "make two loud", "interrupted")
        offered = nvim.pick(lambda: nvim.command("AgenticSessions"), "interrupted")
        assert offered == ["make two loud (interrupted)"]
        assert nvim.finished() == "Done."
        assert nvim.text == after
        assert len(results(server.requests[0])) == 1
        assert "was interrupted" in server.requests[0]["messages"][-1]["content"]
        [listed] = nvim.execute("agentic.sessions")["sessions"]
        assert listed["state"] == "finished"


def test_a_killed_daemon_is_started_again_with_the_next_file(tmp_path: Path):
    with stage(tmp_path, {**FILES, "b.py": "b\n"}, [Reply("Done.")]) as (nvim, _):
        first = nvim.daemon
        first.kill()
        nvim.until(lambda: nvim.lua("return T.client() == nil"), "the daemon's end")
        nvim.open("b.py")
        assert nvim.daemon.pid != first.pid
        nvim.command("Agentic do it")
        assert nvim.finished() == "Done."


def test_a_command_that_was_interrupted_is_not_run_again(tmp_path: Path):
    with stage(tmp_path, FILES, [work(SLEEPER)], answers=["Allow"]) as (nvim, _):
        session = nvim.start("sleep")["sessionId"]
        sleeper = sleeping(tmp_path)
        nvim.daemon.kill()
        gone(sleeper)
    (tmp_path / "workspace/pid").unlink()
    with stage(tmp_path, FILES, [DONE]) as (nvim, server):
        nvim.execute("agentic.resume", {"sessionId": session})
        assert nvim.finished() == "Done."
        assert not (tmp_path / "workspace/pid").exists()
        assert nvim.asked == []
        assert len(server.requests) == 1


def test_the_documented_commands(tmp_path: Path):
    script = [work(edit("a.py", "two", "TWO")), Reply("Changed."), Reply("Again."), Reply("Anew.")]
    with stage(tmp_path, FILES, script) as (nvim, server):
        nvim.command("2,3Agentic make this loud")
        nvim.proposals()
        nvim.command("AgenticSay louder")
        nvim.choose(2, "accept this")
        assert nvim.finished() == "Changed."
        assert "two\nthree\n" in first_task(server)
        assert server.requests[1]["messages"][-1]["content"] == "louder"
        nvim.command("AgenticUndo")
        nvim.until(lambda: nvim.text == FILES["a.py"], "the undone edit")
        nvim.command("Agentic go on")
        assert nvim.finished(2) == "Again."
        assert first_task(server) in [message["content"] for message in server.requests[2]["messages"]]
        nvim.command("Agentic! something else")
        assert nvim.finished(3) == "Anew."
        assert first_task(server) not in [message["content"] for message in server.requests[3]["messages"]]
        states = [one["state"] for one in nvim.execute("agentic.sessions")["sessions"]]
        assert states == ["finished", "finished"]


def first_task(server: ModelServer) -> str:
    return server.requests[0]["messages"][-1]["content"]
