"""Delegation: several agents on one task, side by side, each on its own view of the workspace."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from support.agents import ScriptedAgents
from support.grammar import check
from support.runs import work

from agentic.events import (
    EditResolved,
    Event,
    IterationStarted,
    SharedUpdated,
    SubAgentFinished,
    SubAgentStarted,
    ToolFinished,
    TurnFinished,
    TurnStarted,
)
from agentic.ports.asker import ScriptedAsker
from agentic.ports.model import Say, Usage
from agentic.ports.store import MemoryStore
from agentic.ports.workspace import MemoryWorkspace
from agentic.runtime import Ports, run
from agentic.task import Limits, Mode, Task, TeamRules

FILES = {"a.py": "one = 1\n", "b.py": "two = 2\n", "c.py": "x = 1\ny = 2\nz = 3\n"}


def part(name: str, text: str = "Do it.", **fields: Any) -> dict[str, Any]:
    return {"name": name, "text": text, **fields}


def write(path: str, text: str) -> Say:
    return Say(calls=[("write_file", {"path": path, "content": text})])


def edit(path: str, old: str, new: str) -> Say:
    return Say(calls=[("edit_file", {"path": path, "old": old, "new": new})])


class Stage:
    """A run with scripts for all its agents."""

    def __init__(self, scripts: Mapping[str, Sequence[Say]], together: int = 0) -> None:
        self.model = ScriptedAgents(scripts, together=together)
        self.workspace = MemoryWorkspace(FILES)
        self.store = MemoryStore()
        self.events: list[Event] = []

    async def play(self, mode: Mode = "accept-edits", answers: Sequence[str] = (), **task: Any) -> TurnFinished:
        asker = ScriptedAsker(answers)
        running = run(Task("Build it.", "s", "t", mode, **task), Ports(self.model, self.workspace, asker, self.store))
        async for event in running:
            self.events.append(event)
            self.store.append(event)
        check(self.events)
        last = self.events[-1]
        assert isinstance(last, TurnFinished)
        return last

    def of(self, kind: type, agent: str = "main") -> list[Any]:
        return [event for event in self.events if isinstance(event, kind) and event.agent == agent]


def delegating(*parts: dict[str, Any]) -> list[Say]:
    """The main agent's answers: the classification of a large task, the parts, and the end."""
    return [
        Say(work("", complexity=0.9, confidence=0.9)),
        Say(calls=[("delegate", {"subtasks": list(parts)})]),
        Say("All parts are done."),
    ]


async def test_a_large_task_is_worked_on_by_four_agents_at_once() -> None:
    names = ["one", "two", "three", "four"]
    scripts = {name: [write(f"{name}.py", f"{name} = 1\n"), Say(f"Wrote {name}.py.")] for name in names}
    stage = Stage({"main": delegating(*[part(name) for name in names]), **scripts}, together=4)
    finished = await stage.play()
    assert finished.stop_reason == "end_turn"
    assert finished.summary == "All parts are done."
    assert sorted(finished.files) == sorted(f"{name}.py" for name in names)
    assert {path: stage.workspace.files[path] for path in finished.files} == {f"{n}.py": f"{n} = 1\n" for n in names}
    assert [event.name for event in stage.of(SubAgentStarted)] == names
    assert {event.name: event.stop_reason for event in stage.of(SubAgentFinished)} == dict.fromkeys(names, "end_turn")
    assert {event.name: event.files for event in stage.of(SubAgentFinished)} == {name: [f"{name}.py"] for name in names}
    assert all(stage.of(TurnStarted, name) and stage.of(TurnFinished, name) for name in names)
    assert stage.of(SharedUpdated)[-1].items
    result = stage.of(ToolFinished)[-1]
    assert result.status == "completed"
    assert all(name in result.text for name in names)


async def test_nothing_is_applied_before_the_parts_are_joined() -> None:
    scripts = {"one": [edit("a.py", "one = 1", "one = 11"), Say("Done.")], "two": [Say("Nothing to do.")]}
    stage = Stage({"main": delegating(part("one"), part("two")), **scripts})
    await stage.play()
    kinds = [(type(event), event.agent) for event in stage.events]
    applied = kinds.index((EditResolved, "main"))
    assert all(kind is not SubAgentFinished for kind, _ in kinds[applied:])
    assert stage.workspace.files["a.py"] == "one = 11\n"


