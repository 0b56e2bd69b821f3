"""Budgets that are used up by other agents than the main one: the turn ends honestly, and is warned of once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

import pytest
from support.company import Agents, Company
from support.runs import work

from agentic.events import BudgetWarning, CouncilDecision, IterationStarted, ModelEvent, ToolFinished, TurnFinished
from agentic.ports.model import ModelRequest, Say, Usage
from agentic.task import CouncilRules, Limits, Prices, TeamRules

FILES = {"a.py": "x = 1\n"}
USAGE = Usage(prompt=900, completion=100)
"""A thousand tokens a request."""
PRICES = Prices(prompt=1_000.0, completion=1_000.0)
"""A thousand tokens cost one."""
ROLES = ("architect", "tester")
PARTS = [{"name": name, "text": "Do it."} for name in ("one", "two", "three", "four")]
FIRST = {
    "delegation": [
        Say(work("", complexity=0.9, confidence=0.9), usage=USAGE),
        Say(calls=[("delegate", {"subtasks": PARTS})], usage=USAGE),
    ],
    "council": [Say(work(""), usage=USAGE)],
    "contest": [Say(work(""), usage=USAGE)],
}
DELIBERATE = {"delegation": "", "council": "plan", "contest": "patch"}


def answers_of(kind: str) -> Callable[[str, int], Say]:
    """Others never come to an end by themselves, but for the members of a council, who do as they are asked."""

    def answers(name: str, number: int) -> Say:
        if name == "main" and number <= len(FIRST[kind]):
            return FIRST[kind][number - 1]
        if name in ROLES:
            score = json.dumps({role: {"score": 5, "reason": "so"} for role in ROLES})
            return Say(["1. One\n2. Two", "Too slow.", "1. Three\n2. Four", score][number - 1], usage=USAGE)
        return Say(calls=[("search_text", {"pattern": f"{name} {number}"})], usage=USAGE)

    return answers


async def play(kind: str, **limits: Any) -> tuple[Company, TurnFinished]:
    company = Company(answers_of(kind), FILES)
    rules = CouncilRules(ROLES, candidates=4)
    return company, await company.play(
        "Do it.", deliberate=DELIBERATE[kind], council=rules, limits=Limits(**limits), prices=PRICES
    )


LIMITS = {"tokens": 10_000, "cost": 10.0, "tool_calls": 10}


@pytest.mark.parametrize("kind", FIRST)
@pytest.mark.parametrize("budget", LIMITS)
async def test_a_budget_that_all_agents_share(kind: str, budget: str) -> None:
    company, finished = await play(kind, **{budget: LIMITS[budget]})
    words = budget.replace("_", " ")
    assert (finished.stop_reason, finished.summary) == ("max_budget", f"Stopped: the limit of {words} is reached.")
    assert [event.budget for event in company.all_of(BudgetWarning) if event.budget == budget] == [budget]
    assert set(company.ended.values()) <= {"max_budget", "end_turn"}
    assert finished.metrics.tool_calls <= (10 if budget == "tool_calls" else 20)
    assert finished.metrics.model_calls <= 10 + 2 * 5


async def test_a_council_takes_no_step_more_once_a_budget_is_used_up() -> None:
    company, finished = await play("council", tokens=4_000)
    decision = company.of(CouncilDecision)[0]
    assert decision.reason == (
        "The budget was used up before the scores; architect comes first in the order of the roles."
    )
    assert (finished.stop_reason, finished.metrics.model_calls) == ("max_budget", 6)
    assert not company.of(IterationStarted)


@pytest.mark.parametrize("kind", ["delegation", "contest"])
async def test_iterations_are_each_agents_own_and_each_is_warned_of_them_once(kind: str) -> None:
    company, finished = await play(kind, iterations=3)
    assert finished.stop_reason == "max_iterations"
    mine = [(event.agent, event.budget) for event in company.all_of(BudgetWarning)]
    assert len(set(mine)) == len(mine)
    assert {budget for _, budget in mine} == {"iterations"}


class OneIsSilent(Agents):
    """The agent `two` gets no answer to its first request."""

    async def complete(self, request: ModelRequest) -> AsyncGenerator[ModelEvent]:
        if request.origin["agent"] == "two" and "Stop here" not in str(request.messages[-1]["content"]):
            await asyncio.Event().wait()
        async with aclosing(super().complete(request)) as events:
            async for event in events:
                yield event


async def test_the_time_of_one_agent_ends_that_one_alone() -> None:
    company = Company(
        lambda name, n: [*FIRST["delegation"], Say("All done.")][n - 1] if name == "main" else Say("Done.")
    )
    company.model = OneIsSilent(company.answers)
    finished = await company.play(team=TeamRules(seconds=0.2))
    assert (finished.stop_reason, finished.summary) == ("end_turn", "All done.")
    assert company.ended == {"one": "end_turn", "two": "max_time", "three": "end_turn", "four": "end_turn"}


async def test_agents_side_by_side_share_one_budget_of_calls() -> None:
    """Each of the four has answered with three calls before any of these has run."""
    three = Say(calls=[("read_file", {"path": f"{number}.py"}) for number in range(3)])
    company = Company(lambda name, n: FIRST["delegation"][n - 1] if name == "main" and n < 3 else three, FILES)
    finished = await company.play(limits=Limits(tool_calls=8))
    assert (finished.stop_reason, finished.metrics.tool_calls) == ("max_budget", 8)
    assert len(company.all_of(ToolFinished)) == 8
