"""Delegation: subtasks worked on side by side, as branches of a LangGraph graph, and joined.

           ┌▶ work ─┐
dispatch ──┼▶ work ─┼──▶ join
           └▶ work ─┘
"""

from __future__ import annotations

import asyncio
import functools
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, TypedDict

import msgspec
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime
from langgraph.types import Send

from agentic.change import Change
from agentic.events import SharedUpdated
from agentic.graph.turn import Turn
from agentic.graph.worker import run_agent
from agentic.ports.team import MOST_DELEGATIONS, Delegated, Report, Subtask
from agentic.team.agent import Assignment
from agentic.team.merging import Joined, join
from agentic.team.overlay import Overlay
from agentic.team.shared import Board
from agentic.team.subtasks import resolve_text, subtask_text


class TeamState(TypedDict):
    """What the branches write: the names of the finished subtasks. Their work is in the `Delegation`."""

    subtasks: list[str]
    finished: Annotated[list[str], operator.add]


class Branch(TypedDict):
    """What one branch is given."""

    subtask: str


@dataclass(slots=True)
class Delegation:
    """The live objects of one delegation."""

    turn: Turn
    subtasks: dict[str, Subtask]
    places: asyncio.Semaphore
    board: Board = field(default_factory=Board)
    done: dict[str, asyncio.Event] = field(default_factory=dict[str, asyncio.Event])
    reports: dict[str, Report] = field(default_factory=dict[str, Report])
    changes: dict[str, list[Change]] = field(default_factory=dict[str, list[Change]])
    seeds: dict[str, Sequence[Change]] = field(default_factory=dict[str, Sequence[Change]])
    joined: Joined = field(default_factory=lambda: Joined(()))
    resolved: list[str] = field(default_factory=list[str])
    """Files in which the resolver has settled all conflicts."""

    async def join(self, names: Iterable[str]) -> Joined:
        """The work of these, joined. Beside the event loop: large files that many have changed take a second."""
        return await asyncio.to_thread(join, [(name, self.changes[name]) for name in names], self.seeds)