async def test_a_part_sees_what_it_depends_on_and_the_others_do_not() -> None:
    read_a = Say(calls=[("read_file", {"path": "a.py"})])
    scripts = {
        "base": [edit("a.py", "one = 1", "one = 11"), Say("Renamed.\nDecision: one is eleven")],
        "above": [read_a, edit("a.py", "one = 11", "one = 111"), Say("Done.")],
        "aside": [read_a, Say("Seen.")],
    }
    stage = Stage({"main": delegating(part("base"), part("above", depends_on=["base"]), part("aside")), **scripts})
    await stage.play()
    assert "one = 11" in stage.of(ToolFinished, "above")[0].text
    assert stage.of(ToolFinished, "aside")[0].text == "1\tone = 1"
    assert "one is eleven" in stage.model.agents["above"].requests[0].messages[1]["content"]
    assert stage.workspace.files["a.py"] == "one = 111\n"


async def test_an_agent_that_fails_leaves_the_others_work_intact() -> None:
    scripts = {
        "good": [edit("a.py", "one = 1", "one = 11"), Say("Done.")],
        "mute": [Say("")] * 9,
        "looping": [Say(calls=[("read_file", {"path": "a.py"})])] * 9 + [Say("I was going in circles.")] * 3,
    }
    stage = Stage({"main": delegating(part("good"), part("mute"), part("looping")), **scripts})
    finished = await stage.play()
    assert finished.stop_reason == "end_turn"
    assert stage.workspace.files["a.py"] == "one = 11\n"
    ended = {event.name: event.stop_reason for event in stage.of(SubAgentFinished)}
    assert ended["good"] == "end_turn"
    assert "end_turn" not in (ended["mute"], ended["looping"])
    assert "mute" in stage.of(ToolFinished)[-1].text


async def test_what_two_agents_did_differently_goes_to_one_that_sees_both() -> None:
    scripts = {
        "left": [edit("c.py", "y = 2", "y = 20"), Say("Done.")],
        "right": [edit("c.py", "y = 2", "y = 200"), edit("b.py", "two = 2", "two = 22"), Say("Done.")],
        "resolver": [edit("c.py", "y = 20", "y = 220"), Say("Took both.")],
    }
    stage = Stage({"main": delegating(part("left"), part("right")), **scripts})
    await stage.play()
    assert stage.workspace.files["c.py"] == "x = 1\ny = 220\nz = 3\n"
    assert stage.workspace.files["b.py"] == "two = 22\n"
    told = stage.model.agents["resolver"].requests[0].messages[1]["content"]
    assert "y = 20" in told
    assert "y = 200" in told
    assert "same lines of c.py: the resolver joined them." in stage.of(ToolFinished)[-1].text


async def test_a_conflict_that_nobody_resolves_is_told_and_the_first_is_kept() -> None:
    scripts = {
        "left": [edit("c.py", "y = 2", "y = 20"), Say("Done.")],
        "right": [edit("c.py", "y = 2", "y = 200"), Say("Done.")],
        "resolver": [Say("")] * 9,
    }
    stage = Stage({"main": delegating(part("left"), part("right")), **scripts})
    await stage.play()
    assert stage.workspace.files["c.py"] == "x = 1\ny = 20\nz = 3\n"
    assert "y = 200" in stage.of(ToolFinished)[-1].text


async def test_sub_agents_have_limits_of_their_own() -> None:
    endless = [Say(calls=[("read_file", {"path": "c.py", "offset": n})]) for n in range(1, 60)]
    stage = Stage({"main": delegating(part("endless"), part("quick")), "endless": endless, "quick": [Say("Done.")]})
    await stage.play(team=TeamRules(iterations=4))
    assert len(stage.of(IterationStarted, "endless")) == 4
    ended = {event.name: event.stop_reason for event in stage.of(SubAgentFinished)}
    assert ended == {"endless": "max_iterations", "quick": "end_turn"}


async def test_what_sub_agents_spend_is_the_turns() -> None:
    usage = Usage(prompt=100, completion=10)
    scripts = {name: [Say("Done.", usage=usage)] for name in ("one", "two")}
    stage = Stage({"main": delegating(part("one"), part("two")), **scripts})
    finished = await stage.play()
    assert (finished.metrics.prompt_tokens, finished.metrics.completion_tokens) == (200, 20)
    assert stage.of(TurnFinished, "one")[0].metrics.prompt_tokens == 100
    assert finished.metrics.model_calls == 5


