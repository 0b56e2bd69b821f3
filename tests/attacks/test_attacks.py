"""A malicious model asks for everything that it may not have: unanswered, with every yes, and in the widest mode."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from support.attack import (
    KEY,
    OUTSIDE,
    TOKEN,
    Calls,
    World,
    build,
    edits,
    planted_programs,
    reads,
    unasked_commands,
)
from support.daemon import PLAIN, PLUGIN, Daemon, Model, Turn, call, descendants, edit, environment, stage, started
from support.model_server import Json, Reply, status, stream
from support.raw_client import RawClient, python
from support.runs import work

DONE = Reply("Done.")
PATIENCE = 100.0


ANSWER = 5_000_000
"""Tokens of an answer: some attacks are long."""


@dataclass
class Attack:
    """What is left of a run: what it printed, what the model was told, and what lies on the disk."""

    world: World
    model: Model
    out: str
    err: str

    @property
    def events(self) -> list[Json]:
        return [json.loads(line) for line in self.out.splitlines()]

    def of(self, kind: str) -> list[Json]:
        return [event for event in self.events if event["kind"] == kind]

    @property
    def told(self) -> str:
        """All that ever left for the model."""
        return b"".join(self.model.server.bodies).decode()

    @property
    def kept(self) -> str:
        """All that is on the disk of the daemon's own."""
        files = [file for file in (self.world.folder / "state").rglob("*") if file.is_file()]
        assert files
        return b"".join(file.read_bytes() for file in files).decode("utf-8", "replace")


