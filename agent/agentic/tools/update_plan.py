"""Keep the plan."""

from __future__ import annotations

from collections import Counter

import msgspec

from agentic.events import PlanStep, PlanUpdated
from agentic.tools.base import Tool, ToolContext, ToolResult


class UpdatePlan(msgspec.Struct, frozen=True, omit_defaults=True):
    steps: list[PlanStep]


async def run(context: ToolContext, call: str, arguments: UpdatePlan) -> ToolResult:
    context.plan[:] = arguments.steps
    context.emit(PlanUpdated(**context.origin, steps=list(arguments.steps)))
    counts = Counter(step.status for step in arguments.steps)
    return ToolResult(f"Plan updated: {counts['completed']} of {len(arguments.steps)} steps completed.")


def title(arguments: UpdatePlan) -> str:
    return f"Plan of {len(arguments.steps)} steps"


UPDATE_PLAN = Tool(
    name="update_plan",
    kind="think",
    description="Replace the plan that the user sees: all steps in order, one of them in_progress.",
    arguments=UpdatePlan,
    run=run,
    title=title,
)
