"""Turns of many agents that are ended at each of their events, and whose model or log fails at each step."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from support.company import Agents, Answers, Company, Consenting, Log
from support.grammar import check
from support.runs import work
from support.workspaces import write

from agentic.disk.journal import Journal
from agentic.disk.workspace import DiskWorkspace
from agentic.errors import EndpointUnreachable, StoreError
from agentic.events import (
    EditProposed,
    EditResolved,
    ErrorRaised,
    Event,
    ModelEvent,
    ToolFinished,
    TurnFinished,
)
from agentic.ports.model import Message, ModelRequest, Say
from agentic.ports.store import Intent, MemoryStore
from agentic.runtime import Ports, Run, run
from agentic.safety.paths import Roots
from agentic.task import CouncilRules, Limits, Mode, Task, directed

FILES = {"a.py": "one = 1\n", "b.py": "two = 2\n", "c.py": "x = 1\ny = 2\nz = 3\n"}
COMMANDS = {"pytest -q": (0, "1 passed"), "make": (0, "made")}
ROLES = ("architect", "tester")
PATIENCE = 90
"""Seconds: where the time is up before the request that hangs, the summary hangs, and gets a minute."""
MAKE = Say(calls=[("run_command", {"command": "make"})])
TEST = Say(calls=[("run_command", {"command": "pytest -q"})])


def edit(path: str, old: str, new: str) -> Say:
    return Say(calls=[("edit_file", {"path": path, "old": old, "new": new})])


PARTS = [
    {"name": "left", "text": "Left."},
    {"name": "right", "text": "Right."},
    {"name": "after", "text": "After.", "depends_on": ["left"]},
]
DELEGATED = {
    "main": [
        Say(work("", complexity=0.9, confidence=0.9)),
        Say(calls=[("delegate", {"subtasks": PARTS})]),
        Say("All parts are done."),
    ],
    "left": [edit("c.py", "y = 2", "y = 20"), MAKE, Say("Left is done.\nFact: y is twenty")],
    "right": [edit("c.py", "y = 2", "y = 200"), edit("b.py", "two = 2", "two = 22"), Say("Right is done.")],
    "after": [edit("a.py", "one = 1", "one = 11"), Say("After is done.")],
    "resolver": [edit("c.py", "y = 20", "y = 220"), Say("Took both.")],
}
COUNCIL = {
    "main": [Say(work("")), edit("a.py", "one = 1", "one = 2"), Say("Done by the plan.")],
    **{
        name: [
            Say(f"1. {name} first\n2. {name} second"),
            Say(f"## {other}\nToo slow."),
            Say(f"1. {name} first\n2. {name} last"),
            Say(json.dumps({other: {"score": 7, "reason": "so"}})),
        ]
        for name, other in (ROLES, reversed(ROLES))
    },
}
CONTEST = {
    "main": [Say(work("")), Say("Checked.")],
    "candidate-1": [edit("a.py", "one = 1", "one = 11"), TEST, Say("It is 11.")],
    "candidate-2": [edit("a.py", "one = 1", "one = 111"), edit("b.py", "two", "TWO"), TEST, Say("It is 111.")],
}
WORKS = {
    "delegation": ("Build it.", DELEGATED),
    "council": ("/council Do it.", COUNCIL),
    "contest": ("/best 2 Do it.", CONTEST),
}


def scripted(scripts: dict[str, list[Say]]) -> Answers:
    """Each agent says what stands in its list, and then that it is done."""
    return lambda name, number: scripts[name][number - 1] if number <= len(scripts[name]) else Say("Done.")


def task_of(kind: str, mode: Mode = "ask", **task: Any) -> Task:
    return directed(Task(WORKS[kind][0], "s", "t", mode, council=CouncilRules(ROLES, candidates=2), **task))


def company_of(kind: str, **fields: Any) -> Company:
    return Company(scripted(WORKS[kind][1]), FILES, COMMANDS, **fields)


async def length(kind: str, mode: Mode = "ask") -> tuple[int, int]:
    """How many events and how many requests an undisturbed turn has."""
    company = company_of(kind)
    assert (await company.carry_out(task_of(kind, mode))).stop_reason == "end_turn"
    return len(company.events), company.model.asked


async def each(moments: Iterable[int], play_at: Callable[[int], Awaitable[TurnFinished]]) -> list[TurnFinished]:
    """How the turn ends that is disturbed at each of these moments; a failure is told with its moment."""
    ends: list[TurnFinished] = []
    for moment in moments:
        try:
            async with asyncio.timeout(PATIENCE):
                ends.append(await play_at(moment))
        except BaseException as error:
            error.add_note(f"disturbed at {moment}")
            raise
    return ends


@pytest.mark.parametrize("kind", WORKS)
async def test_cancelled_at_any_event_everything_ends_and_nothing_is_left(kind: str) -> None:
    async def cancelled(moment: int) -> TurnFinished:
        company = company_of(kind)

        def during(running: Run, event: Event) -> None:
            if len(company.events) == moment + 1:
                running.cancel()

        return await company.carry_out(task_of(kind), during)

    events, _ = await length(kind)
    ends = [end.stop_reason for end in await each(range(events), cancelled)]
    last_decision = 3
    assert set(ends[:-last_decision]) == {"cancelled"}
    assert set(ends[-last_decision:]) == {"end_turn"}


@pytest.mark.parametrize("kind", WORKS)
async def test_who_stops_reading_at_any_event_leaves_nothing_running(kind: str) -> None:
    events, _ = await length(kind)
    for moment in range(0, events, 5):
        company, before = company_of(kind), asyncio.all_tasks()
        async with aclosing(aiter(company.start(task_of(kind)))) as running:
            for _ in range(moment + 1):
                company.store.append(await anext(running))
        assert asyncio.all_tasks() == before, moment
        assert all(checkout.closed for checkout in company.workspace.checkouts), moment


@pytest.mark.parametrize("kind", WORKS)
async def test_a_request_that_hangs_is_ended_by_the_time_limit(kind: str) -> None:
    async def hanging(moment: int) -> TurnFinished:
        company = company_of(kind)
        company.model = Hanging(scripted(WORKS[kind][1]), moment)
        return await company.carry_out(task_of(kind, "auto", limits=Limits(seconds=0.15)))

    _, requests = await length(kind, "auto")
    ends = await each(range(0, requests, 3), hanging)
    assert {(end.stop_reason, bool(end.summary)) for end in ends} == {("max_time", True)}


class Hanging(Agents):
    """One request is never answered."""

    def __init__(self, answers: Answers, silent: int) -> None:
        super().__init__(answers)
        self._silent = silent
        self._number = 0

    async def complete(self, request: ModelRequest) -> AsyncGenerator[ModelEvent]:
        number, self._number = self._number, self._number + 1
        if number == self._silent:
            await asyncio.Event().wait()
        async with aclosing(super().complete(request)) as events:
            async for event in events:
                yield event


def failing(answers: Answers, fails: Callable[[int], bool]) -> Answers:
    """The same answers, but for requests that fail, told by their number among those of all agents."""
    numbers = itertools.count()
    error = EndpointUnreachable("Nothing answers at http://x.", "Start it.")
    return lambda name, number: Say(error=error) if fails(next(numbers)) else answers(name, number)


@pytest.mark.parametrize("kind", WORKS)
async def test_one_request_that_fails_ends_its_agent_alone(kind: str) -> None:
    async def broken(moment: int) -> TurnFinished:
        company = Company(failing(scripted(WORKS[kind][1]), moment.__eq__), FILES, COMMANDS)
        end = await company.carry_out(task_of(kind, "auto"))
        mine = bool(company.of(ErrorRaised))
        failed = [name for name, reason in company.ended.items() if reason == "error"]
        assert [event.code for event in company.all_of(ErrorRaised)] == ["endpoint_unreachable"]
        assert (end.stop_reason == "error") == mine == (not failed)
        return end

    _, requests = await length(kind, "auto")
    ends = await each(range(requests), broken)
    assert all(end.summary for end in ends)
    assert {end.stop_reason for end in ends} == {"error", "end_turn"}


@pytest.mark.parametrize("kind", WORKS)
async def test_a_model_that_is_gone_from_then_on_ends_the_turn_by_its_name(kind: str) -> None:
    async def gone(moment: int) -> TurnFinished:
        company = Company(failing(scripted(WORKS[kind][1]), moment.__le__), FILES, COMMANDS)
        return await company.carry_out(task_of(kind, "auto"))

    _, requests = await length(kind, "auto")
    ends = await each(range(requests), gone)
    assert {(end.stop_reason, end.summary) for end in ends} == {("error", "Nothing answers at http://x. Start it.")}


class Failing(Log):
    """Fails at one of its operations, told by its number among those that are awaited."""

    def __init__(self, moment: int) -> None:
        super().__init__()
        self.done = 0
        self._moment = moment

    async def open_session(self, session: str, title: str, workspace: Sequence[str]) -> None:
        await super().open_session(session, title, workspace)
        self._step()

    async def save_position(self, session: str, name: str, data: bytes) -> None:
        self._step()
        await super().save_position(session, name, data)

    async def messages(self, session: str) -> list[tuple[str, Message]]:
        self._step()
        return await super().messages(session)

    async def offer(self, approval: str, binding: str, expires: float) -> None:
        self._step()
        await super().offer(approval, binding, expires)

    async def use(self, approval: str, binding: str) -> bool:
        self._step()
        return await super().use(approval, binding)

    def _step(self) -> None:
        number, self.done = self.done, self.done + 1
        if number == self._moment:
            raise StoreError("The log cannot be written: no space left on device.", "Make room.")


@pytest.mark.parametrize("kind", WORKS)
async def test_a_log_that_fails_once_ends_the_turn_or_the_one_call_and_says_so(kind: str) -> None:
    async def broken(moment: int) -> TurnFinished:
        company = company_of(kind, store=Failing(moment))
        end = await company.carry_out(task_of(kind))
        told = [event.code for event in company.all_of(ErrorRaised) + company.all_of(ToolFinished)]
        assert "store_failed" in told
        return end

    whole = Failing(-1)
    await company_of(kind, store=whole).carry_out(task_of(kind))
    ends = await each(range(whole.done), broken)
    assert ends[0].stop_reason == "error"
    assert {end.stop_reason for end in ends} <= {"error", "end_turn"}


async def test_cancelled_among_its_edits_the_journal_says_which_were_made(tmp_path: Path) -> None:
    """On a real disk: what was applied stands in the journal as done, and all else is as it was."""
    made: list[int] = []
    for moment in range(2 * len(FILES)):
        events, intents = await on_disk(tmp_path / str(moment), moment)
        applied = {
            e.path for e in events if isinstance(e, EditResolved) and e.agent == "main" and e.outcome == "applied"
        }
        assert {intent.state for intent in intents} <= {"done", "failed"}, moment
        assert {intent.target for intent in intents if intent.state == "done"} == applied, moment
        made.append(len(applied))
        now = {path: (tmp_path / str(moment) / path).read_text() for path in FILES}
        assert {path for path in FILES if now[path] != FILES[path]} == applied, moment
    assert made == sorted(made)
    assert made[-1] == 3


async def on_disk(folder: Path, cancel_at: int) -> tuple[list[Event], Sequence[Intent]]:
    """A delegated turn on real files, cancelled at this one of the events of edits; all events, and the journal."""
    for path, text in FILES.items():
        write(folder / path, text)
    store, events = MemoryStore(), list[Event]()
    workspace = DiskWorkspace(Roots([folder])).for_turn(Journal(store, "s", "t"))
    running = run(task_of("delegation"), Ports(Agents(scripted(ON_DISK)), workspace, Consenting(), store))
    async for event in running:
        events.append(event)
        store.append(event)
        edits = [event for event in events if isinstance(event, EDITS) and event.agent == "main"]
        if len(edits) == cancel_at + 1:
            running.cancel()
    check(events)
    await workspace.close()
    return events, await store.intents("s")


EDITS = (EditProposed, EditResolved)
"""There is one of each for every file."""
ON_DISK = {**DELEGATED, "left": [DELEGATED["left"][0], Say("Left is done.")]}
