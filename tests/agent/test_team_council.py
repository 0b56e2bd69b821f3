"""Councils: who is asked what, what a person sees of it, and what becomes of members that fail."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.agents import ScriptedAgents
from support.grammar import check
from support.prompts import Conversations

from agentic.context.marks import MIDDLE
from agentic.errors import EndpointUnreachable
from agentic.events import (
    CouncilCritique,
    CouncilDecision,
    CouncilProposal,
    CouncilRevision,
    Event,
    Metrics,
    Origin,
    PhaseFinished,
    PhaseStarted,
    SubAgentFinished,
    SubAgentStarted,
    TextFinished,
    TurnFinished,
    TurnStarted,
    Usage,
)
from agentic.graph.meter import Meter
from agentic.ports.model import Say
from agentic.task import CouncilRules
from agentic.team.consult import Chamber
from agentic.team.council import Deliberation, deliberate
from agentic.team.quoting import fitting

MAIN = Origin(session_id="s", turn_id="t", agent="main")
PLAN = "Keep it small.\n\n1. Make the table\n2. Test it"
LONG = "Every word counts. " * 2_000


def ballot(**scores: int) -> Say:
    return Say(json.dumps({name: {"score": score, "reason": f"{name}: {score}"} for name, score in scores.items()}))


def script(name: str, others: Sequence[str], last: Say, plan: str = PLAN) -> list[Say]:
    """A member that does as it is told."""
    critique = "\n\n".join(f"## {other}\n{name} finds {other} thin." for other in others)
    return [Say(f"{name} proposes."), Say(critique), Say(f"{name} revises. {plan}"), last]


def three() -> dict[str, list[Say]]:
    return {
        "architect": script("architect", ["developer", "tester"], ballot(architect=9, developer=6, tester=5)),
        "developer": script("developer", ["architect", "tester"], ballot(architect=7, developer=8, tester=5)),
        "tester": script("tester", ["architect", "developer"], ballot(architect=9, developer=6, tester=8)),
    }


@dataclass
class Sitting:
    """One council and all that was seen of it."""

    model: ScriptedAgents
    seconds: float = 30.0
    taken: tuple[str, ...] = ()
    events: list[Event] = field(default_factory=list[Event])
    meter: Meter = field(default_factory=Meter)

    async def run(
        self, rules: CouncilRules | None = None, question: str = "How?", material: str = "a.py"
    ) -> Deliberation:
        chamber = Chamber(
            self.model,
            MAIN,
            self.events.append,
            lambda: Meter(above=self.meter),
            self.name_agent,
            "plan",
            seconds=self.seconds,
        )
        self.events.append(TurnStarted(**MAIN, text="t", mode="plan"))
        self.events.append(PhaseStarted(**MAIN, phase="deliberation"))
        stop: Any = "cancelled"
        try:
            found = await deliberate(question, material, rules or CouncilRules(), chamber)
            stop = "end_turn"
        finally:
            self.events.append(PhaseFinished(**MAIN, phase="deliberation", seconds=0.0))
            self.events.append(TurnFinished(**MAIN, stop_reason=stop, summary="", metrics=Metrics()))
            check(self.events)
        for member in self.model.agents.values():
            Conversations().add_run(member.requests, [])
        return found

    def name_agent(self, name: str) -> str:
        return f"{name}-2" if name in self.taken else name

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def ends(self) -> Mapping[str, str]:
        return {event.name: event.stop_reason for event in self.of(SubAgentFinished)}


async def test_a_council_proposes_criticises_revises_and_decides() -> None:
    sitting = Sitting(ScriptedAgents(three(), together=3))
    found = await sitting.run()
    assert found.ranking == ("architect", "developer", "tester")
    assert found.text == f"architect revises. {PLAN}"
    assert found.plan == ("Make the table", "Test it")
    assert found.scores == {"architect": 0.82, "developer": 0.64, "tester": 0.56}
    assert found.dissent == (
        "developer prefers its own proposal (8 of 10): developer: 8. To architect it gives 7: architect: 7.",
    )
    said = [event.text for event in sitting.of(CouncilProposal)]
    assert sorted(said) == ["architect proposes.", "developer proposes.", "tester proposes."]
    about = sorted((event.role, event.about) for event in sitting.of(CouncilCritique))
    assert about == [(a, b) for a in three() for b in three() if a != b]
    assert sorted(event.role for event in sitting.of(CouncilRevision)) == list(three())
    (decision,) = sitting.of(CouncilDecision)
    assert decision.ranking == list(found.ranking)
    assert decision.reason == found.reason == "architect has the best mean, 8.2 of 10, by the scores of 3 of 3 members."
    assert {event.council for event in sitting.events if hasattr(event, "council")} == {decision.council}
    assert sitting.ends() == dict.fromkeys(three(), "end_turn")
    assert {event.role for event in sitting.of(SubAgentStarted)} == {"member"}


async def test_all_members_share_the_head_of_their_prompts_and_hear_of_the_others() -> None:
    sitting = Sitting(ScriptedAgents(three()))
    await sitting.run(question="Which table?", material="schema.sql")
    heads = [json.dumps(list(member.requests[0].messages)[:2]) for member in sitting.model.agents.values()]
    assert len(set(heads)) == 1
    assert "Which table?" in heads[0]
    assert "schema.sql" in heads[0]
    for name, member in sitting.model.agents.items():
        proposing, criticising, revising, scoring = (request.messages[-1]["content"] for request in member.requests)
        others = [other for other in three() if other != name]
        assert f"# Your role: {name}" in proposing
        for other in others:
            assert f"{other} proposes." in criticising
            assert f"## {other}" in criticising
            assert f"{other} finds {name} thin." in revising
            assert f"{other} revises." in scoring
            assert f'"{other}": {{"score"' in scoring
        assert f"{name} proposes." not in criticising
        assert f"{name} revises." not in scoring
        assert f"finds {others[0]} thin" not in revising
        assert all(not request.tools for request in member.requests)


async def test_nothing_that_is_said_is_clipped() -> None:
    scripts = three()
    scripts["tester"][0] = Say(LONG)
    sitting = Sitting(ScriptedAgents(scripts))
    await sitting.run()
    assert LONG.strip() in [event.text for event in sitting.of(CouncilProposal)]
    assert LONG in [event.text for event in sitting.of(TextFinished)]
    heard = sitting.model.agents["architect"].requests[1].messages[-1]["content"]
    assert "the middle was left out" in heard
    assert len(heard) < len(LONG) / 4


async def test_material_that_fills_the_window_loses_its_middle() -> None:
    sitting = Sitting(ScriptedAgents(three(), window=8_000))
    await sitting.run(question="Which?", material="first\n" + LONG + "\nlast")
    told = sitting.model.agents["tester"].requests[0].messages[1]["content"]
    assert told.startswith("# The question\nWhich?")
    assert "first\n" in told
    assert told.endswith("\nlast")
    assert len(told.encode()) < 8_000 * 3 / 2


@given(st.text(max_size=400) | st.integers(0, 400).map("한".__mul__), st.integers(1, 200))
def test_what_fits_stays_and_what_does_not_keeps_its_ends(text: str, tokens: int) -> None:
    found = fitting(text, tokens)
    if len(text.encode("utf-8", "replace")) <= tokens * 3:
        assert found == text
    else:
        head, _, tail = found.partition(MIDDLE)
        assert text.startswith(head)
        assert text.endswith(tail)
        assert len(head) + len(tail) <= len(text)


async def test_an_empty_answer_is_asked_for_once_more() -> None:
    scripts = three()
    scripts["tester"].insert(0, Say("", thinking="Hm."))
    sitting = Sitting(ScriptedAgents(scripts))
    found = await sitting.run()
    assert len(found.ranking) == 3
    assert "empty" in sitting.model.agents["tester"].requests[1].messages[-1]["content"]


async def test_a_member_that_stays_silent_drops_out_and_is_named() -> None:
    scripts = three()
    scripts["tester"] = [Say(""), Say("")]
    sitting = Sitting(ScriptedAgents(scripts))
    found = await sitting.run()
    assert set(found.ranking) == {"architect", "developer"}
    assert "tester dropped out: It answered nothing, twice." in found.reason
    assert sitting.ends() == {"tester": "error", "architect": "end_turn", "developer": "end_turn"}


async def test_a_member_that_fails_later_leaves_its_proposal() -> None:
    scripts = three()
    scripts["developer"][1] = Say(error=EndpointUnreachable("The endpoint is gone.", "Start it."))
    sitting = Sitting(ScriptedAgents(scripts))
    found = await sitting.run()
    assert set(found.ranking) == set(three())
    assert "developer dropped out: The endpoint is gone." in found.reason
    assert sitting.ends()["developer"] == "error"
    assert [event.role for event in sitting.of(CouncilRevision)] == ["architect", "tester"]


async def test_one_that_is_left_wins_with_a_note() -> None:
    gone = Say(error=EndpointUnreachable("Gone."))
    sitting = Sitting(ScriptedAgents({"architect": [Say(PLAN)], "developer": [gone], "tester": [gone]}))
    found = await sitting.run()
    assert found.winner == "architect"
    assert found.plan == ("Make the table", "Test it")
    assert found.reason.startswith(
        "The only proposal, that of architect, stands by itself. developer dropped out: Gone."
    )
    scripts = three()
    scripts["architect"][1] = scripts["developer"][1] = gone
    sitting = Sitting(ScriptedAgents(scripts))
    found = await sitting.run()
    assert found.ranking == ("tester", "architect", "developer")
    assert found.text == "tester proposes."
    assert found.reason.startswith("Nobody was left to speak with; the proposal of tester stands.")


@pytest.mark.parametrize("roles", [("architect", "tester"), ()])
async def test_a_council_without_any_proposal_says_so(roles: tuple[str, ...]) -> None:
    gone = Say(error=EndpointUnreachable("Gone."))
    sitting = Sitting(ScriptedAgents({"architect": [gone], "tester": [gone]}))
    found = await sitting.run(CouncilRules(roles))
    assert (found.ranking, found.winner, found.text, found.plan) == ((), "", "", ())
    assert found.reason.startswith("Nobody proposed anything")
    assert sitting.of(CouncilDecision)[0].ranking == []


async def test_scores_that_nobody_can_read_count_as_absent() -> None:
    scripts = three()
    scripts["architect"][3] = Say("I like mine.")
    sitting = Sitting(ScriptedAgents(scripts))
    found = await sitting.run()
    assert "by the scores of 2 of 3 members. The scores of architect could not be read." in found.reason
    for name in scripts:
        scripts[name][3] = Say("All are fine.")
    scripts = {name: [*three()[name][:3], Say("All are fine.")] for name in three()}
    found = await Sitting(ScriptedAgents(scripts)).run()
    assert found.ranking == ("architect", "developer", "tester")
    assert found.reason == "Nobody's scores could be read; architect comes first in the order of the roles."


async def test_what_is_spent_counts_for_the_member_and_for_the_turn() -> None:
    scripts = {
        name: [Say(say.text, usage=Usage(prompt=10, completion=5)) for say in says] for name, says in three().items()
    }
    sitting = Sitting(ScriptedAgents(scripts))
    await sitting.run()
    members = [event.metrics for event in sitting.of(TurnFinished) if event.agent != "main"]
    assert [(one.model_calls, one.prompt_tokens, one.completion_tokens) for one in members] == [(4, 40, 20)] * 3
    assert (sitting.meter.metrics.model_calls, sitting.meter.tokens) == (12, 180)


async def test_who_takes_too_long_drops_out() -> None:
    stuck = ScriptedAgents(three(), together=4)
    sitting = Sitting(stuck, seconds=0.2)
    found = await sitting.run()
    assert found.ranking == ()
    assert "architect dropped out: There was no answer within 0.2 s." in found.reason
    assert sitting.ends() == dict.fromkeys(three(), "max_time")


async def test_cancelling_closes_every_members_turn() -> None:
    sitting = Sitting(ScriptedAgents(three(), together=4))
    running = asyncio.create_task(sitting.run())
    async with asyncio.timeout(10):
        while len(sitting.model.order) < 3:
            await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    check(sitting.events)
    assert sitting.ends() == dict.fromkeys(three(), "cancelled")
    assert sitting.of(CouncilDecision) == []


async def test_a_member_gets_another_name_where_an_agent_has_it() -> None:
    scripts = {name: [Say(f"{name} says.")] for name in ("architect", "tester-2")}
    sitting = Sitting(ScriptedAgents(scripts), taken=("tester",))
    sitting.model.agents["architect"].script = [Say(error=EndpointUnreachable("Gone."))]
    found = await sitting.run(CouncilRules(("architect", "tester")))
    assert found.ranking == ("tester-2",)
    assert (
        "# Your role: tester-2\nYou look after what can go wrong"
        in (sitting.model.agents["tester-2"].requests[0].messages[-1]["content"])
    )


async def test_an_answer_gets_a_part_of_the_window_at_most() -> None:
    sitting = Sitting(ScriptedAgents(three(), window=8_000))
    await sitting.run()
    assert {request.max_tokens for one in sitting.model.agents.values() for request in one.requests} == {2_000}
