"""The node `deliberate`: a council that settles the plan, or a contest of patches, before the work begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import msgspec

from agentic.context.marks import MARK
from agentic.context.prompts import render
from agentic.control import state as control
from agentic.control.state import TurnState
from agentic.events import PlanStep, PlanUpdated
from agentic.graph.calls import kind_of, spent, tool_context
from agentic.graph.meter import Meter
from agentic.graph.nodes import end_if_spent
from agentic.graph.turn import Turn
from agentic.graph.worker import run_agent
from agentic.ports.model import Message
from agentic.safety.approvals import binding
from agentic.safety.policy import decide
from agentic.task import Task, TeamRules
from agentic.team.consult import Chamber
from agentic.team.contest import Arena, Contest, contest
from agentic.team.council import Deliberation
from agentic.team.council import deliberate as hold_council
from agentic.team.quoting import fitting, room_for_text
from agentic.text import clip
from agentic.tools.propose_all import FileResult, propose_all
from agentic.tools.questions import approve

MAX_MATERIAL = 16_000
"""Characters of what has been found so far that a council is given."""
_MAX_RESULT = 4_000
_MAX_ARGUMENTS = 200
_TOOL = "contest"
"""What the changes of a contest are bound to, where those of a call are bound to its tool."""


async def deliberate(state: TurnState, turn: Turn) -> TurnState:
    """Have a council settle the plan, or patches compete; the main agent goes on with what came of it."""
    with turn.phase("deliberation"):
        if turn.task.deliberate == "patch":
            await _let_patches_compete(turn)
        else:
            await _settle_plan(state, turn)
        return end_if_spent({**state, "ahead": state["ahead"][1:], "answered": False}, turn)


async def _settle_plan(state: TurnState, turn: Turn) -> None:
    chamber = Chamber(
        turn.ports.model,
        turn.origin,
        turn.emit,
        lambda: Meter(turn.task.prices, turn.meter),
        turn.name_agent,
        mode=turn.task.mode,
        answer_tokens=turn.task.limits.answer_tokens,
        may_go_on=lambda: control.exhausted(state, turn.task.limits, spent(turn)) is None,
    )
    found = await hold_council(turn.task.text, material(turn), turn.task.council, chamber)
    if found.plan:
        turn.plan[:] = [PlanStep(step) for step in found.plan]
        turn.emit(PlanUpdated(**turn.origin, steps=list(turn.plan)))
    turn.history.add_user(_settled(found, room_for_text(turn.ports.model.window, 1)))


def _settled(found: Deliberation, room: int) -> str:
    """What the main agent reads of a council, each text in so many tokens."""
    if not found.text:
        return render("council_nothing", reason=found.reason)
    dissent = "\n".join(f"- {one}" for one in found.dissent) or "(none)"
    text = fitting(found.text, room)
    return render("council_result", winner=found.winner, text=text, reason=found.reason, dissent=fitting(dissent, room))


async def _let_patches_compete(turn: Turn) -> None:
    arena = Arena(
        turn.ports.workspace,
        lambda assignment: run_agent(turn, assignment),
        lambda command: _allowed(turn, command),
        turn.origin,
        turn.emit,
        _for_whole_task(turn.task),
        turn.name_agent,
        turn.task.limits.command_seconds,
    )
    found = await contest(turn.opening or turn.task.text, turn.task.council, arena)
    results: Sequence[FileResult] = ()
    if found.changes:
        context = replace(tool_context(turn), approval="allow" if decide("edit", turn.task.mode) == "allow" else "ask")
        results = await propose_all(context, "", _TOOL, found.changes)
    turn.history.add_user(_told(found, results, room_for_text(turn.ports.model.window, 1)))


def _for_whole_task(task: Task) -> TeamRules:
    """What each candidate may use: it does all of the task, so it gets half of what a turn may use at least."""
    iterations = max(task.team.iterations, task.limits.iterations // 2)
    return replace(task.team, iterations=iterations, seconds=max(task.team.seconds, task.limits.seconds / 2))


def _told(found: Contest, results: Sequence[FileResult], room: int) -> str:
    """What the main agent reads of a contest, each text in so many tokens."""
    files = "\n".join(
        f"- {one.path}: {'applied' if one.applied else f'not applied: {one.result.text}'}" for one in results
    )
    removed = ", ".join(gone.path for gone in found.removed)
    return render(
        "contest_result",
        reason=found.reason,
        summary=fitting(found.summary, room) or "(no word)",
        files=fitting(files, room) or "(no file was changed)",
        removed=f"\nIts commands removed {removed} in its copy; that was not done here." if removed else "",
    )


async def _allowed(turn: Turn, command: str) -> bool:
    """Whether the check may be run in copies of the workspace: by policy, or by the user."""
    verdict = decide("execute", turn.task.mode, command)
    if verdict != "ask":
        return verdict == "allow"
    bound = binding(_TOOL, msgspec.json.encode(command).decode(), ".", "")
    title = "Run this command on each of the patches, in copies of the workspace?"
    return await approve(tool_context(turn), "", title, command, bound) is None


def material(turn: Turn) -> str:
    """What has been found before the council: the task's context, and what each of the calls gave."""
    messages = turn.history.for_server[1:]
    calls = {call["id"]: call["function"] for message in messages for call in message.get("tool_calls") or ()}
    texts = [_found(message, calls, turn) for message in messages if message["role"] in ("user", "tool")]
    return clip("\n\n".join(clip(text, _MAX_RESULT) for text in texts if text), MAX_MATERIAL)


def _found(message: Message, calls: Mapping[str, Mapping[str, str]], turn: Turn) -> str:
    """What a message tells a council, that hears the task itself as its question; empty for what is no finding."""
    text = str(message.get("content") or "")
    if message["role"] == "user":
        return "" if text.startswith(MARK) else text.removeprefix(turn.task.text).strip()
    call = calls.get(message["tool_call_id"])
    if call is None or kind_of(call["name"]) == "think" or text.startswith("Not run: "):
        return ""
    return f"{call['name']} {clip(call['arguments'], _MAX_ARGUMENTS)}\n{text}"
