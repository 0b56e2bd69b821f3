"""The asker port: a person is needed.

Questions and answers are data. Anything but a clear yes is a no: no answer, an unknown option, an error, a closed
preview. The double, `ScriptedAsker`, answers from a list.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from agentic.change import Change
from agentic.events import MAIN, AnsweredBy, Hunk, Option

ALLOW_ONCE = Option("allow_once", "Allow", "allow_once")
REJECT_ONCE = Option("reject_once", "Reject", "reject_once")
YES_NO = (ALLOW_ONCE, REJECT_ONCE)

HunkVerdict = Literal["accept", "reject", "amend"]


@dataclass(frozen=True, slots=True)
class Question:
    """A question or a request for approval; `binding` is the hash of what a yes is good for."""

    id: str
    session: str
    turn: str
    call: str
    title: str
    detail: str
    options: Sequence[Option] = YES_NO
    free_text: bool = False
    binding: str = ""
    agent: str = MAIN
    """Who asks: a sub-agent's command is not the main agent's."""

    @property
    def headline(self) -> str:
        """The title, with the name of whoever asks where it is a sub-agent."""
        return self.title if self.agent == MAIN else f"{self.agent}: {self.title}"


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: one of the question's option ids, or empty for none; `text` where free text was asked for."""

    option: str
    by: AnsweredBy = "user"
    text: str = ""

    @property
    def allowed(self) -> bool:
        """Whether this is a clear yes to a request for approval."""
        return self.by in ("user", "policy") and self.option in ("allow_once", "allow_always")


@dataclass(frozen=True, slots=True)
class Proposal:
    """A change put before the user, hunk by hunk; hunk i is `change.edits[i]`."""

    id: str
    session: str
    turn: str
    call: str
    change: Change
    hunks: Sequence[Hunk]
    diff: str
    binding: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the user said to a proposal, hunk by hunk; a hunk without a verdict is rejected."""

    hunks: dict[str, HunkVerdict] = field(default_factory=dict[str, HunkVerdict])
    amended: dict[str, str] = field(default_factory=dict[str, str])
    """The new text of amended hunks."""
    by: AnsweredBy = "user"
    reason: str = ""


class Asker(Protocol):
    """Whoever answers."""

    async def ask(self, question: Question) -> Reply:
        """Put a question and wait for the answer; cancelling the task withdraws it."""
        ...

    async def review(self, proposal: Proposal) -> Verdict:
        """Show a change, not yet applied, and wait for the verdict; cancelling the task withdraws it."""
        ...


class ScriptedAsker:
    """Answers in order: an option's id or free text for a question; accept, reject or a dict for a proposal."""

    def __init__(self, answers: Iterable[str | dict[str, HunkVerdict]] = ()) -> None:
        self.answers = list(answers)
        self.questions: list[Question] = []
        self.proposals: list[Proposal] = []

    async def ask(self, question: Question) -> Reply:
        self.questions.append(question)
        answer = self._next(question.title)
        assert isinstance(answer, str), "a question is answered by a word"
        known = {option.id for option in question.options}
        return Reply(answer) if answer in known else Reply("", text=answer)

    async def review(self, proposal: Proposal) -> Verdict:
        self.proposals.append(proposal)
        answer = self._next(proposal.change.path)
        if isinstance(answer, dict):
            return Verdict(answer)
        verdict: HunkVerdict = "accept" if answer == "accept" else "reject"
        return Verdict({hunk.id: verdict for hunk in proposal.hunks})

    def _next(self, what: str) -> str | dict[str, HunkVerdict]:
        if not self.answers:
            raise AssertionError(f"the script has no answer to {what!r}")
        return self.answers.pop(0)
