"""A council: roles propose, criticise each other, revise, and score; the best proposal wins and dissent is kept."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from agentic.context.prompts import load, render
from agentic.events import CouncilCritique, CouncilDecision, CouncilProposal, CouncilRevision
from agentic.ports.model import Message
from agentic.task import CouncilRules, new_id
from agentic.team import answers
from agentic.team.answers import Score
from agentic.team.consult import Chamber, Member, consult, seated
from agentic.team.quoting import fitting, room_for_material, room_for_text
from agentic.team.ranking import Ranking, rank_proposals
from agentic.team.roles import parse_roles

NO_MATERIAL = "(none)"
_EXAMPLE = '{name}: {{"score": <0 to 10>, "reason": "<one sentence>"}}'
"""No JSON, so that a model that only copies it has scored nothing."""


@dataclass(frozen=True, slots=True)
class Deliberation:
    """What a council came to. `ranking` is empty, and so is `text`, when nobody proposed anything."""

    ranking: tuple[str, ...]
    """The roles, best first."""
    text: str
    """The winner's last proposal, whole."""
    plan: tuple[str, ...]
    """Its steps, if it ends with a numbered list."""
    reason: str
    """How it was decided, for a person."""
    scores: Mapping[str, float]
    """From 0 to 1, of those that got any."""
    dissent: tuple[str, ...] = ()
    """What those say that would rather have another."""

    @property
    def winner(self) -> str:
        """The role whose proposal is best; empty when there is none."""
        return self.ranking[0] if self.ranking else ""


async def deliberate(question: str, material: str, rules: CouncilRules, chamber: Chamber) -> Deliberation:
    """Have each role propose, criticise the others', revise its own and score all; never raises but for cancellation.

    A member that fails or stays silent takes no part any more; what it has proposed stays as it was. Once a budget is
    used up, the steps that are left are not taken. Emits all that is said, whole, as the agent that asks; and, under
    their own names, the turns of the members. What does not fit the window loses its middle in the prompts.
    """
    room = room_for_material(chamber.model.window)
    asked = render(
        "council_question", question=fitting(question, room), material=fitting(material, room) or NO_MATERIAL
    )
    head: list[Message] = [{"role": "system", "content": load("council_system")}, {"role": "user", "content": asked}]
    roles = [replace(role, name=chamber.name_agent(role.name)) for role in parse_roles(rules.roles)]
    with seated(chamber, head, roles) as members:
        council = _Council(chamber, members)
        await council.propose()
        for step in (council.criticise, council.revise, council.score):
            if not chamber.may_go_on():
                council.cut_short = True
            elif council.has_quorum:
                await step()
        return council.decide()


