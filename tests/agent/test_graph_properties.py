"""Whatever agents say, a turn keeps its promises: order, limits, and nothing applied before the work is joined."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from support.company import Company
from support.runs import work

from agentic.errors import EndpointUnreachable
from agentic.events import (
    EditResolved,
    ErrorRaised,
    Event,
    IterationStarted,
    SubAgentFinished,
    SubAgentStarted,
    ToolFinished,
)
from agentic.ports.model import Say
from agentic.runtime import Run
from agentic.task import MODES, CouncilRules, Limits, Mode, TeamRules

FILES = {"a.py": "one = 1\ntwo = 2\n", "b.py": "x = 1\n"}
COMMANDS = {"make": (0, "made"), "pytest -q": (1, "1 failed, 2 passed in 0.10s")}
LIMITS = Limits(iterations=8, tool_calls=30)
TEAM = TeamRules(iterations=4)
SUMMARIES = 1
"""Requests of an agent beside those of its iterations."""

paths = st.sampled_from(["a.py", "b.py", "c.py", "../x", "", "a.py/b", "\ud800"])
words = st.sampled_from(
    ["", "Done.", "one = 1", "one = 11", "I will now call edit_file.", "x" * 5_000, "\ud800", "Fact: y"]
)
parts = st.fixed_dictionaries(
    {"name": st.sampled_from(["left", "right", "main", "", "../..", "🍳"]), "text": words},
    optional={
        "depends_on": st.lists(st.sampled_from(["left", "right", "x"]), max_size=2),
        "priority": st.integers(-3, 99),
    },
)
values = st.recursive(st.none() | st.booleans() | st.integers() | words, lambda inner: st.lists(inner, max_size=2))
calls = st.one_of(
    st.tuples(st.just("delegate"), st.fixed_dictionaries({"subtasks": st.lists(parts, max_size=6)})),
    st.tuples(st.just("edit_file"), st.fixed_dictionaries({"path": paths, "old": words, "new": words})),
    st.tuples(st.just("write_file"), st.fixed_dictionaries({"path": paths, "content": words})),
    st.tuples(st.just("read_file"), st.fixed_dictionaries({"path": paths})),
    st.tuples(st.just("run_command"), st.fixed_dictionaries({"command": st.sampled_from(list(COMMANDS))})),
    st.tuples(
        st.sampled_from(["delegate", "edit_file", "update_plan", "ask_user", "fly", ""]),
        st.dictionaries(st.sampled_from(["path", "subtasks", "steps", "question"]), values, max_size=3)
        | st.sampled_from(["", "{", "null", "[]", '{"subtasks": [{"name": "one", "te']),
    ),
)
texts = words | st.builds(
    lambda complexity, confidence, route, text: work(text, complexity=complexity, confidence=confidence, route=route),
    st.sampled_from([0.1, 0.9]),
    st.sampled_from([0.1, 0.9]),
    st.sampled_from(["work", "reply"]),
    words,
)
says = st.one_of(
    st.builds(Say, texts, st.lists(calls, max_size=3), words),
    st.builds(
        Say, texts, st.lists(calls, max_size=2), finish_reason=st.sampled_from(["length", "content_filter", "stop"])
    ),
    st.just(Say(error=EndpointUnreachable("Nothing answers.", "Start it."))),
)
scripts = st.lists(says, min_size=1, max_size=5)
GOOD = [
    Say(work("", complexity=0.9)),
    Say(calls=[("delegate", {"subtasks": [{"name": n, "text": "Do."} for n in "ab"]})]),
]


@settings(max_examples=150, deadline=None)
@given(
    main=scripts | scripts.map(lambda script: [*GOOD, *script]),
    others=st.lists(scripts, min_size=1, max_size=3),
    mode=st.sampled_from(MODES),
    deliberate=st.sampled_from(["", "", "plan", "patch"]),
    cancel_at=st.none() | st.integers(0, 120),
    window=st.sampled_from([6_000, 32_768]),
)
async def test_no_script_breaks_a_turn(
    main: Sequence[Say],
    others: Sequence[Sequence[Say]],
    mode: Mode,
    deliberate: Any,
    cancel_at: int | None,
    window: int,
) -> None:
    names: list[str] = []

    def answers(name: str, number: int) -> Say:
        if name == "main":
            return main[(number - 1) % len(main)]
        names.extend([name] if name not in names else [])
        script = others[names.index(name) % len(others)]
        return script[(number - 1) % len(script)]

    def during(running: Run, event: Event) -> None:
        if cancel_at is not None and len(company.events) > cancel_at:
            running.cancel()

    company = Company(answers, FILES, COMMANDS, window=window)
    async with asyncio.timeout(60):
        await company.play(
            mode=mode,
            during=during,
            limits=LIMITS,
            team=TEAM,
            deliberate=deliberate,
            council=CouncilRules(candidates=2),
        )
    assert_nothing_was_applied_too_early(company.events)
    assert_within_limits(company)
    assert not [event for event in company.all_of(ErrorRaised) if event.code == "internal"]
    assert not [event for event in company.all_of(ToolFinished) if event.code == "internal"]


def assert_nothing_was_applied_too_early(events: Sequence[Event]) -> None:
    """Only the main agent applies anything, and never while others work."""
    at_work: set[str] = set()
    for event in events:
        match event:
            case SubAgentStarted():
                at_work.add(event.name)
            case SubAgentFinished():
                at_work.discard(event.name)
            case EditResolved(agent="main", outcome="applied"):
                assert not at_work
            case _:
                pass


def assert_within_limits(company: Company) -> None:
    assert len(company.all_of(ToolFinished)) <= LIMITS.tool_calls
    for event in company.all_of(IterationStarted):
        most = LIMITS.iterations if event.agent == "main" or event.agent.startswith("candidate") else TEAM.iterations
        assert event.number <= most
    for name, agent in company.model.agents.items():
        assert len(agent.requests) <= LIMITS.iterations + 4 + SUMMARIES, name
