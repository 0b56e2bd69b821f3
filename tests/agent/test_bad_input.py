"""Bad input, each through a whole turn: the turn ends well, and an event says what was wrong.

Elsewhere: agents that edit the same lines are in `test_graph_team.py`, a summary longer than what it replaces is in
`test_context_compaction.py`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from support.company import Agents, Company, Consenting
from support.grammar import check
from support.indexing import indexed
from support.privileges import unprivileged_folder
from support.runs import work
from support.workspaces import write

from agentic.context.index.client import Index, open_index
from agentic.disk.copying import MAX_COPY_FILES
from agentic.disk.journal import Journal
from agentic.disk.workspace import DiskWorkspace
from agentic.events import (
    CouncilDecision,
    EditResolved,
    ErrorRaised,
    Event,
    RetrievalProgress,
    RetrievalResult,
    SubAgentFinished,
    SubAgentStarted,
    ToolFinished,
    TurnFinished,
)
from agentic.ports.model import Say
from agentic.ports.store import MemoryStore
from agentic.runtime import Ports, run
from agentic.safety.paths import Roots
from agentic.task import CouncilRules, Task

FILES = {"a.py": "one = 1\n"}
LARGE = work("", complexity=0.9, confidence=0.9)
"""A user without rights."""


def part(name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "text": f"Do the part {name}.", **fields}


DECOMPOSITIONS: dict[str, tuple[Any, str]] = {
    "no JSON": ("Part one: the server. Part two: the client.", "The arguments are not JSON"),
    "cut off": ('{"subtasks": [{"name": "one", "text": "Do', "The text ends there: it was cut off."),
    "a list": ([part("one"), part("two")], "The arguments are a JSON list."),
    "numbers": ({"subtasks": [1, 2]}, "do not fit"),
    "none": ({}, "do not fit"),
    "one subtask": ({"subtasks": [part("one")]}, "One part is no delegation."),
    "forty subtasks": ({"subtasks": [part(f"p{number}") for number in range(40)]}, "40 subtasks are too many"),
    "a part without text": ({"subtasks": [part("one"), {"name": "two", "text": " "}]}, "has no text"),
    "a cycle": (
        {
            "subtasks": [
                part("one", depends_on=["three"]),
                part("two", depends_on=["one"]),
                part("three", depends_on=["two"]),
            ]
        },
        "These subtasks wait for each other: ",
    ),
}


@pytest.mark.parametrize("what", DECOMPOSITIONS)
async def test_a_decomposition_that_is_none_is_refused_and_the_next_one_taken(what: str) -> None:
    arguments, said = DECOMPOSITIONS[what]
    good = {"subtasks": [part("one"), part("two", depends_on=["one", "nobody", "two"])]}
    mine = [Say(LARGE), Say(calls=[("delegate", arguments)]), Say(calls=[("delegate", good)]), Say("All done.")]
    company = Company(lambda name, number: mine[number - 1] if name == "main" else Say("Done."), FILES)
    finished = await company.play()
    refused, taken = company.of(ToolFinished)
    assert (refused.status, refused.code) == ("failed", "bad_arguments")
    assert said in refused.text
    assert taken.status == "completed"
    assert (finished.stop_reason, list(company.ended.values())) == ("end_turn", ["end_turn"] * 2)


async def test_who_cannot_part_the_task_does_it_alone() -> None:
    forty = Say(calls=[("delegate", {"subtasks": [part(f"p{number}") for number in range(40)]})])
    edit = Say(calls=[("edit_file", {"path": "a.py", "old": "one = 1", "new": "one = 2"})])
    mine = [Say(LARGE), forty, edit, Say("Done alone.")]
    company = Company(lambda _, number: mine[number - 1], FILES)
    finished = await company.play()
    assert (finished.stop_reason, finished.summary, finished.files) == ("end_turn", "Done alone.", ["a.py"])
    assert not company.of(SubAgentStarted)


async def test_a_council_member_that_answers_nothing_is_left_out_by_name() -> None:
    proposal = Say("1. Look\n2. Change")
    said = [proposal, Say("Fine."), proposal, Say('{"architect": {"score": 9, "reason": "so"}}')]
    mine = [Say(work()), Say("Done by the plan.")]

    def answers(name: str, number: int) -> Say:
        return Say("") if name == "tester" else (mine if name == "main" else said)[number - 1]

    company = Company(answers, FILES)
    rules = CouncilRules(("architect", "developer", "tester"))
    finished = await company.play("Do it.", deliberate="plan", council=rules)
    assert (finished.stop_reason, finished.summary) == ("end_turn", "Done by the plan.")
    assert company.ended == {"architect": "end_turn", "developer": "end_turn", "tester": "error"}
    decision = company.of(CouncilDecision)[0]
    assert decision.ranking == ["architect", "developer"]
    assert "tester dropped out" in decision.reason
    assert company.of(ErrorRaised, "tester")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "project"


async def turn_in(
    root: Path, answers: Callable[[str, int], Say], index: Index | None = None
) -> tuple[list[Event], Agents]:
    """A turn in these folders, whose events are in order and which leaves no copy behind."""
    store, events = MemoryStore(), list[Event]()
    workspace = DiskWorkspace(Roots([root])).for_turn(Journal(store, "s", "t"))
    model = Agents(answers)
    ports = Ports(model, workspace, Consenting(), store, *([index] if index else []))
    async for event in run(Task("Set the marker needle to 2 in code/a.py.", "s", "t", "ask"), ports):
        events.append(event)
        store.append(event)
    await workspace.close()
    check(events)
    return events, model


def of(events: Sequence[Event], kind: type, agent: str = "main") -> list[Any]:
    return [event for event in events if isinstance(event, kind) and event.agent == agent]


def worked(name: str, number: int) -> Say:
    """Two parts: one looks around and edits, the other looks around and runs a command."""
    looks = Say(
        calls=[
            ("list_files", {"path": "."}),
            ("search_text", {"pattern": "needle"}),
            ("search_code", {"query": "needle"}),
        ]
    )
    scripts = {
        "main": [Say(LARGE), Say(calls=[("delegate", {"subtasks": [part("one"), part("two")]})])],
        "one": [looks, Say(calls=[("edit_file", {"path": "code/a.py", "old": "needle = 1", "new": "needle = 2"})])],
        "two": [looks, Say(calls=[("run_command", {"command": "cat code/a.py"})])],
    }
    return scripts[name][number - 1] if number <= len(scripts[name]) else Say(f"{name} is done.")


def assert_worked(events: Sequence[Event], root: Path) -> None:
    last = events[-1]
    assert isinstance(last, TurnFinished)
    assert (last.stop_reason, last.files) == ("end_turn", ["code/a.py"])
    assert (root / "code/a.py").read_text() == "needle = 2\n"
    assert {event.stop_reason for event in of(events, SubAgentFinished)} == {"end_turn"}
    assert [event.outcome for event in of(events, EditResolved)] == ["applied"]


@pytest.mark.parametrize("size", [4_900_000, 5_100_000])
async def test_rules_of_five_megabytes(root: Path, size: int) -> None:
    write(root / "AGENTS.md", "Use tabs here.\n" * (size // 15))
    write(root / "code/a.py", "needle = 1\n")
    events, model = await turn_in(root, worked)
    assert_worked(events, root)
    for agent in ("main", "one", "two"):
        told = str(model.agents[agent].requests[0].messages[1]["content"])
        assert ("Use tabs here." in told) == (size < 5_000_000)
        assert ("AGENTS.md was not read" in told) == (size > 5_000_000)
        assert len(told) < 12_000
    said = [(event.code, event.message) for event in events if isinstance(event, ErrorRaised)]
    wanted = ("too_large", "The rules in AGENTS.md were not read: AGENTS.md is larger than 5 MB.")
    assert said == ([wanted] if size > 5_000_000 else [])


async def test_a_repository_without_git(root: Path, tmp_path: Path) -> None:
    write(root / "code/a.py", "needle = 1\n")
    async with indexed(("", root), state=tmp_path / "state") as index:
        events, _ = await turn_in(root, worked, index)
    assert_worked(events, root)
    assert of(events, RetrievalResult)
    assert "code/a.py:1" in of(events, ToolFinished, "one")[2].text
    assert of(events, ToolFinished, "two")[-1].code == ""


@pytest.fixture
def fast_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory, where there is one: a large tree is made there in a tenth of the time."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else tmp_path) as name:
        yield Path(name)


def fill(folder: Path, folders: int, files: int) -> None:
    """So many folders of so many empty files."""
    for number in range(folders):
        place = folder / f"d{number}"
        place.mkdir(parents=True)
        opened = os.open(place, os.O_RDONLY)
        for name in range(files):
            os.close(os.open(f"f{name}.py", os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=opened))
        os.close(opened)


async def test_two_hundred_thousand_files(fast_folder: Path, tmp_path: Path) -> None:
    """The index is far from complete, which is told; edits go on, and only commands on copies are refused."""
    root = fast_folder / "project"
    fill(root, 200, 1_000)
    write(root / "code/a.py", "needle = 1\n")
    index = open_index([("", root)], tmp_path / "state")
    events, _ = await turn_in(root, worked, index)
    await index.aclose()
    assert_worked(events, root)
    assert of(events, RetrievalProgress)
    assert of(events, RetrievalResult)
    refused = of(events, ToolFinished, "two")[-1]
    assert (refused.status, refused.code) == ("failed", "too_large")
    assert f"{MAX_COPY_FILES:,}" in refused.text
    found = of(events, ToolFinished, "one")[1]
    assert "code/a.py:1:" in found.text


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """An empty folder, and no more rights than its owner has."""
    with unprivileged_folder() as folder:
        yield folder


async def test_folders_and_files_that_cannot_be_read(unprivileged: Path) -> None:
    root = unprivileged / "project"
    for path in ("code/a.py", "closed/b.py", "code/closed.py", "code/inner/c.py", "AGENTS.md"):
        write(root / path, "needle = 1\n")
    locked = [root / path for path in ("closed", "code/inner", "code/closed.py", "AGENTS.md")]
    for place in locked:
        place.chmod(0)
    try:
        events, _ = await turn_in(root, worked)
    finally:
        for place in locked:
            place.chmod(0o700)
    assert_worked(events, root)
    assert [event.code for event in of(events, ErrorRaised)] == ["io_error"]
    assert [event.text for event in of(events, ToolFinished, "one")[1:2]] == ["code/a.py:1: needle = 1"]


async def test_links_in_circles(root: Path, tmp_path: Path) -> None:
    write(root / "code/a.py", "needle = 1\n")
    links = {"self": "self", "here": ".", "code/up": "..", "one": "two", "two": "one", "gone": "nowhere"}
    for name, target in links.items():
        (root / name).symlink_to(target)
    (root / "AGENTS.md").symlink_to("AGENTS.md")
    async with indexed(("", root), state=tmp_path / "state") as index:
        events, _ = await turn_in(root, worked, index)
    assert_worked(events, root)
    found = of(events, ToolFinished, "one")[1].text
    assert found.count("needle = 1") == 1
    assert [event.agent for event in events if isinstance(event, ErrorRaised)] == ["main"]
