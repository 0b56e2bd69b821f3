"""Sub-agents, councils and contests in the real daemon: who works when, what is asked, and what is left behind."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from support.cast import Cast
from support.daemon import (
    HANG,
    PATIENCE,
    PLAIN,
    Daemon,
    Model,
    Turn,
    call,
    descendants,
    edit,
    gone,
    named,
    stage,
    started,
)
from support.model_server import Answer, Reply
from support.runs import work

NAMES = ("api", "web", "store", "tests")
LARGE = Reply(work(complexity=0.9))
DONE = Reply("All of it is done.")
ALLOW = {"option": "allow_once"}
LONG_AGO = "a = 1\n# not saved\n"
FILES = {"api.py": "a = 1\n", "web.py": "b = 1\n", "store.py": "c = 1\n", "tests.py": "d = 1\n"}


def parting(*names: str) -> Reply:
    parts = [{"name": name, "text": f"Do what is to be done in {name}.py."} for name in names]
    return call("delegate", {"subtasks": parts})


def worker(name: str) -> list[Answer]:
    """Changes its file and says so."""
    before = FILES[f"{name}.py"]
    return [edit(f"{name}.py", before.strip(), f"{before[0]} = 2"), Reply(f"{name}.py says two now.")]


def company(*names: str, **scripts: Sequence[Answer]) -> Cast:
    """A large task that is parted between these."""
    workers = {name: scripts.get(name) or worker(name) for name in names}
    return Cast({"main": [LARGE, parting(*names), DONE], **workers}, len(names))


def write_files(daemon: Daemon) -> None:
    """All files, of which one is open with a line that is not saved."""
    for name, text in FILES.items():
        daemon.file(name, text)
    daemon.open("api.py", LONG_AGO)


def contents(daemon: Daemon) -> dict[str, str]:
    """What the user sees of each file: the open document, or what is on disk."""
    on_disk = {path.name: path.read_text() for path in daemon.workspace.iterdir() if path.is_file()}
    return on_disk | {"api.py": daemon.text("api.py")}


def left_behind(folder: Path) -> list[str]:
    return [path.name for path in (folder / "temporary").iterdir()]


BEFORE = {**FILES, "api.py": LONG_AGO}
AFTER = {"api.py": "a = 2\n# not saved\n", "web.py": "b = 2\n", "store.py": "c = 2\n", "tests.py": "d = 2\n"}


async def test_four_agents_work_at_once_on_one_change_that_is_asked_for_once_and_undone_once(tmp_path: Path) -> None:
    async with stage(tmp_path) as (daemon, model):
        write_files(daemon)
        daemon.handlers["agentic/ask"] = lambda _: ALLOW
        cast = company(*NAMES)
        cast.hold()
        model.play_by(cast)
        turn = await daemon.run("Build it all.", mode="ask")
        end = await turn.finished()
        assert (end["stopReason"], end["summary"], sorted(end["files"])) == ("end_turn", DONE.text, sorted(FILES))
        assert contents(daemon) == AFTER
        assert (daemon.workspace / "api.py").read_text() == FILES["api.py"]
        parts, joined = [asked["params"] for asked in daemon.requests if asked["method"] == "agentic/ask"]
        assert parts["title"] == "Work on 4 parts at once?"
        assert all(f"{name}: Do what is to be done in {name}.py." in parts["detail"] for name in NAMES)
        assert joined["title"] == "Apply the joined work: 4 files, +4 −4?"
        assert all(f"+{FILES[f'{name}.py'][0]} = 2" in joined["detail"] for name in NAMES)
        assert [event["name"] for event in turn.of("subAgentStarted")] == list(NAMES)
        assert {event["name"]: event["stopReason"] for event in turn.of("subAgentFinished")} == dict.fromkeys(
            NAMES, "end_turn"
        )
        undone = await daemon.command("agentic.undoTask", {"sessionId": turn.session})
        assert {file["path"]: file["outcome"] for file in undone["files"]} == dict.fromkeys(FILES, "applied")
        assert contents(daemon) == BEFORE
        assert left_behind(tmp_path) == []


async def test_a_client_without_our_capability_is_asked_by_messages(tmp_path: Path) -> None:
    async with stage(tmp_path, PLAIN) as (daemon, model):
        write_files(daemon)
        daemon.handlers["window/showMessageRequest"] = lambda params: params["actions"][0]
        model.play_by(company(*NAMES))
        await daemon.run("Build it all.", mode="ask")
        told = await daemon.until(lambda: daemon.received("window/showMessage") or None)
        assert told[0]["message"] == DONE.text
        parts, joined = [asked["params"] for asked in daemon.requests if asked["method"] == "window/showMessageRequest"]
        assert parts["message"].startswith("Work on 4 parts at once?")
        assert "web: Do what is to be done in web.py." in parts["message"]
        assert joined["message"].startswith("Apply the joined work: 4 files")
        assert [action["title"] for action in joined["actions"]] == ["Apply all", "File by file", "Reject all"]
        assert "+b = 2" in joined["message"]
        assert contents(daemon) == AFTER


async def test_what_is_too_much_for_one_message_is_asked_for_file_by_file(tmp_path: Path) -> None:
    async with stage(tmp_path, PLAIN) as (daemon, model):
        write_files(daemon)
        wide = "".join(f"line = {number}\n" for number in range(80))
        longer = {name: [call("write_file", {"path": f"new/{name}.py", "content": wide}), DONE] for name in NAMES}
        daemon.handlers["window/showMessageRequest"] = lambda params: params["actions"][0]
        model.play_by(company(*NAMES, **longer))
        await daemon.run("Build it all.", mode="ask")
        await daemon.until(lambda: daemon.received("window/showMessage") or None)
        messages = [asked["params"]["message"] for asked in daemon.requests if "message" in asked["params"]]
        assert [message.split("\n")[0] for message in messages[1:]] == [
            f"Create new/{name}.py? (+80 -0)" for name in sorted(NAMES)
        ]
        assert {path.name for path in (daemon.workspace / "new").iterdir()} == set(FILES)


async def test_a_no_to_the_joined_work_leaves_every_file_as_it_was(tmp_path: Path) -> None:
    async with stage(tmp_path) as (daemon, model):
        write_files(daemon)
        answers = iter([ALLOW, {"option": "reject_once"}])
        daemon.handlers["agentic/ask"] = lambda _: next(answers)
        model.play_by(company(*NAMES))
        turn = await daemon.run("Build it all.", mode="ask")
        assert (await turn.finished())["files"] == []
        assert contents(daemon) == BEFORE
        assert "rejected" in model.results()[-1]


async def test_a_small_task_is_parted_on_request_and_words_said_meanwhile_reach_the_main_agent(tmp_path: Path) -> None:
    async with stage(tmp_path, options={"mode": "accept-edits"}) as (daemon, model):
        write_files(daemon)
        cast = company("api", "web")
        cast.scripts["main"] = [Reply(work()), parting("api", "web"), DONE]
        cast.together = 3
        cast.hold()
        model.play_by(cast)
        turn = await daemon.run("/team Build it all.")
        await turn.wait("subAgentStarted", 2)
        said = {"sessionId": turn.session, "text": "And be quick."}
        assert await daemon.command("agentic.steer", said) == {"accepted": True}
        cast.all_there.set()
        assert (await turn.finished())["stopReason"] == "end_turn"
        kinds = [event["kind"] for event in turn.events if event["agent"] == "main"]
        assert kinds.index("steered") > kinds.index("subAgentFinished")
        assert turn.of("turnStarted")[0]["text"] == "Build it all."
        heard = [request["messages"] for request in model.requests if "And be quick." in str(request["messages"])]
        assert len(heard) == 1


def waiting(name: str) -> list[Answer]:
    """Runs a command that goes on and on."""
    return [call("run_command", {"command": f"echo {name} > {name}.out; (sleep 600 &) ; echo on; sleep 601"})]


async def commands_run(daemon: Daemon, model: Model) -> Turn:
    """Two sub-agents whose commands run in their copies."""
    write_files(daemon)
    daemon.handlers["agentic/ask"] = lambda _: ALLOW
    model.play_by(company("api", "web", api=waiting("api"), web=waiting("web")))
    turn = await daemon.run("Build it all.", mode="ask")
    await turn.wait("toolOutput", 2)
    return turn


async def test_cancelling_ends_all_agents_and_their_commands_and_leaves_nothing_behind(tmp_path: Path) -> None:
    async with stage(tmp_path) as (daemon, model):
        turn = await commands_run(daemon, model)
        while len(commands := named(daemon.process.pid, "sleep")) < 4:
            await asyncio.sleep(0.01)
        assert len(left_behind(tmp_path)) == 2
        await turn.cancel()
        ended = {event["agent"]: event["stopReason"] for event in turn.of("turnFinished")}
        assert ended == dict.fromkeys(("main", "api", "web"), "cancelled")
        assert await gone(commands)
        assert left_behind(tmp_path) == []
        assert contents(daemon) == BEFORE


async def test_cancelling_while_the_models_answer_closes_every_connection(tmp_path: Path) -> None:
    async with stage(tmp_path) as (daemon, model):
        write_files(daemon)
        daemon.handlers["agentic/ask"] = lambda _: ALLOW
        cast = company(*NAMES, **{name: [HANG] for name in NAMES})
        model.play_by(cast)
        turn = await daemon.run("Build it all.", mode="ask")
        await asyncio.wait_for(cast.all_there.wait(), PATIENCE)
        await turn.cancel()
        while model.server.connections_closed < len(NAMES):
            await asyncio.wait_for(model.server.client_closed.wait(), PATIENCE)
            model.server.client_closed.clear()
        assert {event["stopReason"] for event in turn.of("turnFinished")} == {"cancelled"}


async def test_a_sub_agents_command_is_asked_for_in_its_name(tmp_path: Path) -> None:
    run = call("run_command", {"command": "echo x > made; cat web.py"})
    async with stage(tmp_path, options={"mode": "accept-edits"}) as (daemon, model):
        write_files(daemon)
        daemon.handlers["agentic/ask"] = lambda _: ALLOW
        model.play_by(company("api", "web", web=[*worker("web")[:1], run, Reply("Ran it.")]))
        turn = await daemon.run("Build it all.")
        await turn.finished()
        [asked] = [asked["params"] for asked in daemon.requests if asked["method"] == "agentic/ask"]
        assert asked["agent"] == "web"
        assert asked["detail"].startswith("echo x > made; cat web.py")
        assert [event["agent"] for event in turn.of("asked")] == ["web"]
        output = "".join(event["text"] for event in turn.of("toolOutput"))
        assert output == "b = 2\n", "a command sees its agent's edits"
        assert (daemon.workspace / "made").read_text() == "x\n", "what it wrote belongs to the joined work"
        assert left_behind(tmp_path) == []


async def test_a_plain_client_is_told_whose_command_it_allows(tmp_path: Path) -> None:
    run = call("run_command", {"command": "echo x > made"})
    async with stage(tmp_path, PLAIN) as (daemon, model):
        write_files(daemon)
        daemon.handlers["window/showMessageRequest"] = lambda params: params["actions"][0]
        model.play_by(company("api", "web", web=[run, Reply("Ran it.")]))
        await daemon.run("Build it all.", mode="ask")
        await daemon.until(lambda: daemon.received("window/showMessage") or None)
        messages = [asked["params"]["message"] for asked in daemon.requests if "message" in asked["params"]]
        assert messages[1].startswith("web: Run this command?\n\necho x > made")


async def killed(daemon: Daemon) -> None:
    children = descendants(daemon.process.pid)
    daemon.process.kill()
    await daemon.process.wait()
    assert await gone(children)


async def proposed(turn: Turn, number: int) -> dict[str, Any]:
    """The n-th change that is put before the user; those of sub-agents to their own views are not."""
    found = await turn.daemon.until(
        lambda: [e for e in turn.of("editProposed") if e["agent"] == "main"][number - 1 : number] or None
    )
    return found[0]


async def resumed(daemon: Daemon, session: str) -> Turn:
    return Turn(daemon, await daemon.command("agentic.resume", {"sessionId": session}))


async def test_after_a_kill_in_the_midst_of_sub_agents_the_turn_is_resumed(tmp_path: Path) -> None:
    model = Model()
    async with model.server:
        async with started(tmp_path, model.url) as daemon:
            turn = await commands_run(daemon, model)
            assert len(left_behind(tmp_path)) == 2
            await killed(daemon)
        async with started(tmp_path, model.url) as daemon:
            daemon.open("api.py", LONG_AGO)
            daemon.handlers["agentic/ask"] = lambda _: ALLOW
            [info] = (await daemon.command("agentic.sessions", {}))["sessions"]
            assert info["state"] == "interrupted"
            assert contents(daemon) == BEFORE
            model.play_by(Cast({"main": [LARGE, DONE, parting(*NAMES), DONE], **{n: worker(n) for n in NAMES}}))
            again = await resumed(daemon, turn.session)
            end = await again.wait("turnFinished", 5)
            assert (end["agent"], end["stopReason"], sorted(end["files"])) == ("main", "end_turn", sorted(FILES))
            assert contents(daemon) == AFTER
            while left_behind(tmp_path):  # What the killed one left is removed with the next start, in a thread.
                await asyncio.sleep(0.01)


async def test_after_a_kill_between_two_files_none_is_applied_twice(tmp_path: Path) -> None:
    model = Model()
    by_file = iter([ALLOW, {"option": "each"}])
    longer = [edit("log.txt", "line", "line, line"), Reply("Made it longer.")]
    async with model.server:
        async with started(tmp_path, model.url) as daemon:
            daemon.handlers["agentic/ask"] = lambda _: next(by_file)
            log, web = daemon.file("log.txt", "line\n"), daemon.file("web.py", FILES["web.py"])
            model.play_by(company("log", "web", log=longer))
            turn = await daemon.run("Build it all.", mode="ask")
            first = await proposed(turn, 1)
            hunks = {hunk["id"]: "accept" for hunk in first["hunks"]}
            await daemon.command("agentic.review", {"itemId": first["item"], "hunks": hunks})
            assert [first["path"], (await proposed(turn, 2))["path"]] == ["log.txt", "web.py"]
            await killed(daemon)
        assert (log.read_text(), web.read_text()) == ("line, line\n", FILES["web.py"])
        async with started(tmp_path, model.url) as daemon:
            model.play(Reply("The rest is not wanted."), DONE)
            end = await (await resumed(daemon, turn.session)).wait("turnFinished")
            assert (end["agent"], end["stopReason"]) == ("main", "end_turn")
            assert (log.read_text(), web.read_text()) == ("line, line\n", FILES["web.py"])
            told = str(model.requests[0]["messages"])
            assert "interrupted" in told, "the model is told that its call did not come to its end"
            undone = await daemon.command("agentic.undoTask", {"sessionId": turn.session})
            assert undone["files"] == [{"path": "log.txt", "outcome": "applied", "reason": ""}]
            assert log.read_text() == "line\n"


ROLES = ("architect", "developer", "tester")


def member(name: str) -> list[Answer]:
    others = [role for role in ROLES if role != name]
    scores = {role: {"score": 9 if role == "tester" else 3, "reason": "so"} for role in ROLES}
    return [
        Reply(f"I, the {name}, would.\n\n1. {name} first\n2. {name} second"),
        Reply("\n".join(f"## {other}\nToo slow." for other in others)),
        Reply(f"I, the {name}, would after all.\n\n1. {name} first\n2. {name} last"),
        Reply(json.dumps(scores)),
    ]


async def test_a_council_settles_the_plan_all_members_at_once(tmp_path: Path) -> None:
    async with stage(tmp_path) as (daemon, model):
        cast = Cast({"main": [Reply(work()), DONE], **{role: member(role) for role in ROLES}}, len(ROLES))
        cast.hold()
        model.play_by(cast)
        turn = await daemon.run("How shall it be done?", deliberate="plan")
        end = await turn.finished()
        assert (end["stopReason"], end["summary"]) == ("end_turn", DONE.text)
        assert {event["role"] for event in turn.of("councilProposal")} == set(ROLES)
        assert len(turn.of("councilCritique")) == 6
        assert turn.of("councilDecision")[0]["ranking"][0] == "tester"
        assert [step["text"] for step in turn.of("planUpdated")[-1]["steps"]] == ["tester first", "tester last"]
        assert [event["agent"] for event in turn.of("turnFinished")] == [*ROLES, "main"]
        transcript = await daemon.command("agentic.transcript", {"sessionId": turn.session})
        said = [message["content"] for message in transcript["messages"] if message["role"] == "assistant"]
        assert not [text for text in said if "I, the" in text], "a member's words are its own conversation"
        [info] = (await daemon.command("agentic.sessions", {}))["sessions"]
        assert (info["turns"], info["state"]) == (1, "finished")


CALC = "def add(a, b):\n    return a - b\n"
TEST = """\
import unittest

