"""An answer's tool calls, run in their order."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

from agentic.context.history import INTERRUPTED
from agentic.control import state as control
from agentic.control.state import Spent, TurnState
from agentic.errors import Refusal
from agentic.events import ToolKind
from agentic.graph.turn import Turn
from agentic.ports.model import ToolCall
from agentic.team.agent import Ran
from agentic.tools.base import ToolContext
from agentic.tools.registry import TOOLS
from agentic.tools.runtime import run_call


async def run_calls(state: TurnState, turn: Turn) -> TurnState:
    """Run the calls that wait; those that a cancellation leaves over are withdrawn."""
    context = tool_context(turn)
    try:
        while _drop_beyond_budget(state, turn):
            fitting = replace(context, max_chars=await turn.window.result_chars())
            call = turn.pending.pop(0)
            turn.meter.add_call()
            try:
                result = await run_call(call, fitting, _blocked(state, call))
            except asyncio.CancelledError:
                turn.history.add_result(call.server_id, INTERRUPTED)
                raise
            turn.history.add_result(call.server_id, result.text)
            if result.exit_code is not None:
                turn.commands.append(Ran(result.command, result.exit_code))
            state = control.after_call(
                state, call.name, call.arguments, result.text, code=result.code, kind=kind_of(call.name)
            )
    finally:
        turn.drop_pending("Not run: the turn was ended by the user or by its time limit.")
    return state


def _drop_beyond_budget(state: TurnState, turn: Turn) -> bool:
    """Whether a call waits that may still be run; other agents use up the same budget meanwhile."""
    limits = turn.task.limits
    keep = control.cut_calls(state, limits, len(turn.pending), spent(turn))
    turn.drop_pending(f"Not run: the turn's {limits.tool_calls} tool calls are used up.", keep)
    return bool(turn.pending)


def spent(turn: Turn) -> Spent:
    """What the turn has used up, with all its agents; the seconds are this agent's own."""
    whole = turn.meter.whole
    return Spent(time.monotonic() - turn.started, whole.tokens, whole.cost or 0.0, whole.metrics.tool_calls)


def _blocked(state: TurnState, call: ToolCall) -> Refusal | None:
    block = control.before_call(state, call.name, call.arguments, kind_of(call.name))
    return Refusal(block.code, block.text) if block is not None else None


def kind_of(name: str) -> ToolKind:
    """What a tool does; of a name that is no tool's nothing is known."""
    tool = TOOLS.get(name)
    return tool.kind if tool is not None else "other"


def tool_context(turn: Turn) -> ToolContext:
    """What a call of this agent may touch."""
    return ToolContext(
        workspace=turn.ports.workspace,
        asker=turn.ports.asker,
        store=turn.ports.store,
        task=turn.task,
        origin=turn.origin,
        emit=turn.emit,
        seen=turn.seen,
        plan=turn.plan,
        index=turn.ports.index,
        team=turn.team,
        rules=turn.rules.note,
    )
