"""Contests: which patch wins, and that nothing is left of the others."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from support.grammar import check

from agentic.change import Applied, Change, Snapshot, minimal_edits
from agentic.context.prompts import load
from agentic.disk.workspace import DiskWorkspace
from agentic.errors import Refusal
from agentic.events import (
    CouncilDecision,
    CouncilProposal,
    Event,
    Metrics,
    Origin,
    SubAgentFinished,
    SubAgentStarted,
    TurnFinished,
    TurnStarted,
)
from agentic.ports.workspace import Command, Exit, MemoryWorkspace, Workspace
from agentic.safety.paths import Roots
from agentic.task import CouncilRules, StopReason, TeamRules
from agentic.team.agent import Assignment, Outcome, Ran
from agentic.team.contest import MAX_CANDIDATES, Arena, Contest, contest

MAIN = Origin(session_id="s", turn_id="t", agent="main")
FILES = {
    "calc.py": "def add(a, b):\n    return a - b\n\n\ndef half(a):\n    return a\n",
    "tests.py": "import calc\n\n"
    "failed = [calc.add(1, 2) != 3, calc.half(4) != 2].count(True)\n"
    "print(f'{failed} failed, {2 - failed} passed in 0.01s')\n"
    "raise SystemExit(failed)\n",
    "old.txt": "old\n",
}
BROKEN = "def add(a, b:\n"
ONE_RIGHT = "def add(a, b):\n    return a + b\n\n\ndef half(a):\n    return a\n"
RIGHT = "def add(a, b):\n    return a + b\n\n\ndef half(a):\n    return a / 2\n"
WORDY = RIGHT + "\n\n# Adds and halves.\n# Nothing else.\n"
TESTS = f"{sys.executable} -BS tests.py"

Files = dict[str, str]


async def edit(workspace: Workspace, files: Mapping[str, str]) -> None:
    for path, text in files.items():
        now = await workspace.read(path)
        assert isinstance(now, Snapshot)
        done = await workspace.apply(Change(now.path, now.version, now.text, minimal_edits(now.text, text)))
        assert isinstance(done, Applied), done


async def run(workspace: Workspace, command: str) -> Ran:
    async with aclosing(workspace.run(Command(command))) as outputs:
        async for output in outputs:
            assert not isinstance(output, Refusal), output
            if isinstance(output, Exit):
                return Ran(command, output.code)
    raise AssertionError(f"{command} has no end")


@dataclass
class Stage:
    """A contest whose candidates do what is written here by their numbers, and all that was seen of it."""

    workspace: Workspace
    patches: list[Files]
    commands: list[list[str]] = field(default_factory=list[list[str]])
    stops: dict[int, StopReason] = field(default_factory=dict[int, StopReason])
    permits: bool = True
    command_seconds: float = 60.0
    events: list[Event] = field(default_factory=list[Event])
    asked: list[str] = field(default_factory=list[str])
    assignments: list[Assignment] = field(default_factory=list[Assignment])
    before_end: Callable[[], Awaitable[None]] | None = None

    async def play(self, command: str = "", team: TeamRules | None = None, candidates: int = 0) -> Contest:
        rules = CouncilRules(candidates=candidates or len(self.patches), check=command)
        arena = Arena(
            self.workspace,
            self.run_agent,
            self.allowed,
            MAIN,
            self.events.append,
            team or TeamRules(),
            command_seconds=self.command_seconds,
        )
        self.events.append(TurnStarted(**MAIN, text="t", mode="auto"))
        found = await contest("Make the tests pass.", rules, arena)
        self.events.append(TurnFinished(**MAIN, stop_reason="end_turn", summary="", metrics=Metrics()))
        check(self.events)
        return found

    async def allowed(self, command: str) -> bool:
        self.asked.append(command)
        return self.permits

    async def run_agent(self, assignment: Assignment) -> Outcome:
        name, index = assignment.name, int(assignment.name.removeprefix("candidate-")) - 1
        self.assignments.append(assignment)
        self.events.append(SubAgentStarted(**MAIN, name=name, text=assignment.text, priority=1, role="candidate"))
        origin = Origin(session_id="s", turn_id="t", agent=name)
        self.events.append(TurnStarted(**origin, text=assignment.text, mode="auto"))
        stop = self.stops.get(index, "end_turn")
        ran: list[Ran] = []
        try:
            await edit(assignment.workspace, self.patches[index])
            if self.commands:
                ran = [await run(assignment.workspace, command) for command in self.commands[index]]
            if self.before_end is not None:
                await self.before_end()
        finally:
            self.events.append(TurnFinished(**origin, stop_reason=stop, summary="Done.", metrics=Metrics()))
            self.events.append(SubAgentFinished(**MAIN, name=name, stop_reason=stop, summary="Done."))
        return Outcome(name, stop, f"{name} is done.", tuple(ran))

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture
async def disk(tmp_path: Path):
    root = tmp_path / "ws"
    root.mkdir()
    for name, text in FILES.items():
        (root / name).write_text(text)
    workspace = DiskWorkspace(Roots([root]))
    yield workspace, root
    await workspace.close()


def bytes_of(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def places_in(log: Path) -> set[Path]:
    """Where commands were run that print their folder."""
    return {Path(line) for line in log.read_text().split("\n") if line}


async def test_the_patch_that_passes_wins_and_nothing_is_left_of_the_others(disk: Any, tmp_path: Path) -> None:
    workspace, root = disk
    before, copies = bytes_of(root), tmp_path / "copies.txt"
    patches = [{"calc.py": ONE_RIGHT}, {"calc.py": BROKEN}, {"calc.py": WORDY}, {"calc.py": RIGHT}]
    stage = Stage(workspace, patches)
    found = await stage.play(f"pwd >> {copies}; {TESTS}")
    assert found.ranking == ("candidate-4", "candidate-3", "candidate-1", "candidate-2")
    assert found.scores == {"candidate-4": 1.0, "candidate-3": 1.0, "candidate-1": 0.5, "candidate-2": 0.0}
    assert [(change.path, change.after) for change in found.changes] == [("calc.py", RIGHT)]
    assert "candidate-4 passes" in found.reason
    assert bytes_of(root) == before
    assert len(places_in(copies)) == 4
    assert not any(place.exists() for place in places_in(copies))
    (decision,) = stage.of(CouncilDecision)
    assert (decision.ranking, decision.reason) == (list(found.ranking), found.reason)


async def test_the_check_is_the_command_that_most_candidates_ran(disk: Any) -> None:
    workspace, _ = disk
    stage = Stage(
        workspace,
        [{"calc.py": ONE_RIGHT}, {"calc.py": RIGHT}, {"old.txt": "new\n"}],
        commands=[["ls", TESTS], ["ls", TESTS], ["ls"]],
    )
    found = await stage.play()
    assert stage.asked == [found.check] == [TESTS]
    assert found.ranking == ("candidate-2", "candidate-1", "candidate-3")
    assert found.reason.startswith(f"candidate-2 passes `{TESTS}` (2 tests), which no other patch does.")


async def test_what_the_check_writes_is_no_part_of_the_patch(disk: Any) -> None:
    workspace, _ = disk
    stage = Stage(workspace, [{"calc.py": RIGHT}])
    found = await stage.play("echo x > report.txt; echo y >> calc.py")
    assert [(change.path, change.after) for change in found.changes] == [("calc.py", RIGHT)]


async def test_files_that_the_winner_removed_are_told(disk: Any) -> None:
    workspace, root = disk
    found = await Stage(workspace, [{}], commands=[["rm old.txt"]]).play("true")
    assert (found.winner, found.changes) == ("candidate-1", ())
    assert [gone.path for gone in found.removed] == ["old.txt"]
    assert (root / "old.txt").exists()


async def test_no_patch_passes_and_the_closest_wins(disk: Any) -> None:
    workspace, _ = disk
    found = await Stage(workspace, [{"calc.py": BROKEN}, {"calc.py": ONE_RIGHT}]).play(TESTS)
    assert found.winner == "candidate-2"
    assert found.reason == f"No patch passes `{TESTS}`; candidate-2 comes closest (1 of 2 tests fail)."


async def test_without_leave_to_check_problems_and_size_decide(disk: Any) -> None:
    workspace, root = disk
    patches = [{"calc.py": BROKEN}, {"calc.py": WORDY}, {"calc.py": RIGHT}]
    stage = Stage(workspace, patches, permits=False)
    found = await stage.play("touch ran")
    assert found.ranking == ("candidate-3", "candidate-2", "candidate-1")
    assert "no check was run: `touch ran` was not allowed" in found.reason
    assert not (root / "ran").exists()


async def test_equal_patches_are_one_with_more_votes() -> None:
    workspace = MemoryWorkspace(FILES, {"make check": (0, "fine\n")})
    patches = [{"calc.py": WORDY}, {"calc.py": RIGHT}, {"calc.py": WORDY}]
    stage = Stage(workspace, patches, stops={0: "max_iterations"})
    found = await stage.play("make check")
    assert found.ranking == ("candidate-3", "candidate-1", "candidate-2")
    assert found.winner == "candidate-3"
    assert "candidate-3, candidate-1 made the same change." in found.reason
    assert "candidate-1 was stopped: max_iterations." in found.reason
    assert len(workspace.checkouts) == 2
    assert all(checkout.closed for checkout in workspace.checkouts)


async def test_candidates_that_fail_or_change_nothing_come_last() -> None:
    workspace = MemoryWorkspace(FILES, {"make check": (1, "bad\n")})
    stage = Stage(workspace, [{}, {"calc.py": ONE_RIGHT}, {}], stops={0: "error"})
    found = await stage.play("make check")
    assert found.ranking[0] == found.winner == "candidate-2"
    assert found.scores == {"candidate-2": 0.0, "candidate-3": 0.0, "candidate-1": 0.0}


async def test_there_is_no_winner_where_nobody_changed_anything() -> None:
    stage = Stage(MemoryWorkspace(FILES), [{}, {}], stops={1: "error"})
    found = await stage.play("make check")
    assert (found.winner, found.changes, found.summary) == ("", (), "")
    assert found.reason == "No candidate changed anything. candidate-2 was stopped: error."
    assert stage.asked == []
    assert sorted(stage.of(CouncilDecision)[0].ranking) == ["candidate-1", "candidate-2"]


async def test_candidates_differ_in_temperature_and_emphasis_and_all_patches_are_told_whole() -> None:
    long = "x = 1\n" * 5_000
    stage = Stage(MemoryWorkspace(FILES, {"make check": (0, "")}), [{"calc.py": long}, {"calc.py": RIGHT}, {}])
    await stage.play("make check", TeamRules(iterations=7, seconds=70.0))
    assert [one.temperature for one in stage.assignments] == [0.2, 0.4, 0.6]
    assert len({one.text for one in stage.assignments}) == 3
    assert [one.title for one in stage.assignments] == load("candidate_emphasis").split("\n")[:3]
    assert all(one.text.startswith("Make the tests pass.") for one in stage.assignments)
    assert {(one.iterations, one.seconds, one.role) for one in stage.assignments} == {(7, 70.0, "candidate")}
    told = {event.role: event.text for event in stage.of(CouncilProposal)}
    assert told["candidate-1"].startswith("candidate-1 is done.")
    assert told["candidate-1"].count("+x = 1\n") + told["candidate-1"].endswith("+x = 1") == 5_000
    assert told["candidate-3"] == "candidate-3 is done."


async def test_no_more_candidates_work_at_once_than_agents_may() -> None:
    at_work = most = 0

    async def watch() -> None:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        for _ in range(5):
            await asyncio.sleep(0)
        at_work -= 1

    stage = Stage(MemoryWorkspace(FILES), [{}] * 20, before_end=watch)
    await stage.play(team=TeamRules(agents=2))
    assert (most, len(stage.assignments)) == (2, MAX_CANDIDATES)


async def test_cancelling_leaves_nothing(disk: Any, tmp_path: Path) -> None:
    workspace, root = disk
    before, copies, arrived = bytes_of(root), tmp_path / "copies.txt", asyncio.Event()

    async def hang() -> None:
        arrived.set()
        await asyncio.Event().wait()

    stage = Stage(workspace, [{"calc.py": RIGHT}], [[f"pwd >> {copies}"]], before_end=hang)
    playing = asyncio.create_task(stage.play("true"))
    async with asyncio.timeout(20):
        await arrived.wait()
    playing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await playing
    assert bytes_of(root) == before
    assert [place.exists() for place in places_in(copies)] == [False]
    assert len(stage.of(SubAgentFinished)) == 1


@pytest.mark.parametrize("command", ["exit 3", "sleep 60"])
async def test_a_check_that_fails_or_takes_too_long_is_not_passed(disk: Any, command: str) -> None:
    workspace, _ = disk
    stage = Stage(workspace, [{"calc.py": RIGHT}], command_seconds=0.5 if command == "sleep 60" else 60.0)
    found = await stage.play(command)
    assert found.scores == {"candidate-1": 0.0}
    assert found.reason == f"No patch passes `{command}`; candidate-1 comes closest. There is no other patch."


class NoCopies(MemoryWorkspace):
    """A workspace that cannot be copied."""

    async def check_out(self) -> Refusal:
        return Refusal("too_large", "The workspace is too large to be copied.")


async def test_a_check_that_cannot_be_run_leaves_problems_and_size() -> None:
    found = await Stage(NoCopies(FILES), [{"calc.py": WORDY}, {"calc.py": RIGHT}]).play("make check")
    assert found.winner == "candidate-2"
    assert found.reason == "candidate-2 is best by problems and size; `make check` could not be run."