from calc import add


class Adding(unittest.TestCase):
    def test_adding(self) -> None:
        self.assertEqual(add(2, 2), 4)
"""
CHECK = "python3 -m unittest -q 2>&1"


@pytest.fixture
async def contest(tmp_path: Path) -> AsyncIterator[tuple[Daemon, Model]]:
    async with stage(tmp_path, options={"mode": "accept-edits"}) as (daemon, model):
        daemon.file("calc.py", CALC)
        daemon.file("test_calc.py", TEST)
        daemon.handlers["agentic/ask"] = lambda _: ALLOW
        yield daemon, model


def candidate(new: str, *before: Answer) -> list[Answer]:
    return [*before, edit("calc.py", "return a - b", new), call("run_command", {"command": CHECK}), Reply(f"I {new}.")]


async def test_the_patch_that_passes_the_tests_is_applied_and_the_others_leave_no_trace(
    contest: tuple[Daemon, Model], tmp_path: Path
) -> None:
    daemon, model = contest
    litter = call("write_file", {"path": "loser.txt", "content": "I was here.\n"})
    good = "return a + b"
    scripts = {"main": [Reply(work()), DONE], **dict(zip(_emphases(), _patches(litter, good), strict=True))}
    model.play_by(Cast(scripts))
    turn = await daemon.run("Mend add.", deliberate="patch")
    end = await turn.finished()
    assert (end["stopReason"], end["files"]) == ("end_turn", ["calc.py"])
    assert (daemon.workspace / "calc.py").read_text() == CALC.replace("return a - b", good)
    decision = turn.of("councilDecision")[0]
    assert decision["ranking"][0] == "candidate-2"
    assert CHECK in decision["reason"]
    files = sorted(str(path.relative_to(daemon.workspace)) for path in daemon.workspace.rglob("*"))
    assert files == ["calc.py", "test_calc.py"]
    assert left_behind(tmp_path) == []
    assert len(turn.of("councilProposal")) == 3


def _emphases() -> list[str]:
    from agentic.context.prompts import load

    return load("candidate_emphasis").split("\n")[:3]


def _patches(litter: Answer, good: str) -> list[list[Answer]]:
    return [candidate("return a * b + 1", litter), candidate(good), candidate("return b - a", litter)]


async def test_the_progress_of_a_plain_client_tells_which_agents_work(tmp_path: Path) -> None:
    async with stage(tmp_path, PLAIN, {"mode": "accept-edits"}) as (daemon, model):
        write_files(daemon)
        cast = company("api", "web")
        cast.hold()
        model.play_by(cast)
        await daemon.run("Build it all.")
        await daemon.until(lambda: [v for v in _progress(daemon) if v["kind"] == "end"] or None)
        messages = [value["message"] for value in _progress(daemon)]
        assert "at work: api, web" in messages
        assert "api: Edit api.py · with web" in messages
        assert messages[-1] == f"end_turn: {DONE.text}"
        assert [value["kind"] for value in _progress(daemon)].count("end") == 1


def _progress(daemon: Daemon) -> list[dict[str, Any]]:
    return [params["value"] for params in daemon.received("$/progress")]
