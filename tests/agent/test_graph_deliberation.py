"""Councils and contests as a part of a turn."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.agents import ScriptedAgents
from support.grammar import check
from support.runs import reply, work

from agentic.events import (
    Asked,
    CouncilDecision,
    CouncilProposal,
    EditResolved,
    Event,
    PlanUpdated,
    SubAgentStarted,
    TurnFinished,
)
from agentic.ports.asker import ScriptedAsker
from agentic.ports.model import Say
from agentic.ports.store import MemoryStore
from agentic.ports.workspace import MemoryWorkspace
from agentic.runtime import Ports, run
from agentic.task import CouncilRules, Mode, Task, directed

FILES = {"calc.py": "def add(a, b):\n    return a - b\n"}
ROLES = ("architect", "tester")


def member(name: str, other: str) -> list[Say]:
    """Proposes, criticises, revises and scores; the other is found better."""
    return [
        Say(f"{name} would do this.\n\n1. {name} first\n2. {name} second"),
        Say(f"## {other}\nToo slow."),
        Say(f"{name} would do this instead.\n\n1. {name} first\n2. {name} last"),
        Say(json.dumps({other: {"score": 9 if name == "architect" else 4, "reason": "so"}})),
    ]


class Stage:
    def __init__(self, scripts: dict[str, list[Say]], commands: dict[str, tuple[int, str]] | None = None) -> None:
        self.model = ScriptedAgents(scripts)
        self.workspace = MemoryWorkspace(FILES, commands)
        self.store = MemoryStore()
        self.events: list[Event] = []

    async def play(self, text: str, mode: Mode = "accept-edits", answers: list[str] | None = None) -> TurnFinished:
        task = directed(Task(text, "s", "t", mode, council=CouncilRules(ROLES, candidates=2)))
        ports = Ports(self.model, self.workspace, ScriptedAsker(answers or []), self.store)
        async for event in run(task, ports):
            self.events.append(event)
            self.store.append(event)
        check(self.events)
        last = self.events[-1]
        assert isinstance(last, TurnFinished)
        return last

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind) and event.agent == "main"]


async def test_a_council_settles_the_plan_before_the_work() -> None:
    scripts = {name: member(name, other) for name, other in (ROLES, reversed(ROLES))}
    stage = Stage({"main": [Say(reply("")), Say("Done by the plan.")], **scripts})
    finished = await stage.play("/council How should we do it?")
    assert finished.summary == "Done by the plan."
    assert {event.name for event in stage.of(SubAgentStarted)} == set(ROLES)
    assert [event.role for event in stage.of(CouncilProposal)] == list(ROLES)
    decision = stage.of(CouncilDecision)[0]
    assert decision.ranking == ["tester", "architect"]
    assert [step.text for step in stage.of(PlanUpdated)[-1].steps] == ["tester first", "tester last"]
    told = stage.model.requests[-1].messages[-1]["content"]
    assert "tester would do this instead." in told


async def test_a_complex_task_of_which_triage_is_not_sure_is_deliberated_on() -> None:
    scripts = {name: member(name, other) for name, other in (ROLES, reversed(ROLES))}
    first = Say(work("", complexity=0.9, confidence=0.3))
    stage = Stage({"main": [first, Say("I do it alone."), Say("Done.")], **scripts})
    await stage.play("Rewrite everything.")
    assert stage.of(CouncilDecision)


async def test_a_council_in_which_nobody_speaks_does_not_stop_the_work() -> None:
    stage = Stage({"main": [Say(work("")), Say("Done alone.")], **{name: [Say("")] * 8 for name in ROLES}})
    finished = await stage.play("/council Do it.")
    assert (finished.stop_reason, finished.summary) == ("end_turn", "Done alone.")


def candidate(new: str) -> list[Say]:
    return [
        Say(calls=[("edit_file", {"path": "calc.py", "old": "a - b", "new": new})]),
        Say(calls=[("run_command", {"command": "pytest -q"})]),
        Say(f"It is {new} now."),
    ]


async def test_the_best_patch_is_applied_and_the_losers_leave_no_trace() -> None:
    scripts = {"candidate-1": candidate("a + b  # both\n    # and no more"), "candidate-2": candidate("a + b")}
    stage = Stage({"main": [Say(work("")), Say("Checked.")], **scripts}, {"pytest -q": (0, "1 passed")})
    answers = ["allow_once"] * 3
    finished = await stage.play("/best 2 Mend add.", "ask", [*answers, "accept"])
    assert finished.summary == "Checked."
    assert stage.workspace.files == {"calc.py": "def add(a, b):\n    return a + b\n"}
    assert [event.outcome for event in stage.of(EditResolved)] == ["applied"]
    assert stage.of(CouncilDecision)[0].ranking[0] == "candidate-2"
    assert all(checkout.closed for checkout in stage.workspace.checkouts)
    assert "pytest -q" in stage.of(Asked)[-1].detail


async def test_a_rejected_patch_is_told_to_the_model() -> None:
    scripts = {"candidate-1": candidate("a + b"), "candidate-2": [Say("I don't know.")]}
    stage = Stage({"main": [Say(work("")), Say("As you like.")], **scripts}, {"pytest -q": (0, "1 passed")})
    await stage.play("/best 2 Mend add.", "ask", ["allow_once", "allow_once", "reject"])
    assert stage.workspace.files == FILES
    assert "not applied" in stage.model.requests[-1].messages[-1]["content"]


async def test_a_council_knows_what_was_looked_up_and_from_where() -> None:
    scripts = {name: member(name, other) for name, other in (ROLES, reversed(ROLES))}
    looking = Say(work(""), calls=[("read_file", {"path": "calc.py"}), ("update_plan", {"steps": [{"text": "Look"}]})])
    stage = Stage({"main": [looking, Say("Done.")], **scripts})
    await stage.play("/council How should add be tested?")
    question = stage.model.agents["tester"].requests[0].messages[1]["content"]
    assert 'read_file {"path": "calc.py"}\n1\tdef add(a, b):' in question
    assert question.count("How should add be tested?") == 1
    assert "Plan updated" not in question
    assert "[agentic]" not in question


@pytest.mark.parametrize("command", ["/best 2", "/council"])
async def test_nothing_is_changed_before_other_agents_have_deliberated(command: str) -> None:
    members = {name: member(name, other) for name, other in (ROLES, reversed(ROLES))}
    candidates = {"candidate-1": candidate("a + b"), "candidate-2": candidate("b + a")}
    edit = ("edit_file", {"path": "calc.py", "old": "a - b", "new": "a * b"})
    hasty = Say(work(""), calls=[edit, ("read_file", {"path": "calc.py"}), ("run_command", {"command": "rm calc.py"})])
    stage = Stage(
        {"main": [hasty, Say("Done.")], **members, **candidates}, {"pytest -q": (0, "1 passed"), "rm calc.py": (0, "")}
    )
    await stage.play(f"{command} Mend add.")
    results = {
        message["tool_call_id"]: message["content"]
        for message in stage.model.requests[-1].messages
        if message["role"] == "tool"
    }
    assert [text.startswith("Not run: ") for text in results.values()] == [True, True, False]
    assert "a * b" not in stage.workspace.files["calc.py"]


async def test_a_team_that_the_user_asks_for_is_no_council() -> None:
    stage = Stage({"main": [Say("I begin."), Say("I do it alone."), Say("Done.")]})
    await stage.play("/team Rewrite everything.")
    assert not stage.of(CouncilDecision)
    assert "call delegate once" in str(stage.model.requests[1].messages[-1]["content"])