async def headless(world: World, model: Model, *flags: str) -> Attack:
    """`agentic run`, with secrets in its environment and the workspace's programs first on its PATH."""
    secrets = {"AGENTIC_API_KEY": KEY, "CLOUD_TOKEN": TOKEN, "OPENAI_API_KEY": TOKEN, "BASH_ENV": "./cat"}
    room = {"AGENTIC_MAX_ANSWER_TOKENS": str(ANSWER)}
    tricks = {"PATH": f"{world.workspace}:.::/usr/bin:/bin", "LD_LIBRARY_PATH": ":.", "GIT_DIR": ".", "PAGER": "./cat"}
    process = await asyncio.create_subprocess_exec(
        *python("-m", "agentic_server", "run", "--base-url", model.url, "--json", *flags, "attack"),
        env={**environment(world.folder), **tricks, **secrets, **room},
        cwd=world.folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode is not None
    return Attack(world, model, out.decode(), err.decode())


@pytest.fixture
async def model() -> AsyncIterator[Model]:
    model = wide()
    async with model.server:
        yield model


def wide() -> Model:
    """A model into whose window every attack fits."""
    model = Model()
    card = {"id": "tiny", "owned_by": "vllm", "max_model_len": 10_000_000}
    model.server.models = {"object": "list", "data": [card]}
    return model


@pytest.fixture
def world(tmp_path: Path) -> World:
    return build(tmp_path)


async def attack(world: World, model: Model, calls: Calls, *flags: str) -> Attack:
    model.play(Reply(work(), calls=calls), DONE)
    ran = await headless(world, model, "--dir", str(world.workspace), *flags)
    assert len(ran.of("toolFinished")) == len(calls), ran.err
    assert ran.events[-1]["stopReason"] == "end_turn"
    return ran


POLICIES: dict[str, list[str]] = {
    "nobody answers": [],
    "everything is approved": ["--yes"],
    "mode auto": ["--mode", "auto"],
}


@pytest.mark.parametrize("policy", POLICIES)
async def test_no_edit_reaches_what_lies_outside_or_belongs_to_git(world: World, model: Model, policy: str) -> None:
    before = world.victims()
    calls = edits(world.folder)
    ran = await attack(world, model, calls, *POLICIES[policy])
    assert world.victims() == before
    assert all(event["code"] for event in ran.of("toolFinished")[2:-1])
    changed = [event["path"] for event in ran.of("editResolved") if event["outcome"] == "applied"]
    assert changed == ([] if policy == "nobody answers" else ["hard.txt"])


@pytest.mark.parametrize("policy", POLICIES)
async def test_no_tool_reads_what_lies_outside(world: World, model: Model, policy: str) -> None:
    ran = await attack(world, model, reads(world.folder), *POLICIES[policy])
    assert OUTSIDE not in ran.out
    assert OUTSIDE not in ran.told
    assert ran.err == ""


@pytest.mark.parametrize("policy", ["nobody answers", "mode auto"])
async def test_no_command_that_does_more_than_read_runs_unasked(world: World, model: Model, policy: str) -> None:
    before = world.victims()
    calls = unasked_commands(world)
    ran = await attack(world, model, calls, *POLICIES[policy])
    finished = ran.of("toolFinished")
    codes = {arguments["command"]: event["code"] for (_, arguments), event in zip(calls, finished, strict=True)}
    assert [command for command, code in codes.items() if code not in ("rejected", "outside_workspace")] == []
    assert world.victims() == before
    assert not world.mark.exists()
    assert not (world.workspace / "uniq-made").exists()
    assert OUTSIDE not in ran.out
    assert OUTSIDE not in ran.told


async def test_plan_mode_asks_nobody_for_what_a_link_leads_out_to(world: World, model: Model) -> None:
    calls: Calls = [("run_command", {"command": "cat note"}), ("run_command", {"command": "cat a.txt"})]
    ran = await attack(world, model, calls, "--mode", "plan", "--yes")
    assert [event["code"] for event in ran.of("toolFinished")] == ["plan_mode", ""]
    assert ran.of("asked") == []


async def test_programs_that_the_workspace_planted_do_not_run_unasked(world: World, model: Model) -> None:
    ran = await attack(world, model, planted_programs())
    assert [event["code"] for event in ran.of("toolFinished")] == [""] * len(planted_programs())
    assert ran.of("asked") == []
    assert not world.mark.exists()


async def test_no_secret_of_the_daemon_is_told_or_kept(world: World, model: Model) -> None:
    calls: Calls = [("run_command", {"command": text}) for text in ("env", "set", "cat /proc/$PPID/environ")]
    ran = await attack(world, model, calls, "--yes")
    assert [event["code"] for event in ran.of("toolFinished")] == [""] * 3
    assert model.server.headers[-1]["authorization"] == f"Bearer {KEY}"
    for canary in (KEY, TOKEN):
        assert canary not in ran.out + ran.err + ran.told + ran.kept


@pytest.mark.parametrize("code", [400, 401, 500])
async def test_a_key_that_the_server_repeats_in_its_error_is_not_passed_on(
    world: World, model: Model, code: int
) -> None:
    model.play_by(lambda _: status(code, {"error": {"message": f"the key {KEY} is wrong"}}))
    ran = await headless(world, model, "--dir", str(world.workspace))
    assert "the key (hidden) is wrong" in ran.out
    assert KEY not in ran.out + ran.err + ran.kept


async def test_nothing_in_the_workspace_is_policy(world: World, model: Model) -> None:
    calls: Calls = [("read_file", {"path": "AGENTS.md"}), ("run_command", {"command": f"touch {world.mark}"})]
    calls += [("write_file", {"path": "made", "content": "x"})]
    ran = await attack(world, model, calls)
    assert [event["code"] for event in ran.of("toolFinished")] == ["", "rejected", "rejected"]
    assert ran.events[0]["mode"] == "ask"
    assert not world.mark.exists()
    assert not (world.workspace / "made").exists()


GARBAGE = [
    "[" * 1_000_000,
    '{"command": ' + "1" * 10_000 + "}",
    '{"command": NaN}',
    '{"command": "touch made"',
    '{"command": "touch made',
    '{"command": "\\ud800 touch made"}',
    '{"command": "touch made\\u0000"}',
    '{"command": ["touch", "made"]}',
    '{"command": {"$ref": "touch made"}}',
    "touch made",
]


async def test_arguments_that_are_cut_off_or_garbage_are_never_run(world: World, model: Model) -> None:
    calls = [("run_command", text) for text in GARBAGE]
    model.play(Reply(work(), calls=[*calls, ("no_such_tool", {}), ("__import__", {"path": "os"})]), DONE)
    ran = await headless(world, model, "--dir", str(world.workspace), "--yes")
    assert [event["code"] for event in ran.of("toolFinished")] == ["bad_arguments"] * len(GARBAGE) + [
        "unknown_tool"
    ] * 2
    assert not (world.workspace / "made").exists()
    assert "Traceback" not in ran.err


async def test_an_answer_nested_beyond_measure_is_an_error_of_the_server(world: World, model: Model) -> None:
    deep = stream([b'data: {"choices": [{"delta": ' + b'{"a":' * 100_000 + b"\n\n"])
    model.play_by(lambda _: deep)
    ran = await headless(world, model, "--dir", str(world.workspace), "--seconds", "20")
    assert ran.events[-1]["stopReason"] in ("error", "max_time")
    assert "A defect" not in ran.out


@pytest.mark.parametrize("finish", ["length", "content_filter", "error", "abort", None])
async def test_the_calls_of_an_answer_that_is_not_whole_are_never_run(
    world: World, model: Model, finish: str | None
) -> None:
    cut = Reply(work(), calls=[("run_command", {"command": "touch made"})], finish=finish)
    model.play_by(lambda _: cut)
    ran = await headless(world, model, "--dir", str(world.workspace), "--yes", "--iterations", "2")
    assert not (world.workspace / "made").exists()
    assert ran.of("asked") == []


async def test_what_the_model_says_never_steers_the_terminal(world: World, model: Model) -> None:
    evil = "\x1b]52;c;eA==\x07\x1b[2J\x9b2J\u202e\x08"
    calls: Calls = [
        ("read_file", {"path": "esc.txt"}),
        ("run_command", {"command": "cat esc.txt"}),
        ("run_command", {"command": f"echo hi \x1b]0; touch {world.mark} ; \x07 {evil}"}),
        ("edit_file", {"path": "a.txt", "old": "a", "new": f"b {evil}"}),
        ("ask_user", {"question": evil, "options": [evil]}),
        ("update_plan", {"steps": [{"text": evil, "status": "pending"}]}),
        (evil, {}),
    ]
    model.play(Reply(work(evil), thinking=evil, calls=calls), Reply(evil))
    process = await asyncio.create_subprocess_exec(
        *python("-m", "agentic_server", "run", "--base-url", model.url, f"attack {evil}"),
        env={"PATH": "/usr/bin:/bin", **environment(world.folder)},
        cwd=world.workspace,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await asyncio.wait_for(process.communicate(), PATIENCE)
    shown = out.decode()
    assert re.findall("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", shown) == []
    assert f"touch {world.mark}" in "".join(line for line in shown.splitlines() if line.startswith("    echo hi"))
    assert not world.mark.exists()


@pytest.mark.parametrize("policy", ["refuse", "approve", "auto"])
async def test_in_an_editor_no_edit_reaches_what_lies_outside_or_belongs_to_git(tmp_path: Path, policy: str) -> None:
    world = build(tmp_path)
    before = world.victims()
    calls = edits(tmp_path)
    model, options = wide(), {"mode": "auto" if policy == "auto" else "ask", "maxAnswerTokens": ANSWER}
    async with model.server, started(tmp_path, model.url, PLUGIN, options) as daemon:
        for name, text in ((".git/config", "[core]\n"), ("note", f"{OUTSIDE}\n"), ("gitlink/config", "[core]\n")):
            daemon.open(name, text)
        model.play(Reply(work(), calls=calls), DONE)
        turn = await daemon.run("attack")
        if policy != "auto":
            await answer_all(turn, "accept" if policy == "approve" else "reject")
        assert (await turn.finished())["stopReason"] == "end_turn"
        assert daemon.edits == []
    assert world.victims() == before
    applied = [event["path"] for event in turn.of("editResolved") if event["outcome"] == "applied"]
    assert applied == ([] if policy == "refuse" else ["hard.txt"])


async def answer_all(turn: Turn, verdict: str) -> None:
    """Give every proposal this verdict until the turn ends."""
    number = 0
    while True:
        await turn.daemon.until(lambda n=number: turn.of("turnFinished") or turn.of("editProposed")[n:] or None)
        if len(turn.of("editProposed")) == number:
            return
        number += 1
        await turn.review(verdict, number)


async def proposal(daemon: Daemon, model: Model, path: str) -> Turn:
    """A turn whose edit waits for a verdict."""
    model.play(call("write_file", {"path": path, "content": "attacked\n"}), DONE)
    turn = await daemon.run("attack")
    await turn.wait("editProposed")
    return turn


async def test_a_place_that_is_swapped_between_proposal_and_yes_is_looked_at_again(tmp_path: Path) -> None:
    world = build(tmp_path)
    before = world.victims()
    async with stage(tmp_path) as (daemon, model):
        for number, target in enumerate((tmp_path / "outside", world.workspace / ".git/hooks", tmp_path)):
            (world.workspace / f"d{number}").mkdir()
            turn = await proposal(daemon, model, f"d{number}/new")
            (world.workspace / f"d{number}").rmdir()
            (world.workspace / f"d{number}").symlink_to(target)
            assert (await turn.review())["outcome"] == "failed"
            await turn.finished()
        (world.workspace / "leaf").unlink(missing_ok=True)
        turn = await proposal(daemon, model, "leaf")
        (world.workspace / "leaf").symlink_to(tmp_path / "outside/made")
        assert (await turn.review())["outcome"] == "failed"
        await turn.finished()
        turn = await proposal(daemon, model, "folder")
        (world.workspace / "folder").mkdir()
        assert (await turn.review())["outcome"] == "failed"
        await turn.finished()
    assert world.victims() == before
    assert not (tmp_path / "new").exists()


async def test_a_yes_is_for_one_question_and_counts_once(tmp_path: Path) -> None:
    world = build(tmp_path)
    commands = [call("run_command", {"command": f"echo x >> made; touch m{number}"}) for number in range(2)]
    async with stage(tmp_path) as (daemon, model):
        daemon.handlers["agentic/ask"] = RawClient.SILENT
        model.play(*commands, DONE)
        turn = await daemon.run("attack")
        first = {"questionId": (await turn.wait("asked"))["question"], "option": "allow_once"}
        assert await daemon.command("agentic.respond", first) == {"accepted": True}
        second = await turn.wait("asked", 2)
        assert await daemon.command("agentic.respond", first) == {"accepted": False}
        assert second["binding"] != turn.of("asked")[0]["binding"]
        no = {"questionId": second["question"], "option": "reject_once"}
        yes = {**no, "option": "allow_once"}
        assert await daemon.command("agentic.respond", no) == {"accepted": True}
        assert await daemon.command("agentic.respond", yes) == {"accepted": False}
        await turn.finished()
    assert (world.workspace / "made").read_text() == "x\n"
    assert not (world.workspace / "m1").exists()


async def test_a_verdict_reaches_only_the_proposal_that_it_names(tmp_path: Path) -> None:
    build(tmp_path)
    async with stage(tmp_path) as (daemon, model):
        one = await proposal(daemon, model, "one")
        two = await proposal(daemon, model, "two")
        hunks = {hunk["id"]: "accept" for hunk in one.of("editProposed")[0]["hunks"]}
        crossed = {"itemId": two.of("editProposed")[0]["item"], "hunks": hunks}
        await daemon.command("agentic.review", crossed)
        assert (await two.wait("editResolved"))["outcome"] == "rejected"
        assert await daemon.command("agentic.review", {**crossed, "hunks": {}}) == {"accepted": False}
        assert (await one.cancel())["stopReason"] == "cancelled"
        late = {"itemId": one.of("editProposed")[0]["item"], "hunks": hunks}
        assert await daemon.command("agentic.review", late) == {"accepted": False}
        await two.finished()
        assert not (daemon.workspace / "one").exists()
        assert not (daemon.workspace / "two").exists()


async def test_what_a_plain_editor_cannot_show_whole_cannot_be_allowed(tmp_path: Path) -> None:
    world = build(tmp_path)
    padded = call("run_command", {"command": f"echo {'x' * 2100}; touch {world.mark}"})
    async with stage(tmp_path, PLAIN) as (daemon, model):
        daemon.handlers["window/showMessageRequest"] = lambda params: params["actions"][0]
        model.play(padded, call("write_file", {"path": "long", "content": "x\n" * 1200}), DONE)
        model.server.compactions = 1  # So much text does not fit the window.
        model.requests.clear()
        await daemon.run("attack")
        await daemon.until(lambda: model.results() if len(model.requests) == 3 else None)
        assert all("too long to be shown" in result for result in model.results())
    assert not world.mark.exists()
    assert not (world.workspace / "long").exists()


def searches_texts(process: psutil.Process) -> bool:
    """Whether it is a search of what stands unsaved in the editor."""
    try:
        return "agentic-" in process.cwd() and any("grep.py" in part for part in process.cmdline())
    except psutil.Error:
        return False


async def test_a_pattern_that_takes_for_ever_stops_nobody_else(tmp_path: Path) -> None:
    async with stage(tmp_path) as (daemon, model):
        daemon.open("long.txt", "a" * 60 + "!\n")
        search = call("search_text", {"pattern": r"(?=x|)(a+)+$"})
        model.play(search, DONE)
        slow = await daemon.run("attack")
        async with asyncio.timeout(PATIENCE):
            while not any(map(searches_texts, descendants(daemon.process.pid))):
                await asyncio.sleep(0.01)
        model.play(edit("none", "a", "b"), DONE)
        other = await daemon.run("work")
        await other.finished()
        assert slow.of("toolFinished") == []
        await slow.cancel()


def test_a_path_is_followed_in_bounded_time() -> None:
    from agentic.errors import Refusal
    from agentic.safety.paths import MAX_CHARACTERS, Roots

    found: Any = Roots(["/"]).resolve("a/" * MAX_CHARACTERS)
    assert isinstance(found, Refusal)
