"""Members of a council: agents that only talk.

All of them begin with the same messages, byte for byte, and each is told its role after these, so that a server with a
prefix cache reads the question and its material once. Later rounds are appended.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from agentic.context.prompts import load
from agentic.errors import ModelError
from agentic.events import (
    ErrorRaised,
    Event,
    Metrics,
    Origin,
    PhaseFinished,
    PhaseStarted,
    SubAgentFinished,
    SubAgentStarted,
    TurnFinished,
    TurnStarted,
)
from agentic.items import View
from agentic.ports.limit import within_limit
from agentic.ports.model import Answer, Message, Model, ModelRequest
from agentic.task import Mode, StopReason
from agentic.team.roles import Role

ANSWER_SHARE = 4
"""One answer gets at most this part of the window."""


class Account(Protocol):
    """What one member spends."""

    metrics: Metrics

    @property
    def cost(self) -> float | None: ...

    def count(self, answer: Answer) -> None: ...


@dataclass(frozen=True, slots=True)
class Chamber:
    """What the members of a council share. `origin` is that of the agent that asks them."""

    model: Model
    origin: Origin
    emit: Callable[[Event], None]
    account: Callable[[], Account]
    """Opens an account for a member; what is counted there counts as the turn's."""
    name_agent: Callable[[str], str] = str
    """The name of an agent, made unlike those of all others of the turn."""
    mode: Mode = "ask"
    answer_tokens: int = 16_384
    may_go_on: Callable[[], bool] = lambda: True
    """Whether the turn's budgets are not used up."""
    seconds: float = 300.0
    """For one answer; who takes longer drops out."""

    @property
    def max_tokens(self) -> int:
        """Of one answer."""
        return max(1, min(self.answer_tokens, self.model.window // ANSWER_SHARE))


@dataclass(slots=True)
class Member:
    """One who sits in a council. `left` says why it takes no part any more; empty while it does."""

    role: Role
    chamber: Chamber
    messages: list[Message]
    account: Account
    left: str = ""
    last_word: str = ""
    started: float = field(default_factory=time.monotonic)

    @property
    def name(self) -> str:
        return self.role.name

    @property
    def origin(self) -> Origin:
        return Origin(
            session_id=self.chamber.origin["session_id"], turn_id=self.chamber.origin["turn_id"], agent=self.name
        )


@contextmanager
def seated(chamber: Chamber, head: Sequence[Message], roles: Sequence[Role]) -> Generator[list[Member]]:
    """The members of a council, each with its own turn, which ends on every path. `head` is what all of them know."""
    members = [Member(role, chamber, list(head), chamber.account()) for role in roles]
    stop: StopReason = "cancelled"
    for member in members:
        _open(member)
    try:
        yield members
        stop = "end_turn"
    finally:
        for member in members:
            if not member.left:
                _close(member, stop)


async def consult(member: Member, text: str) -> str:
    """What the member answers to this; it is asked again once where it says nothing.

    Empty when it has dropped out: no answer could be had, it stayed silent, or its time was up.
    """
    member.messages.append({"role": "user", "content": text})
    try:
        async with asyncio.timeout(member.chamber.seconds):
            said = await _ask(member)
            if not said:
                member.messages.append({"role": "user", "content": load("council_again")})
                said = await _ask(member)
    except ModelError as error:
        problem = ErrorRaised(**member.origin, code=error.code, message=str(error), hint=error.hint)
        return _drop(member, problem)
    except TimeoutError:
        message = f"There was no answer within {member.chamber.seconds:g} s."
        return _drop(member, ErrorRaised(**member.origin, code="timeout", message=message), "max_time")
    if not said:
        return _drop(member, ErrorRaised(**member.origin, code="empty", message="It answered nothing, twice."))
    member.messages.append({"role": "assistant", "content": said})
    member.last_word = said
    return said


async def _ask(member: Member) -> str:
    """One answer, its events passed on as they come. :raises ModelError:"""
    chamber, answer, view = member.chamber, Answer(), View()
    request = ModelRequest(member.origin, list(member.messages), max_tokens=chamber.max_tokens)
    began = time.monotonic()
    chamber.emit(PhaseStarted(**member.origin, phase="model"))
    try:
        async with aclosing(within_limit(chamber.model, request, answer)) as stream:
            async for event in stream:
                answer.add(event)
                for shown in view.show(event):
                    chamber.emit(shown)
    finally:
        for event in view.cut_off():
            chamber.emit(event)
        chamber.emit(PhaseFinished(**member.origin, phase="model", seconds=round(time.monotonic() - began, 6)))
    member.account.count(answer)
    return answer.text.strip()


def _drop(member: Member, problem: ErrorRaised, stop: StopReason = "error") -> str:
    """The member takes no part any more; its turn ends here."""
    member.left = problem.message
    member.chamber.emit(problem)
    _close(member, stop)
    return ""


def _open(member: Member) -> None:
    chamber, text = member.chamber, member.role.text
    chamber.emit(SubAgentStarted(**chamber.origin, name=member.name, text=text, priority=1, role="member"))
    chamber.emit(TurnStarted(**member.origin, text=text, mode=chamber.mode))


def _close(member: Member, stop: StopReason) -> None:
    chamber, account = member.chamber, member.account
    seconds = round(time.monotonic() - member.started, 3)
    metrics = msgspec.structs.replace(account.metrics, cost=account.cost, seconds=seconds)
    summary = member.left or member.last_word
    chamber.emit(TurnFinished(**member.origin, stop_reason=stop, summary=summary, metrics=metrics))
    chamber.emit(SubAgentFinished(**chamber.origin, name=member.name, stop_reason=stop, summary=summary))