class GraphTeam:
    """The team of a turn, as `ports.team.Team` says."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self.left = MOST_DELEGATIONS

    async def delegate(self, call: str, subtasks: Sequence[Subtask]) -> Delegated:
        self.left -= 1
        turn, given = self._turn, [subtask.name for subtask in subtasks]
        subtasks = _renamed(turn, subtasks)
        delegation = Delegation(
            turn,
            {subtask.name: subtask for subtask in subtasks},
            asyncio.Semaphore(turn.task.team.agents),
            done={subtask.name: asyncio.Event() for subtask in subtasks},
        )
        beginning = TeamState(subtasks=[subtask.name for subtask in subtasks], finished=[])
        await build_team().ainvoke(beginning, context=delegation)
        names = {subtask.name: name for subtask, name in zip(subtasks, given, strict=True)}
        return _as_asked(delegation, names)


@functools.cache
def build_team() -> CompiledStateGraph[TeamState, Delegation, TeamState, TeamState]:
    """The graph of every delegation. It keeps no position: nothing has happened to the workspace before it ends."""
    graph = StateGraph(TeamState, context_schema=Delegation)
    graph.add_node("work", work)
    graph.add_node("join", join_work)
    graph.add_conditional_edges(START, dispatch, ["work"])
    graph.add_edge("work", "join")
    graph.add_edge("join", END)
    return graph.compile(checkpointer=False)


def dispatch(state: TeamState) -> list[Send]:
    """One branch for each subtask; those that depend on others wait for them."""
    return [Send("work", Branch(subtask=name)) for name in state["subtasks"]]


async def work(state: Branch, *, runtime: Runtime[Delegation]) -> dict[str, Any]:
    """One sub-agent on its own view of the workspace, which holds the work of those it depends on."""
    delegation = runtime.context
    subtask = delegation.subtasks[state["subtask"]]
    for name in subtask.depends_on:
        await delegation.done[name].wait()
    async with delegation.places:
        overlay = Overlay(delegation.turn.ports.workspace)
        try:
            delegation.seeds[subtask.name] = (await delegation.join(subtask.depends_on)).changes
            overlay.seed(delegation.seeds[subtask.name])
            await _carry_out(delegation, subtask, overlay)
        finally:
            await overlay.aclose()
    return {"finished": [subtask.name]}


async def join_work(state: TeamState, *, runtime: Runtime[Delegation]) -> dict[str, Any]:
    """The work of all, joined; what two of them did differently goes to one agent that sees both."""
    delegation = runtime.context
    joined = await delegation.join(state["subtasks"])
    if joined.conflicts:
        places = {conflict.path for conflict in joined.conflicts}
        joined = await _resolve(delegation, joined)
        delegation.resolved = sorted(places.difference(conflict.path for conflict in joined.conflicts))
    delegation.joined = joined
    return {}


async def _carry_out(delegation: Delegation, subtask: Subtask, overlay: Overlay) -> None:
    turn, rules = delegation.turn, delegation.turn.task.team
    others = [other for other in delegation.subtasks.values() if other is not subtask]
    text = subtask_text(turn.task, subtask, delegation.board, others)
    outcome = await run_agent(
        turn,
        Assignment(
            subtask.name,
            text,
            overlay,
            title=subtask.text,
            priority=subtask.priority,
            depends_on=tuple(subtask.depends_on),
            iterations=rules.iterations,
            seconds=rules.seconds,
        ),
    )
    changes = overlay.changes()
    report = Report(
        subtask.name,
        outcome.stop_reason,
        outcome.summary,
        tuple(change.path for change in changes),
        tuple(gone.path for gone in overlay.removed),
    )
    delegation.reports[subtask.name], delegation.changes[subtask.name] = report, changes
    delegation.board.note(report, changes)
    turn.emit(SharedUpdated(**turn.origin, items=list(delegation.board.items)))
    delegation.done[subtask.name].set()


async def _resolve(delegation: Delegation, joined: Joined) -> Joined:
    """One agent makes the files right that two have changed in the same place. Where it fails the conflicts stay."""
    turn, rules = delegation.turn, delegation.turn.task.team
    overlay = Overlay(turn.ports.workspace)
    try:
        overlay.seed(joined.changes)
        text = resolve_text(turn.task, joined.conflicts, list(delegation.subtasks.values()))
        name = turn.name_agent("resolver")
        outcome = await run_agent(
            turn,
            Assignment(
                name,
                text,
                overlay,
                "Joins what two of them did differently.",
                "resolver",
                iterations=rules.iterations,
                seconds=rules.seconds,
            ),
        )
        if outcome.stop_reason != "end_turn":
            return joined
        return _resolved(joined, overlay.changes())
    finally:
        await overlay.aclose()


def _resolved(joined: Joined, changes: Sequence[Change]) -> Joined:
    """The work as the resolver left it; what it did not touch is a conflict still."""
    before = {change.path: change.after for change in joined.changes}
    after = {change.path: change.after for change in changes}
    left = [conflict for conflict in joined.conflicts if after.get(conflict.path) == before.get(conflict.path)]
    return Joined(tuple(changes), tuple(left))


def _as_asked(delegation: Delegation, names: Mapping[str, str]) -> Delegated:
    """What came of it, under the names that were given: who asks for the same again is seen to get the same again."""
    reports = [replace(delegation.reports[name], name=given) for name, given in names.items()]
    conflicts = [
        replace(one, kept=names.get(one.kept, one.kept), left=names.get(one.left, one.left))
        for one in delegation.joined.conflicts
    ]
    return Delegated(reports, delegation.joined.changes, conflicts, tuple(delegation.resolved))


def _renamed(turn: Turn, subtasks: Sequence[Subtask]) -> list[Subtask]:
    """The subtasks under names that no agent of the turn has had."""
    names = {subtask.name: turn.name_agent(subtask.name) for subtask in subtasks}
    return [
        msgspec.structs.replace(
            subtask, name=names[subtask.name], depends_on=[names[other] for other in subtask.depends_on]
        )
        for subtask in subtasks
    ]