async def test_cancelling_the_turn_ends_every_agent() -> None:
    stage = Stage({"main": delegating(part("one"), part("two")), "one": [], "two": []}, together=3)
    running = run(
        Task("Build it.", "s", "t", "accept-edits"),
        Ports(stage.model, stage.workspace, ScriptedAsker(), stage.store),
    )
    started = 0
    async for event in running:
        stage.events.append(event)
        stage.store.append(event)
        started += isinstance(event, TurnStarted)
        if started == 3:
            running.cancel()
    check(stage.events)
    ended = {event.agent: event.stop_reason for event in stage.events if isinstance(event, TurnFinished)}
    assert ended == dict.fromkeys(("main", "one", "two"), "cancelled")
    assert stage.workspace.files == FILES


async def test_in_mode_ask_the_user_confirms_the_parts_and_the_joined_change() -> None:
    scripts = {"one": [edit("a.py", "one = 1", "one = 11"), Say("Done.")], "two": [Say("Done.")]}
    stage = Stage({"main": delegating(part("one"), part("two")), **scripts})
    await stage.play("ask", ["allow_once", "accept"])
    assert stage.workspace.files["a.py"] == "one = 11\n"
    stage = Stage({"main": [*delegating(part("one"), part("two"))[:2], Say("I do it myself.")]})
    finished = await stage.play("ask", ["reject_once"])
    assert finished.summary == "I do it myself."
    assert not stage.of(SubAgentStarted)


@pytest.mark.parametrize("mode", ["plan"])
async def test_in_plan_mode_nothing_is_delegated(mode: Mode) -> None:
    stage = Stage({"main": [Say(work("", complexity=0.9)), Say("A plan.")]})
    finished = await stage.play(mode)
    assert finished.summary == "A plan."


async def test_the_time_of_the_turn_ends_the_sub_agents_too() -> None:
    class Hanging(ScriptedAgents):
        async def complete(self, request: Any) -> Any:
            if request.origin["agent"] != "main":
                await asyncio.Event().wait()
            async for event in super().complete(request):
                yield event

    stage = Stage({"main": [*delegating(part("one"), part("two"))[:2], Say("Time is up.")]})
    stage.model = Hanging({"main": stage.model.agents["main"].script})
    finished = await stage.play(limits=Limits(seconds=0.3))
    assert finished.stop_reason == "max_time"


async def test_two_delegations_of_a_turn_have_agents_of_different_names() -> None:
    twice = [
        Say(work("", complexity=0.9)),
        *[Say(calls=[("delegate", {"subtasks": [part("one"), part("two")]})])] * 2,
        Say("All done."),
    ]
    done = [Say("Done.")]
    stage = Stage({"main": twice, "one": done, "two": done, "one-2": done, "two-2": done})
    await stage.play()
    assert [event.name for event in stage.of(SubAgentStarted)] == ["one", "two", "one-2", "two-2"]


async def test_a_resolver_that_changes_nothing_has_resolved_nothing() -> None:
    scripts = {
        "left": [edit("c.py", "y = 2", "y = 20"), Say("Done.")],
        "right": [edit("c.py", "y = 2", "y = 200"), Say("Done.")],
        "resolver": [Say("All is well.")],
    }
    stage = Stage({"main": delegating(part("left"), part("right")), **scripts})
    await stage.play()
    assert "the resolver joined" not in stage.of(ToolFinished)[-1].text
    assert "y = 200" in stage.of(ToolFinished)[-1].text


async def test_what_a_command_removed_in_a_copy_is_told_and_not_done() -> None:
    clean = Say(calls=[("run_command", {"command": "rm b.py"})])
    stage = Stage({"main": delegating(part("one"), part("two")), "one": [clean, Say("Done.")], "two": [Say("Done.")]})
    stage.workspace.commands["rm b.py"] = (0, "")
    stage.workspace.effects["rm b.py"] = {"b.py": None}
    await stage.play("ask", ["allow_once", "allow_once"])
    assert "removed b.py in its copy" in stage.of(ToolFinished)[-1].text
    assert "b.py" in stage.workspace.files


async def test_a_task_is_not_parted_for_ever() -> None:
    again = [
        Say(calls=[("delegate", {"subtasks": [part(f"a{n}"), part(f"b{n}")]})], text=f"Again, {n}.") for n in range(4)
    ]
    done = {f"{letter}{n}": [Say("Done.")] for letter in "ab" for n in range(3)}
    stage = Stage({"main": [Say(work("", complexity=0.9)), *again, Say("Enough.")], **done})
    await stage.play()
    assert [event.code for event in stage.of(ToolFinished)] == ["", "", "", "denied"]
    assert len(stage.of(SubAgentStarted)) == 6