class _Council:
    """One council's course; each step asks all who still take part at once."""

    def __init__(self, chamber: Chamber, members: Sequence[Member]) -> None:
        self.chamber = chamber
        self.members = members
        self.id = new_id("council")
        self.room = room_for_text(chamber.model.window, len(members))
        self.proposals: dict[str, str] = {}
        """The last one of each member, in the order of the roles."""
        self._said: dict[str, dict[str, str]] = {}
        """Critiques, by whose proposal they are about, then by who wrote them."""
        self._ballots: dict[str, dict[str, Score]] = {}
        self.cut_short = False
        """A budget was used up before the last step."""

    @property
    def has_quorum(self) -> bool:
        """Whether two or more can still speak with each other."""
        return sum(not member.left for member in self.members) > 1

    async def propose(self) -> None:
        said = await self._ask_all(
            lambda member: render("council_propose", role=member.name, text=member.role.text),
            self._emit_proposal,
        )
        self.proposals = {member.name: said[member.name] for member in self.members if member.name in said}

    async def criticise(self) -> None:
        await self._ask_all(
            lambda member: render(
                "council_criticise",
                proposals=self._others(member.name),
                headings="\n".join(f"## {name}\n…" for name in self.proposals if name != member.name),
            ),
            self._take_critique,
        )

    async def revise(self) -> None:
        """Who was not criticised keeps its proposal as it is."""
        await self._ask_all(
            lambda member: render("council_revise", critiques=self._critiques_of(member.name)),
            self._take_revision,
            among=[member for member in self.members if member.name in self._said],
        )

    async def score(self) -> None:
        names = list(self.proposals)
        example = ",\n ".join(_EXAMPLE.format(name=json.dumps(name, ensure_ascii=False)) for name in names)
        said = await self._ask_all(
            lambda member: render("council_rank", proposals=self._others(member.name), example=f"{{{example}}}"),
            lambda name, text: None,
        )
        ballots = {voter: answers.scores(text, names) for voter, text in said.items()}
        self._ballots = {member.name: ballots[member.name] for member in self.members if ballots.get(member.name)}

    def decide(self) -> Deliberation:
        """Rank what was proposed, and say how."""
        gone = {member.name for member in self.members if member.left}
        ranking = rank_proposals(sorted(self.proposals, key=gone.__contains__), self._ballots)
        reason = " ".join(filter(None, (self._how(ranking), self._missing())))
        self.chamber.emit(
            CouncilDecision(
                **self.chamber.origin,
                council=self.id,
                ranking=list(ranking.names),
                reason=reason,
                dissent=list(ranking.dissent),
                scores=dict(ranking.scores),
            )
        )
        text = self.proposals[ranking.names[0]] if ranking.names else ""
        return Deliberation(ranking.names, text, tuple(answers.steps(text)), reason, ranking.scores, ranking.dissent)

    def _how(self, ranking: Ranking) -> str:
        if not ranking.names:
            return "Nobody proposed anything; the work goes on without a council."
        winner = ranking.names[0]
        if len(ranking.names) == 1:
            return f"The only proposal, that of {winner}, stands by itself."
        if not self.has_quorum:
            return f"Nobody was left to speak with; the proposal of {winner} stands."
        if not ranking.scores:
            why = "The budget was used up before the scores" if self.cut_short else "Nobody's scores could be read"
            return f"{why}; {winner} comes first in the order of the roles."
        voters = len(self._ballots)
        mean = ranking.scores[winner] * answers.MAX_SCORE
        return (
            f"{winner} has the best mean, {mean:.1f} of 10, by the scores of {voters} of {len(self.members)} members."
        )

    def _missing(self) -> str:
        """Who dropped out and why, and whose scores nobody could read."""
        left = [f"{member.name} dropped out: {member.left}" for member in self.members if member.left]
        if self._ballots:
            here = [member.name for member in self.members if not member.left and member.name not in self._ballots]
            left += [f"The scores of {name} could not be read." for name in here]
        return " ".join(left)

    async def _ask_all(
        self,
        words: Callable[[Member], str],
        take: Callable[[str, str], None],
        among: Sequence[Member] | None = None,
    ) -> dict[str, str]:
        """Ask every member that still takes part, all at once; each answer is taken as soon as it is there."""
        said: dict[str, str] = {}

        async def ask(member: Member, text: str) -> None:
            answer = await consult(member, text)
            if answer:
                said[member.name] = answer
                take(member.name, answer)

        async with asyncio.TaskGroup() as group:
            asked = [(member, words(member)) for member in among or self.members if not member.left]
            for member, text in asked:
                group.create_task(ask(member, text))
        return said

    def _emit_proposal(self, name: str, text: str) -> None:
        self.chamber.emit(CouncilProposal(**self.chamber.origin, council=self.id, role=name, text=text))

    def _take_critique(self, name: str, text: str) -> None:
        others = [other for other in self.proposals if other != name]
        for about, part in answers.critiques(text, others).items():
            self.chamber.emit(
                CouncilCritique(**self.chamber.origin, council=self.id, role=name, about=about, text=part)
            )
            for other in others if about not in others else [about]:
                self._said.setdefault(other, {})[name] = part

    def _take_revision(self, name: str, text: str) -> None:
        self.proposals[name] = text
        self.chamber.emit(CouncilRevision(**self.chamber.origin, council=self.id, role=name, text=text))

    def _others(self, name: str) -> str:
        return self._sections("proposal", {other: text for other, text in self.proposals.items() if other != name})

    def _critiques_of(self, name: str) -> str:
        """In the order of the roles, whoever was first."""
        said = self._said[name]
        return self._sections("critique", {one.name: said[one.name] for one in self.members if one.name in said})

    def _sections(self, tag: str, texts: Mapping[str, str]) -> str:
        parts = (f'<{tag} by="{name}">\n{fitting(text, self.room)}\n</{tag}>' for name, text in texts.items())
        return "\n\n".join(parts)
