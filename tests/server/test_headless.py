"""`agentic run` as a process: its exit codes, its lines of JSON, and that nothing happens without a yes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import psutil
import pytest
from support.daemon import Model, call, check_grammar, descendants, edit, environment, gone, slowly
from support.model_server import Reply, status
from support.raw_client import python
from support.runs import reply, work

from agentic_server.version import VERSION

SCHEMA = json.loads((Path(__file__).parents[2] / "docs/schema/events.json").read_text("utf-8"))
PATIENCE = 60.0
WHY_NOT = (
    "Nobody is there to ask; --yes or --mode accept-edits allows it. Nothing was changed.",
    "Nobody is there to ask; --yes allows it. Do not run it",
)
PIPE = asyncio.subprocess.PIPE


@dataclass
class Ran:
    """What became of a run."""

    code: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass
class Terminal:
    """Where `agentic run` is called: a folder, and a model."""

    folder: Path
    model: Model

    @property
    def workspace(self) -> Path:
        return self.folder / "workspace"

    async def start(
        self, *arguments: str, url: str = "", stdin: int = asyncio.subprocess.DEVNULL, stdout: int = PIPE
    ) -> asyncio.subprocess.Process:
        base = ["--base-url", url or self.model.url]
        return await asyncio.create_subprocess_exec(
            *python("-m", "agentic_server", "run", *base, *arguments),
            env={"PATH": "/usr/bin:/bin", **environment(self.folder)},
            cwd=self.workspace,
            stdin=stdin,
            stdout=stdout,
            stderr=PIPE,
        )

    async def run(self, *arguments: str, url: str = "") -> Ran:
        return await ended(await self.start(*arguments, url=url))


async def ended(process: asyncio.subprocess.Process) -> Ran:
    out, err = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode is not None
    return Ran(process.returncode, (out or b"").decode(), err.decode())


@pytest.fixture
async def terminal(tmp_path: Path) -> AsyncIterator[Terminal]:
    (tmp_path / "workspace").mkdir()
    (tmp_path / "workspace/a.py").write_text("a\n")
    model = Model()
    async with model.server:
        yield Terminal(tmp_path, model)


async def test_a_task_is_done_and_told_in_lines_of_json_that_fit_the_schema(terminal: Terminal) -> None:
    run = call("run_command", {"command": "cat a.py; rm -f none"})
    terminal.model.play(
        Reply(work("I edit."), calls=[("edit_file", {"path": "a.py", "old": "a", "new": "b"})]), run, Reply("Done.")
    )
    ran = await terminal.run("--json", "--yes", "make a a b in a.py")
    assert (ran.code, ran.err) == (0, "")
    assert (terminal.workspace / "a.py").read_text() == "b\n"
    validator = jsonschema.Draft202012Validator(SCHEMA)
    for event in ran.events:
        validator.validate(event)
    with pytest.raises(jsonschema.ValidationError):
        validator.validate({**ran.events[0], "kind": "other"})
    assert [event["seq"] for event in ran.events] == list(range(1, len(ran.events) + 1))
    check_grammar(ran.events)
    assert ran.events[-1]["files"] == ["a.py"]


async def test_for_people_it_says_what_was_done(terminal: Terminal) -> None:
    terminal.model.play(edit("a.py", "a", "b"), Reply("Made a a b."))
    ran = await terminal.run("--mode", "accept-edits", "make a a b in a.py")
    assert ran.code == 0
    assert "a.py" in ran.out
    assert "Made a a b." in ran.out
    assert (terminal.workspace / "a.py").read_text() == "b\n"


async def test_without_a_terminal_nothing_is_allowed_and_the_model_hears_why(terminal: Terminal) -> None:
    calls = [("edit_file", {"path": "a.py", "old": "a", "new": "b"}), ("run_command", {"command": "touch made"})]
    terminal.model.play(Reply(work(), calls=calls), Reply("I could not."))
    ran = await terminal.run("--json", "edit a.py")
    assert ran.code == 0
    assert [event["code"] for event in ran.events if event["kind"] == "toolFinished"] == ["rejected", "rejected"]
    assert [result.count(why) for result, why in zip(terminal.model.results(), WHY_NOT, strict=True)] == [1, 1]
    assert (terminal.workspace / "a.py").read_text() == "a\n"
    assert not (terminal.workspace / "made").exists()


async def test_plan_mode_changes_nothing_even_with_yes(terminal: Terminal) -> None:
    calls = [("edit_file", {"path": "a.py", "old": "a", "new": "b"}), ("run_command", {"command": "touch made"})]
    terminal.model.play(Reply(work(), calls=calls), Reply("That is the plan."))
    ran = await terminal.run("--json", "--yes", "--mode", "plan", "edit a.py")
    assert ran.code == 0
    assert [event["code"] for event in ran.events if event["kind"] == "toolFinished"] == ["plan_mode", "plan_mode"]
    assert (terminal.workspace / "a.py").read_text() == "a\n"
    assert [path.name for path in terminal.workspace.iterdir()] == ["a.py"]


async def test_an_error_of_the_model_is_exit_code_1(terminal: Terminal) -> None:
    terminal.model.play(status(400, {"error": {"message": "no tools here"}}))
    ran = await terminal.run("edit a.py")
    assert ran.code == 1
    assert "no tools here" in ran.out + ran.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--mode", "wild", "x"], "mode"),
        (["--iterations", "0", "x"], "limits.iterations"),
        (["--dir", "nowhere", "x"], "--dir nowhere"),
        (["  "], "The task is empty"),
        (["--speed", "x"], "--speed"),
        (["--key", "two words", "x"], "ASCII without blanks"),
        ([], "task"),
    ],
)
async def test_a_wrong_command_line_is_exit_code_2(terminal: Terminal, arguments: list[str], told: str) -> None:
    ran = await terminal.run(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert told in ran.err
    assert "Traceback" not in ran.err
    assert terminal.model.requests == []


async def test_a_folder_whose_name_is_no_text_is_exit_code_2(terminal: Terminal) -> None:
    folder = terminal.workspace / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    ran = await terminal.run("--dir", str(folder), "x")
    assert (ran.code, ran.out) == (2, "")
    assert "not readable text" in ran.err


async def test_an_unknown_session_is_refused(terminal: Terminal) -> None:
    ran = await terminal.run("--session", "s-none", "hello")
    assert ran.code == 1
    assert "There is no session s-none" in ran.err


async def test_a_session_goes_on(terminal: Terminal) -> None:
    terminal.model.play(Reply(reply("Hello.")), Reply(reply("You said hello.")))
    first = await terminal.run("--json", "hello")
    session = first.events[0]["sessionId"]
    second = await terminal.run("--json", "--session", session, "what did I say?")
    assert second.events[0]["seq"] == first.events[-1]["seq"] + 1
    assert [m["role"] for m in terminal.model.requests[-1]["messages"]] == ["system", "user", "assistant", "user"]


async def test_without_a_server_it_is_exit_code_3_and_one_sentence_with_the_addresses(terminal: Terminal) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.create_server(("127.0.0.1", 0)) as free:
        addresses = [f"http://127.0.0.1:{one.getsockname()[1]}/v1" for one in (silent, free)]
        free.close()
        ran = await terminal.run("--base-url", addresses[0], "edit a.py", url=addresses[1])
    assert ran.code == 3
    assert all(address in ran.out + ran.err for address in addresses)
    assert "No model server can be used" in ran.out + ran.err
    assert (terminal.workspace / "a.py").read_text() == "a\n"


async def test_a_limit_is_exit_code_4_and_the_summary_is_told(terminal: Terminal) -> None:
    answers = [call("read_file", {"path": "a.py"}, work()), Reply("I only read it.")]
    terminal.model.play(*answers)
    ran = await terminal.run("--iterations", "1", "edit a.py")
    assert ran.code == 4
    assert "I only read it." in ran.out


async def test_ctrl_c_cancels_kills_the_command_and_says_so(terminal: Terminal) -> None:
    answers = [edit("a.py", "a", "b"), call("run_command", {"command": "echo on; sleep 600 & sleep 601"})]
    terminal.model.play(*answers)
    process = await terminal.start("--json", "--yes", "edit a.py and wait")
    assert process.stdout is not None
    lines: list[bytes] = []
    while not lines or b'"toolOutput"' not in lines[-1]:
        lines.append(await asyncio.wait_for(process.stdout.readline(), PATIENCE))
        assert lines[-1], "it ended before that"
    children: list[psutil.Process] = descendants(process.pid)
    process.send_signal(signal.SIGINT)
    ran = await ended(process)
    assert ran.code == 130
    assert ran.events[-1]["stopReason"] == "cancelled"
    assert ran.events[-1]["files"] == ["a.py"]
    assert await gone(children)
    assert (terminal.workspace / "a.py").read_text() == "b\n"


async def test_ctrl_c_for_people_says_that_it_was_cancelled_and_what_was_changed(terminal: Terminal) -> None:
    terminal.model.play(edit("a.py", "a", "b"), slowly("Now I think "))
    process = await terminal.start("--yes", "edit a.py and think")
    assert process.stdout is not None
    shown = b""
    while b"think" not in shown.replace(b"edit a.py and think", b""):
        more = await asyncio.wait_for(process.stdout.read(4096), PATIENCE)
        assert more, "it ended before that"
        shown += more
    process.send_signal(signal.SIGINT)
    ran = await ended(process)
    assert ran.code == 130
    assert "ancelled" in ran.out
    assert "a.py" in shown.decode() + ran.out


async def test_at_a_terminal_the_diff_is_shown_before_it_is_asked_about(terminal: Terminal) -> None:
    terminal.model.play(edit("a.py", "a", "b"), Reply("Made a a b."))
    outer, inner = os.openpty()
    process = await terminal.start("make a a b in a.py", stdin=inner, stdout=inner)
    os.close(inner)
    shown = ""
    while "none: " not in shown:
        shown += (await asyncio.wait_for(asyncio.to_thread(os.read, outer, 4096), PATIENCE)).decode()
    assert "+b" in shown[: shown.index("[a]ccept")]
    os.write(outer, b"all\n")
    ran = await ended(process)
    os.close(outer)
    assert (ran.code, ran.err) == (0, "")
    assert (terminal.workspace / "a.py").read_text() == "b\n"


@pytest.mark.parametrize("flags", [(), ("--json",)])
async def test_when_nobody_reads_any_more_the_turn_is_cancelled_in_silence(
    terminal: Terminal, flags: tuple[str, ...]
) -> None:
    terminal.model.play(slowly("And on and on "))
    outer, inner = os.pipe()
    process = await terminal.start("talk", *flags, stdout=inner)
    os.close(inner)
    await asyncio.to_thread(os.read, outer, 1)
    os.close(outer)
    ran = await ended(process)
    assert (ran.code, ran.err) == (130, "")


async def test_a_task_that_is_not_in_the_locales_encoding_is_read_as_utf_8(terminal: Terminal) -> None:
    terminal.model.play(Reply(reply("Grüß dich.")))
    process = await asyncio.create_subprocess_exec(
        *python(
            "-m",
            "agentic_server",
            "run",
            "--base-url",
            terminal.model.url,
            os.fsdecode(b"Gr\xc3\xbc\xc3\x9fe, caf\xe9"),
        ),
        env={
            "PATH": "/usr/bin:/bin",
            **environment(terminal.folder),
            "LC_ALL": "C",
            "PYTHONUTF8": "0",
            "PYTHONCOERCECLOCALE": "0",
        },
        cwd=terminal.workspace,
        stdout=PIPE,
        stderr=PIPE,
    )
    ran = await ended(process)
    assert (ran.code, ran.err) == (0, "")
    assert "Grüße, caf\ufffd" in str(terminal.model.requests[-1]["messages"])


async def command(terminal: Terminal, *arguments: str) -> Ran:
    """Another command than `run`."""
    process = await asyncio.create_subprocess_exec(
        *python("-m", "agentic_server", *arguments),
        env={"PATH": "/usr/bin:/bin", **environment(terminal.folder)},
        cwd=terminal.workspace,
        stdout=PIPE,
        stderr=PIPE,
    )
    return await ended(process)


async def test_a_failed_task_is_taken_up_again_where_it_stood(terminal: Terminal) -> None:
    refused = status(400, {"error": {"message": "the model is not loaded any more"}})
    terminal.model.play(Reply(work("I read."), calls=[("read_file", {"path": "a.py"})]), refused)
    failed = await terminal.run("--mode", "accept-edits", "make a a b in a.py")
    assert failed.code == 1
    session = failed.out.split("agentic resume ")[1].split()[0]
    listed = await command(terminal, "sessions")
    assert f"{session}  " in listed.out
    assert "failed" in listed.out
    terminal.model.play(edit("a.py", "a", "b"), Reply("Made a a b."))
    resumed = await command(
        terminal, "resume", session, "--json", "--mode", "accept-edits", "--base-url", terminal.model.url
    )
    assert resumed.code == 0
    check_grammar(resumed.events)
    assert (terminal.workspace / "a.py").read_text() == "b\n"
    roles = [message["role"] for message in terminal.model.requests[0]["messages"]]
    assert roles == ["system", "user", "assistant", "tool", "user"]
    again = await command(terminal, "resume", session, "--base-url", terminal.model.url)
    assert again.code == 1
    assert "there is nothing to resume" in again.err


async def test_doctor_tells_of_a_state_folder_that_cannot_be_made(terminal: Terminal) -> None:
    (terminal.folder / "file").touch()
    where = terminal.folder / "file" / "state"
    ran = await command(terminal, "doctor", "--base-url", terminal.model.url, "--state-dir", str(where))
    assert f"✘ sessions: {where} cannot be written: Not a directory\n    Set `stateDir`" in ran.out


async def test_it_names_its_version(terminal: Terminal) -> None:
    ran = await command(terminal, "--version")
    assert (ran.code, ran.out) == (0, f"agentic {VERSION}\n")


@pytest.mark.parametrize("address", ["nonsense", "0.0.0.0:2087", "127.0.0.1:99999"])
async def test_a_wrong_address_to_listen_on_is_exit_code_2(terminal: Terminal, address: str) -> None:
    ran = await command(terminal, "serve", "--tcp", address)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "Give a loopback address such as 127.0.0.1:2087." in ran.err
